"""Who is signed in: the list, and signing out one browser or all of a person."""

from typing import Any

from authz.admin import sessions
from authz.directory import users
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.policy.requirements import LOCAL
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

HEADINGS = ("Person", "Through", "How", "Signed in", "Ends")


def show(visit: Visit) -> Answer:
    """GET /console/sessions."""
    user_id, wrong = None, {}
    if visit.asked("person"):
        try:
            user_id = visit.read(users.load, visit.asked("person")).id
        except NotFound:
            wrong["person"] = f"There is nobody called {visit.asked('person')} here"
    through = visit.asked("through") or None
    if visit.asked("format") == "csv" and not wrong:
        found = visit.gather(
            lambda tx, after, limit: sessions.page(
                tx,
                visit.tenant_id,
                visit.now,
                user_id=user_id,
                connection=through,
                after=after,
                limit=limit,
            )
        )
        rows = [
            (it.login or it.user_id, it.connection or "here", it.how, it.created_at, it.expires_at)
            for it in found
        ]
        return Sheet("sessions", HEADINGS, rows)
    page: Any = None
    if not wrong:
        after = visit.asked("after") or None
        page = visit.read(
            sessions.page, visit.now, user_id=user_id, connection=through, after=after
        )
    known = visit.configuration.policy.connections.values()
    context = {
        "sessions": page,
        "user_id": user_id,
        "wrong": wrong,
        "headings": HEADINGS,
        "ways": [(LOCAL, "this directory"), *sorted((it.slug, it.slug) for it in known)],
    }
    return Screen("sessions.html", context, 404 if wrong else 200)


def end(visit: Visit) -> Answer:
    """POST …/end: one browser. Nothing is lost that signing in again does not bring back, so nobody is asked."""
    visit.change(sessions.end, visit.given("mark"))
    return Done(visit.url("sessions", **visit.kept(["person"])), "ended")


def end_all(visit: Visit) -> Answer:
    """POST …/end-all: every browser of a person."""
    reference = visit.given("person")
    person = visit.read(users.load, reference)
    back = visit.url("sessions", person=person.login)
    if not visit.is_sure:
        count = visit.read(sessions.count, visit.now, person.id)
        affected = [
            f"Signs {person.login} out of {counted(count, 'browser')}.",
            "Applications they allowed keep their access. Cut them off to end that as well.",
        ]
        return Sure("Sign this person out everywhere?", "Sign them out", affected, back)
    visit.change(sessions.end_all, person.id)
    return Done(back, "all")


PAGE = Page(
    "sessions",
    "Sessions",
    Permission.READ,
    show,
    (Act("end", end), Act("end-all", end_all)),
    section="Access",
    done={
        "ended": "The browser is signed out.",
        "all": "The person is signed out everywhere.",
    },
)
