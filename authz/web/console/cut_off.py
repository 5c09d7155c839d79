"""Everything a person has, and the end of it; and how long the end of access takes here."""

from datetime import timedelta

from authz.admin import grants, leaving, sessions
from authz.directory import users
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

HEADINGS = ("Source", "Ends of access", "p50", "p99", "Slowest", "Sessions", "Grants", "Tokens")
_DAYS = ("1", "7", "30", "90", "365")


def show(visit: Visit) -> Answer:
    """GET /console/cut-off?person=…: what somebody has."""
    reference, wrong, person = visit.asked("person"), {}, None
    if reference:
        try:
            person = visit.read(users.load, reference)
        except NotFound:
            wrong["person"] = f"There is nobody called {reference} here"
    context = {"person": person, "wrong": wrong, "extent": None, "held": None, "sessions": 0}
    if person is not None:
        context["extent"] = visit.read(grants.extent, visit.now, user_id=person.id)
        context["held"] = visit.read(grants.page, visit.now, user_id=person.id, limit=20)
        context["sessions"] = visit.read(sessions.count, visit.now, person.id)
    return Screen("cut_off.html", context, 404 if wrong else 200)


def end(visit: Visit) -> Answer:
    """POST …/end: every session, grant, code and token, and the account as well where that is asked for."""
    person = visit.read(users.load, visit.given("person"))
    disable = visit.given("disable") == "yes"
    back = visit.url("cut-off", person=person.login)
    if not visit.is_sure:
        found = visit.read(grants.extent, visit.now, user_id=person.id)
        browsers = visit.read(sessions.count, visit.now, person.id)
        affected = [
            f"Ends {counted(found.grants, 'grant')} of {person.login}, with every token of them.",
            f"Signs them out of {counted(browsers, 'browser')}.",
            "The account is disabled: they cannot sign in until somebody enables it."
            if disable
            else "They can sign in again at once. Disable the account too to keep them out.",
        ]
        return Sure(f"Cut {person.login} off?", "Cut off", affected, back)
    visit.change(leaving.end_access, person.id, disable=disable)
    return Done(back, "disabled" if disable else "ended")


def clock(visit: Visit) -> Answer:
    """GET /console/offboarding: from the arrival of each signal to the end of the last credential."""
    days = visit.asked("days") if visit.asked("days") in _DAYS else "30"
    found = visit.read(leaving.report, visit.now - timedelta(days=int(days)))
    if visit.asked("format") == "csv":
        rows = [
            (it.source, it.events, it.p50, it.p99, it.worst, it.sessions, it.grants, it.tokens)
            for it in found.sources
        ]
        return Sheet("offboarding", HEADINGS, rows)
    names = visit.look(
        lambda tx: users.logins(tx, visit.tenant_id, {it.user_id for it in found.slowest})
    )
    context = {"report": found, "names": names, "days": days, "choices": _DAYS}
    return Screen("offboarding.html", {**context, "headings": HEADINGS})


PAGE = Page(
    "cut-off",
    "Cut somebody off",
    Permission.READ,
    show,
    (Act("end", end),),
    section="Access",
    done={
        "ended": "All access of this person is ended.",
        "disabled": "All access of this person is ended, and the account is disabled.",
    },
)
CLOCK = Page("offboarding", "Offboarding clock", Permission.READ, clock, section="Access")
