"""Mappings: which value of which claim of an identity provider puts people into which group, or gives them a role."""

from authz.admin import mapping_view, mappings, role_view
from authz.admin.mapping_view import MappingView
from authz.errors import Invalid, NotFound
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

HEADINGS = ("Connection", "Claim", "Value", "Group", "Roles", "In it now")


def show(visit: Visit) -> Answer:
    """GET /console/mappings."""
    asked = {"q": visit.asked("q"), "connection": visit.asked("connection")}
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: mapping_view.page(
                tx, visit.tenant_id, **asked, after=after, limit=limit
            )
        )
        rows = [(it.connection, it.claim, it.value, it.group, it.roles, it.members) for it in found]
        return Sheet("mappings", HEADINGS, rows)
    slugs = sorted(it.slug for it in visit.configuration.policy.connections.values())
    return Screen(
        "mappings.html",
        {
            "mappings": visit.read(mapping_view.page, **asked, after=visit.asked("after") or None),
            "headings": HEADINGS,
            "connections": [(it, it) for it in slugs],
            "roles": [(it, it) for it in visit.read(role_view.names)],
        },
    )


def add(visit: Visit) -> Answer:
    """POST …/add: to a group, or to a role."""
    group, role = visit.given("group"), visit.given("role")
    if bool(group) == bool(role):
        raise Invalid("Choose a role or name a group: one of them", field="group")
    visit.change(
        mappings.add,
        connection=visit.needed("connection", "The connection"),
        claim=visit.needed("claim", "The claim"),
        value=visit.needed("value", "The value"),
        group=group or None,
        role=role or None,
    )
    return Done(visit.url("mappings"), "added")


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    mapping_id = visit.given("id")
    if not visit.is_sure:
        found = _found(visit, mapping_id)
        affected = [
            f"{counted(found.members, 'person leaves', 'people leave')} the group {found.group} at once.",
            "Another mapping that leads there puts them back at their next sign-in.",
        ]
        title = f"Remove {found.claim}={found.value}?"
        return Sure(title, "Remove it", affected, visit.url("mappings"))
    visit.change(mappings.remove, mapping_id)
    return Done(visit.url("mappings"), "removed")


def _found(visit: Visit, mapping_id: str) -> MappingView:
    found: MappingView | None = visit.read(mapping_view.find, mapping_id)
    if found is None:
        raise NotFound("there is no such mapping; it may have been removed meanwhile")
    return found


PAGE = Page(
    "mappings",
    "Mappings",
    Permission.READ,
    show,
    (Act("add", add), Act("remove", remove)),
    section="Policy",
    done={
        "added": "The mapping is there. It counts from everybody’s next sign-in on.",
        "removed": "The mapping is removed.",
    },
)
