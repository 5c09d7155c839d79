"""People: the list, and somebody new."""

from typing import Any

from authz.admin import users
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

HEADINGS = ("Login", "Name", "Status", "Password", "Since")
STATUSES = ("active", "disabled", "deleted")


def show(visit: Visit) -> Answer:
    """GET /console/people."""
    status = visit.asked("status")
    asked: dict[str, Any] = {
        "matching": visit.asked("q"),
        "status": status if status in STATUSES else None,
    }
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: users.page(
                tx, visit.tenant_id, **asked, after=after, limit=limit
            )
        )
        rows = [(it.login, it.name, it.status, it.has_password, it.created_at) for it in found]
        return Sheet("people", HEADINGS, rows)
    return Screen(
        "people.html",
        {
            "people": visit.read(users.page, **asked, after=visit.asked("after") or None),
            "headings": HEADINGS,
            "statuses": [(it, it) for it in STATUSES],
        },
    )


def add(visit: Visit) -> Answer:
    """POST …/add: with a password, or for an identity provider to vouch for."""
    password = visit.form.get("password", [""])[0]
    made = visit.perform(
        "users.add",
        login=visit.needed("login", "The login name"),
        name=visit.given("name"),
        **({"password": password} if password else {}),
    )
    return Done(visit.url(f"people/{made.id}"), "added")


PAGE = Page("people", "People", Permission.READ, show, (Act("add", add),), section="People")
