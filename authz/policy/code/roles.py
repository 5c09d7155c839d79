"""`roles` and `bindings`: the roles file as it stands, and as entries that can be compared.

`policy.roles_file` reads it. The types here say its form to editors, and a test holds the two against each other.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from authz.policy import requirements
from authz.policy.code.entries import (
    Change,
    Entries,
    Entry,
    Json,
    Requires,
    ScopeName,
    Url,
    spelled,
)
from authz.policy.roles_file import BindingEntry, RoleEntry, RolesFile
from authz.urls import canonical_resource

RoleName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
_Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class RoleForm(Entry):
    """One role, where a list of its scopes does not say everything."""

    description: Annotated[str, Field(max_length=500)] = ""
    """What it is for."""
    includes: tuple[RoleName, ...] = ()
    """Roles whose scopes it has as well."""
    scopes: tuple[ScopeName, ...] = ()
    """At every server that declares them."""
    at: dict[Url, tuple[ScopeName, ...]] = Field(default={})
    """By server, only there."""
    requires: Requires | None = None
    """How whoever holds it must have signed in for all of this to count."""


class BindingForm(Entry):
    """Who holds a role."""

    role: RoleName
    """Which."""
    users: tuple[str, ...] = ()
    """By login."""
    groups: tuple[str, ...] = ()
    """By name."""
    clients: tuple[str, ...] = ()
    """Clients that act on their own behalf."""
    until: _Moment | None = None
    """When it ends."""


ROLES_TYPES: Mapping[str, Any] = {
    "roles": dict[RoleName, RoleForm | tuple[ScopeName, ...]],
    "bindings": list[BindingForm],
}
KIND = "roles"


def entries_of(file: RolesFile) -> Entries:
    """Each role, and each holder of each role, under names of its own."""
    found: dict[str, Json] = {name: _role(role) for name, role in file.roles.items()}
    for binding in file.bindings or ():
        for holder in _holders(binding):
            found[f"{binding.role} for the {holder}"] = {"until": _until(binding)}
    return found


def is_binding(name: str) -> bool:
    """Whether an entry of this name says who holds a role; no role is called like one."""
    return " for the " in name


def widens(change: Change) -> bool:
    """Who holds a role for longer gets nothing now, and more later: nobody would be told of it then."""
    if change.verb != "change" or not is_binding(change.name):
        return False
    before, after = (change.before or {})["until"], (change.after or {})["until"]
    return before is not None and (after is None or after > before)


def _role(role: RoleEntry) -> Json:
    return {
        "description": role.description,
        "includes": sorted(role.includes),
        "scopes": sorted(role.scopes),
        "at": {canonical_resource(url): sorted(it) for url, it in sorted(role.at.items())},
        "requires": role.requires and requirements.as_json(role.requires),
    }


def _holders(binding: BindingEntry) -> Iterator[str]:
    for kind, names in (
        ("user", binding.users),
        ("group", binding.groups),
        ("client", binding.clients),
    ):
        yield from (f"{kind} {name}" for name in sorted(names))


def _until(binding: BindingEntry) -> str | None:
    if binding.until is None:
        return None
    return spelled(binding.until)
