"""Groups: the list, one more, and a group with its people and roles."""

from typing import Any

from authz.admin import groups
from authz.directory import users
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Group", "People")
_PEOPLE = {"yes": True, "no": False}
_BECAUSE = {"here": True, "elsewhere": False}


def show(visit: Visit) -> Answer:
    """GET /console/groups."""
    q, has_people = visit.asked("q"), _PEOPLE.get(visit.asked("people"))
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: groups.page(
                tx, visit.tenant_id, matching=q, has_people=has_people, after=after, limit=limit
            )
        )
        return Sheet("groups", HEADINGS, [(it.name, it.members) for it in found])
    page = visit.read(
        groups.page, matching=q, has_people=has_people, after=visit.asked("after") or None
    )
    return Screen("groups.html", {"groups": page, "headings": HEADINGS})


def add(visit: Visit) -> Answer:
    """POST …/add."""
    made = visit.change(groups.add, name=visit.needed("name", "The name"))
    return Done(visit.url(f"groups/{made.id}"), "added")


def show_one(visit: Visit) -> Answer:
    """GET /console/groups/ID."""
    group_id = visit.path["id"]
    asked: dict[str, Any] = {
        "matching": visit.asked("q"),
        "is_local": _BECAUSE.get(visit.asked("because")),
    }
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: groups.members(
                tx, visit.tenant_id, group_id, **asked, after=after, limit=limit
            )
        )
        return Sheet(
            "members", ("Login", "Put there here"), [(it.login, it.is_local) for it in found]
        )
    after = visit.asked("after") or None
    return Screen(
        "group.html",
        {
            "group": visit.read(groups.head, group_id),
            "members": visit.read(groups.members, group_id, **asked, after=after),
        },
    )


def put(visit: Visit) -> Answer:
    """POST …/put: somebody into the group."""
    visit.change(groups.add_member, group=visit.path["id"], user=visit.needed("user", "The person"))
    return Done(visit.url(f"groups/{visit.path['id']}"), "put")


def take(visit: Visit) -> Answer:
    """POST …/take: somebody out of it."""
    group_id, user = visit.path["id"], visit.given("user")
    back = visit.url(f"groups/{group_id}")
    if not visit.is_sure:
        return leaving(visit, group_id, user, back)
    visit.change(groups.remove_member, group=group_id, user=user)
    return Done(back, "taken")


def leaving(visit: Visit, group: str, user: str, back: str) -> Sure:
    """The question before somebody is taken out of a group."""
    head, person = visit.read(groups.head, group), visit.read(users.load, user)
    affected = ["The account stays, and so do other groups."]
    if head.roles:
        affected.insert(
            0, f"They lose with the next refresh what it alone gives them: {', '.join(head.roles)}."
        )
    return Sure(f"Take {person.login} out of {head.name}?", "Take out", affected, back)


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    group_id = visit.path["id"]
    if not visit.is_sure:
        found = visit.read(groups.head, group_id)
        affected = [f"{found.members} people are in it; their accounts stay."]
        if found.roles:
            affected.append(
                f"They lose what it holds with the next refresh: {', '.join(found.roles)}."
            )
        return Sure(f"Remove {found.name}?", "Remove", affected, visit.url(f"groups/{group_id}"))
    visit.change(groups.remove, group=group_id)
    return Done(visit.url("groups"), "removed")


PAGE = Page(
    "groups",
    "Groups",
    Permission.READ,
    show,
    (Act("add", add),),
    section="People",
    done={"removed": "The group is gone, with the roles it held."},
)
ONE = Page(
    "groups/{id}",
    "Group",
    Permission.READ,
    show_one,
    (Act("put", put), Act("take", take), Act("remove", remove)),
    section="People",
    is_listed=False,
    done={
        "added": "The group is there. Put people into it, or map a claim to it.",
        "put": "They are in the group. Their next token has what its roles hold.",
        "taken": "They are out of the group. Their next token and refresh is without its roles.",
    },
)
