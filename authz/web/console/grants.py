"""Live grants: who may call what through which client, and the end of one."""

from typing import Any

from authz.admin import grants, resources
from authz.directory import users
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

HEADINGS = ("Person", "Client", "MCP server", "Scopes", "Since", "Last use", "Ends")
ASKED = ("person", "client", "server")


def show(visit: Visit) -> Answer:
    """GET /console/grants."""
    wrong: dict[str, str] = {}
    filters = _filters(visit, wrong)
    if visit.asked("format") == "csv" and not wrong:
        found = visit.gather(
            lambda tx, after, limit: grants.page(
                tx, visit.tenant_id, visit.now, **filters, after=after, limit=limit
            )
        )
        rows = [
            (
                it.login or it.user_id,
                it.client_id,
                it.server,
                it.scopes,
                it.created_at,
                it.last_used_at,
                it.expires_at,
            )
            for it in found
        ]
        return Sheet("grants", HEADINGS, rows)
    page: Any = None
    latest: dict[str, str] = {}
    if not wrong:
        page = visit.read(grants.page, visit.now, **filters, after=visit.asked("after") or None)
        latest = visit.read(grants.latest_tokens, [it.id for it in page.rows])
    return Screen(
        "grants.html",
        {
            "grants": page,
            "latest": latest,
            "wrong": wrong,
            "headings": HEADINGS,
            "asked_names": ASKED,
            "is_asked": any(visit.asked(it) for it in ASKED),
            "servers": visit.read(resources.list_),
        },
        404 if wrong else 200,
    )


def end(visit: Visit) -> Answer:
    """POST …/end: one of them, with every token of it."""
    grant_id = visit.given("id")
    back = visit.url("grants", **visit.kept(ASKED))
    if not visit.is_sure:
        line = visit.read(grants.show, grant_id, visit.now)
        where = f"{line.server or 'this server'} through {line.client_name or line.client_id}"
        affected = [
            f"{line.login or line.user_id} loses {counted(len(line.scopes), 'scope')} at {where}, at once.",
            "They can allow it anew. Cut them off to keep them out.",
        ]
        return Sure("End this grant?", "End it", affected, back)
    visit.change(grants.end, grant_id)
    return Done(back, "ended")


def _filters(visit: Visit, wrong: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "user_id": None,
        "client_id": visit.asked("client") or None,
        "resource_id": visit.asked("server") or None,
    }
    if visit.asked("person"):
        try:
            found["user_id"] = visit.read(users.load, visit.asked("person")).id
        except NotFound:
            wrong["person"] = f"There is nobody called {visit.asked('person')} here"
    return found


PAGE = Page(
    "grants",
    "Live grants",
    Permission.READ,
    show,
    (Act("end", end),),
    section="Access",
    done={"ended": "The grant is ended, with every token of it."},
)
