"""One role: what it holds, what it takes, and who holds it."""

from collections.abc import Sequence
from dataclasses import dataclass

from authz.admin import groups, role_changes, role_view, roles, simulate
from authz.admin.role_view import RoleDetails
from authz.directory import users
from authz.policy.administration import Permission
from authz.policy.requirements import LOCAL
from authz.web.console.fields import end, listed, requirement, requirement_fields, spelled
from authz.web.console.tables import Part
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

_EVERYWHERE = "Every server that declares them"
HOLDERS = ("Kind", "Holder", "Until")
_ABOUT = {"name": "Name", "description": "What it is for", "includes": "Includes"}
_TAKES = {"acr": "acr", "max_age": "Minutes since the sign-in", "connection": "Connection"}


@dataclass(frozen=True)
class _Scopes:
    """What a role holds in one place."""

    server: str
    """Its address; empty: wherever they are declared."""
    scopes: Sequence[str]

    @property
    def where(self) -> str:
        return self.server or _EVERYWHERE


_SCOPES: Part[_Scopes] = Part(
    "scopes",
    ("Where", "Scopes"),
    lambda it: (it.where, it.scopes),
    lambda it: " ".join((it.where, *it.scopes)),
    {"where": lambda it: "server" if it.server else "anywhere"},
    name="scopes",
)


def show(visit: Visit) -> Answer:
    """GET /console/roles/ID."""
    found = _found(visit)
    asked = {"q": visit.asked("q"), "kind": visit.asked("kind")}
    if visit.asked("format") == "csv":
        holders = visit.gather(
            lambda tx, after, limit: role_view.holders(
                tx, visit.tenant_id, found.id, **asked, after=after, limit=limit
            )
        )
        return Sheet("holders", HOLDERS, [(it.kind, it.name, it.until) for it in holders])
    own = [
        *([_Scopes("", found.anywhere)] if found.anywhere else []),
        *map(_Scopes, found.at, found.at.values()),
    ]
    if sheet := _SCOPES.sheet(visit, own):
        return sheet
    slugs = sorted(it.slug for it in visit.configuration.policy.connections.values())
    return Screen(
        "role.html",
        {
            "role": found,
            "holders": visit.read(
                role_view.holders, found.id, **asked, after=visit.asked("after") or None
            ),
            "has_scopes": bool(own),
            "scopes": _SCOPES.page(visit, own),
            "takes": requirement_fields(found.requires),
            "connections": [LOCAL, *slugs],
            "servers": simulate.servers(visit.configuration),
        },
    )


def describe(visit: Visit) -> Answer:
    """POST …/describe: its name, what it is for, what it includes."""
    found = _found(visit)
    visit.edit(
        _ABOUT,
        lambda tx: _about(role_view.show(tx, visit.tenant_id, found.id)),
        role_changes.change,
        found.name,
        name=visit.needed("name", "The name"),
        description=visit.given("description"),
        includes=listed(visit.given("includes")),
    )
    return _done(visit, "described")


def hold(visit: Visit) -> Answer:
    """POST …/scopes: what it holds at every server that declares it."""
    found = _found(visit)
    visit.edit(
        {"scopes": "Scopes at every server"},
        lambda tx: {"scopes": spelled(role_view.show(tx, visit.tenant_id, found.id).anywhere)},
        role_changes.set_scopes,
        found.name,
        scopes=listed(visit.given("scopes")),
    )
    return _done(visit, "scopes")


def require(visit: Visit) -> Answer:
    """POST …/require: how whoever holds it must have signed in for it to count."""
    found = _found(visit)
    visit.edit(
        _TAKES,
        lambda tx: requirement_fields(role_view.show(tx, visit.tenant_id, found.id).requires),
        roles.require,
        role=found.name,
        required=requirement(visit),
    )
    return _done(visit, "required")


def bind(visit: Visit) -> Answer:
    """POST …/bind."""
    visit.change(
        roles.bind,
        role=_found(visit).name,
        kind=visit.given("kind"),
        holder=visit.needed("holder", "Who gets the role"),
        until=end(visit),
    )
    return _done(visit, "bound")


def unbind(visit: Visit) -> Answer:
    """POST …/unbind."""
    found = _found(visit)
    kind, holder = visit.given("kind"), visit.given("holder")
    if not visit.is_sure:
        who = _name(visit, kind, holder)
        affected = [
            "What nothing else gives them is missing from the next token and refresh.",
            *(["That is for everybody in the group."] if kind == "group" else []),
        ]
        return Sure(
            f"Take {found.name} away from {who}?", "Take it away", affected, _address(visit)
        )
    visit.change(roles.unbind, role=found.name, kind=kind, holder=holder)
    return _done(visit, "unbound")


def _name(visit: Visit, kind: str, holder: str) -> str:
    if kind == "user":
        return str(visit.read(users.load, holder).login)
    return str(visit.read(groups.head, holder).name) if kind == "group" else holder


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    found = _found(visit)
    if not visit.is_sure:
        return Sure(
            f"Remove the role {found.name}?", "Remove it", _affected(found), _address(visit)
        )
    visit.change(role_changes.remove, found.name)
    return Done(visit.url("roles"), "removed")


def _affected(found: RoleDetails) -> list[str]:
    lines = [
        f"{counted(found.reach, 'person loses', 'people lose')} it with their next token and refresh."
    ]
    if found.holders.get("client"):
        lines.append(f"{counted(found.holders['client'], 'client')} of its own will lose it too.")
    if found.included_by:
        lines.append(f"These roles include it and hold less then: {', '.join(found.included_by)}.")
    return lines


def _found(visit: Visit) -> RoleDetails:
    found: RoleDetails = visit.read(role_view.show, visit.path["id"])
    return found


def _about(found: RoleDetails) -> dict[str, str]:
    return {
        "name": found.name,
        "description": found.description,
        "includes": spelled(found.includes),
    }


def _address(visit: Visit) -> str:
    return visit.url(f"roles/{visit.path['id']}")


def _done(visit: Visit, said: str) -> Done:
    return Done(_address(visit), said)


PAGE = Page(
    "roles/{id}",
    "Role",
    Permission.READ,
    show,
    (
        Act("describe", describe),
        Act("scopes", hold),
        Act("require", require),
        Act("bind", bind),
        Act("unbind", unbind),
        Act("remove", remove),
    ),
    section="Policy",
    is_listed=False,
    done={
        "added": "The role is there. Give it scopes, then say who holds it.",
        "described": "The role is changed.",
        "scopes": "The next token and refresh holds what the role holds now.",
        "required": "That is what it takes from now on.",
        "bound": "They hold the role. Their next token has what it gives.",
        "unbound": "They hold it no more. Their next token and refresh is without it.",
    },
)
