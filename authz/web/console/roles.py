"""Roles: the list, and a new one."""

from authz.admin import role_changes, role_view
from authz.policy.administration import Permission
from authz.web.console.fields import listed
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

HEADINGS = ("Role", "What it is for", "Includes", "Scopes", "Takes", "People", "Groups", "Clients")

_HELD = {"yes": True, "no": False}


def show(visit: Visit) -> Answer:
    """GET /console/roles."""
    q, is_held = visit.asked("q"), _HELD.get(visit.asked("held"))
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: role_view.page(
                tx, visit.tenant_id, q=q, is_held=is_held, after=after, limit=limit
            )
        )
        rows = [
            (
                *(it.name, it.description, it.includes, it.scopes, it.requires or ""),
                *(it.holders.get(kind, 0) for kind in ("user", "group", "client")),
            )
            for it in found
        ]
        return Sheet("roles", HEADINGS, rows)
    page = visit.read(role_view.page, q=q, is_held=is_held, after=visit.asked("after") or None)
    return Screen("roles.html", {"roles": page, "headings": HEADINGS})


def add(visit: Visit) -> Answer:
    """POST …/add."""
    made = visit.change(
        role_changes.add,
        name=visit.needed("name", "The name"),
        description=visit.given("description"),
        includes=listed(visit.given("includes")),
        scopes=listed(visit.given("scopes")),
    )
    return Done(visit.url(f"roles/{made.id}"), "added")


PAGE = Page(
    "roles",
    "Roles",
    Permission.READ,
    show,
    (Act("add", add),),
    section="Policy",
    done={"removed": "The role is removed. The next token and refresh is without it."},
)
