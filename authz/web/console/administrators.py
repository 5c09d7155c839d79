"""Who administers: which admin role, until when."""

from authz.admin import admins
from authz.policy.administration import ADMIN_ROLES, Permission
from authz.web.console import tables
from authz.web.console.fields import end
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Administrator", "Kind", "Admin role", "Until", "Since")


def show(visit: Visit) -> Answer:
    """GET /console/administrators."""
    wanted, role = visit.asked("q").lower(), visit.asked("role")
    found = [
        it
        for it in visit.read(admins.list_)
        if wanted in it.holder.lower() and role in ("", it.role)
    ]
    if visit.asked("format") == "csv":
        rows = [(it.holder, it.kind, it.role, it.expires_at, it.created_at) for it in found]
        return Sheet("administrators", HEADINGS, rows)
    return Screen(
        "administrators.html",
        {
            "admins": tables.page_of(visit, found),
            "headings": HEADINGS,
            "admin_roles": list(ADMIN_ROLES.values()),
        },
    )


def grant(visit: Visit) -> Answer:
    """POST …/grant."""
    visit.change(
        admins.grant,
        role=visit.given("role"),
        kind=visit.given("kind"),
        holder=visit.needed("holder", "Who gets the role"),
        until=end(visit),
    )
    return Done(visit.url("administrators"), "granted")


def revoke(visit: Visit) -> Answer:
    """POST …/revoke."""
    role, kind, holder = (visit.given(it) for it in ("role", "kind", "holder"))
    if not visit.is_sure:
        title = admins.find_role(role).title
        who = next((it.holder for it in visit.read(admins.list_) if it.holder_id == holder), holder)
        affected = [f"{who} does nothing more as {title} from the next request on."]
        if kind == "group":
            affected.append("That is for everybody in the group.")
        return Sure(
            f"Take the role {title} away?", "Take it away", affected, visit.url("administrators")
        )
    visit.change(admins.revoke, role=role, kind=kind, holder=holder)
    return Done(visit.url("administrators"), "revoked")


PAGE = Page(
    "administrators",
    "Administrators",
    Permission.READ,
    show,
    (Act("grant", grant), Act("revoke", revoke)),
    section="People",
    done={
        "granted": "They hold the admin role from their next request on.",
        "revoked": "They hold the admin role no more.",
    },
)
