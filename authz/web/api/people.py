"""People, groups and who is in them; signed-in browsers and live grants, and how they are ended."""

from collections.abc import Sequence

from authz.admin import grants, groups, person, sessions, users
from authz.admin.grants import GrantLine
from authz.admin.groups import GroupHead, GroupLine, MemberLine
from authz.admin.paging import Slice, holding, part_of
from authz.admin.person import HeldBinding, Membership
from authz.admin.sessions import SessionLine
from authz.admin.users import UserDetails, UserLine
from authz.directory import users as directory
from authz.web.api.kit import Change, Listing, Look, Route, Thing, Window, listed


def _users(look: Look, part: Window) -> Slice[UserLine]:
    return users.page(
        look.tx,
        look.tenant_id,
        matching=part.matching,
        status=part.find("status"),
        after=part.after,
        limit=part.limit,
    )


def _groups(look: Look, part: Window) -> Slice[GroupLine]:
    return groups.page(
        look.tx, look.tenant_id, matching=part.matching, after=part.after, limit=part.limit
    )


def _members(look: Look, part: Window) -> Slice[MemberLine]:
    return groups.members(
        look.tx,
        look.tenant_id,
        look.path["group"],
        matching=part.matching,
        after=part.after,
        limit=part.limit,
    )


def _person(look: Look, part: Window) -> str | None:
    """Whom a list is narrowed to, by login or id. Raises NotFound."""
    reference = part.find("user")
    return None if reference is None else directory.load(look.tx, look.tenant_id, reference).id


def _sessions(look: Look, part: Window) -> Slice[SessionLine]:
    user_id = _person(look, part)
    return sessions.page(
        look.tx, look.tenant_id, look.now, user_id=user_id, after=part.after, limit=part.limit
    )


def _grants(look: Look, part: Window) -> Slice[GrantLine]:
    return grants.page(
        look.tx,
        look.tenant_id,
        look.now,
        user_id=_person(look, part),
        client_id=part.find("client"),
        resource_id=part.find("server"),
        matching=part.matching,
        after=part.after,
        limit=part.limit,
    )


def _memberships(look: Look) -> Sequence[Membership]:
    return person.show(look.tx, look.tenant_id, look.path["user"]).memberships


def _held(look: Look, part: Window) -> Slice[HeldBinding]:
    rows = person.show(look.tx, look.tenant_id, look.path["user"]).roles
    # Held directly it comes before any group, none of which is without a name.
    return part_of(
        holding(rows, part.matching),
        lambda it: (it.role, it.through or ""),
        after=part.after,
        limit=part.limit,
    )


USER = Thing(
    "/users/{user}",
    "user",
    "One person, by login or id",
    lambda look: users.show(look.tx, look.tenant_id, look.path["user"], look.now),
    UserDetails,
    omit=frozenset({"live_grants"}),
)
GROUP = Thing(
    "/groups/{group}",
    "group",
    "One group, by name or id",
    lambda look: groups.head(look.tx, look.tenant_id, look.path["group"]),
    GroupHead,
    omit=frozenset({"members"}),
)
MEMBER = Thing(
    "/groups/{group}/members/{user}",
    "group_member",
    "Somebody in a group",
    lambda look: groups.member(look.tx, look.tenant_id, look.path["group"], look.path["user"]),
    MemberLine,
)
_OF_USER = {"user": "reference"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/users",
        "users",
        "People, by login",
        _users,
        UserLine,
        filters={"status": "active, disabled or deleted"},
    ),
    Change("POST", "/users", "users.add", "Add a person", made=lambda it: (it.id,)),
    USER,
    Change(
        "PUT",
        "/users/{user}/password",
        "users.set_password",
        "Replace the password; their browsers are signed out",
        inputs=_OF_USER,
        thing=USER,
    ),
    Change(
        "PUT",
        "/users/{user}/break-glass",
        "users.set_break_glass",
        "Whether they may sign in by password whatever their domain demands",
        inputs=_OF_USER,
        thing=USER,
    ),
    Change("POST", "/users/{user}/disable", "users.disable", "Close the account", inputs=_OF_USER),
    Change("POST", "/users/{user}/enable", "users.enable", "Open it again", inputs=_OF_USER),
    Change(
        "POST",
        "/users/{user}/end-access",
        "users.end_access",
        "End every session, grant, code and token of a person",
        inputs=_OF_USER,
    ),
    Listing(
        "/users/{user}/groups",
        "user_groups",
        "Which groups a person is in, and who says so",
        listed(_memberships, "group"),
        Membership,
    ),
    Listing(
        "/users/{user}/roles",
        "user_roles",
        "Which roles a person holds, directly or through a group",
        _held,
        HeldBinding,
    ),
    Listing("/groups", "groups", "Groups, by name", _groups, GroupLine),
    Change("POST", "/groups", "groups.add", "Add a group", made=lambda it: (it.id,)),
    GROUP,
    Change(
        "DELETE",
        "/groups/{group}",
        "groups.remove",
        "Forget a group that was made here, with the roles it holds",
        inputs={"group": "group"},
        thing=GROUP,
    ),
    Listing("/groups/{group}/members", "group_members", "Who is in a group", _members, MemberLine),
    Change(
        "POST",
        "/groups/{group}/members",
        "groups.add_member",
        "Put a person into a group",
        inputs={"group": "group"},
    ),
    MEMBER,
    Change(
        "DELETE",
        "/groups/{group}/members/{user}",
        "groups.remove_member",
        "Take a person out of a group",
        inputs={"group": "group", "user": "user"},
        thing=MEMBER,
    ),
    Listing(
        "/sessions",
        "sessions",
        "Signed-in browsers, the youngest first",
        _sessions,
        SessionLine,
        filters={"user": "Of this person, by login or id"},
        searches=False,
    ),
    Change(
        "POST",
        "/sessions/{session}/end",
        "sessions.end",
        "Sign one browser out; what was granted in it goes on",
        inputs={"session": "mark"},
        answer="user_id",
    ),
    Change(
        "POST",
        "/users/{user}/sign-out",
        "sessions.end_all",
        "Sign a person out of every browser",
        inputs=_OF_USER,
        answer="ended_sessions",
    ),
    Listing(
        "/grants",
        "grants",
        "Live grants, the youngest first",
        _grants,
        GrantLine,
        filters={
            "user": "Of this person, by login or id",
            "client": "Through this client",
            "server": "For this MCP server, by id",
        },
    ),
    Thing(
        "/grants/{grant}",
        "grant",
        "One live grant",
        lambda look: grants.show(look.tx, look.tenant_id, look.path["grant"], look.now),
        GrantLine,
        omit=frozenset({"last_used_at"}),
    ),
    Change(
        "POST",
        "/grants/{grant}/end",
        "grants.end",
        "End one grant with every token of it",
        inputs={"grant": "grant_id"},
    ),
)
