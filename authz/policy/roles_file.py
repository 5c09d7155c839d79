"""The roles file: YAML text to a frozen value and back (pure).

    roles: {developer: [logs.read, analytics.query], sre: [logs.read, logs.debug.write, incidents.trigger]}

is a whole file, and so is the same without `roles:` around it. The fuller form is in docs/roles.md.

The YAML of it is read by `policy.yaml_nodes`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from yaml.nodes import Node, ScalarNode, SequenceNode

from authz.directory.users import normal_login
from authz.errors import Invalid
from authz.policy import requirements, yaml_text
from authz.policy.requirements import Requirement
from authz.policy.scopes import is_scope_name
from authz.policy.snapshot import cycle_in
from authz.policy.yaml_nodes import (
    STRING,
    check_keys,
    compose,
    integer_of,
    items_of,
    mapping_of,
    names_of,
    pairs_of,
    text_of,
    wrong,
)
from authz.urls import UrlError, canonical_resource

_ROLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_TIME = "tag:yaml.org,2002:timestamp"
MAX_DESCRIPTION = 500


@dataclass(frozen=True)
class RoleEntry:
    """One role as written: its own scopes, and what it includes."""

    description: str = ""
    includes: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    """At every server that declares them."""
    at: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By server, only there."""
    requires: Requirement | None = None
    """How whoever holds it must have signed in for all of this to count."""


@dataclass(frozen=True)
class BindingEntry:
    """Who holds a role, by login, group name or client identifier, and until when."""

    role: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    """By `client_id`: clients that act on their own behalf."""
    until: datetime | None = None


@dataclass(frozen=True)
class RolesFile:
    """A whole file. `bindings=None` says nothing about bindings, which is not the same as none."""

    roles: Mapping[str, RoleEntry]
    bindings: tuple[BindingEntry, ...] | None = None


def is_role_name(text: str) -> bool:
    """Whether a role may be called this."""
    return _ROLE_NAME.fullmatch(text) is not None


def parse(text: str) -> RolesFile:
    """Read a file. Raises Invalid naming the line, what stands there and what is expected."""
    root = compose(text, "the roles file")
    if root is None:
        raise Invalid("the file is empty; `roles: {}` says that there are to be no roles")
    top = mapping_of(root, "the file")
    roles_node, bindings_node = top.get("roles"), top.get("bindings")
    if top and roles_node is bindings_node and is_short(root):  # neither: the bare short form
        roles_node = root
    else:
        check_keys(root, {"roles", "bindings"}, "the file")
    if roles_node is None:
        raise Invalid("the file has no `roles`; `roles: {}` says that there are to be none")
    roles = roles_of(roles_node)
    check_inclusions(roles)
    bindings = None if bindings_node is None else tuple(bindings_of(bindings_node, roles, set()))
    return RolesFile(roles, bindings)


def dump(file: RolesFile) -> str:
    """The text of a file; `parse(dump(file))` equals the file."""
    return yaml_text.write(document_of(file))


def document_of(file: RolesFile) -> dict[str, Any]:
    """What is dumped."""
    roles = {name: _dumped_role(role) for name, role in sorted(file.roles.items())}
    document: dict[str, Any] = {"roles": roles}
    if file.bindings is not None:
        document["bindings"] = [_dumped_binding(binding) for binding in file.bindings]
    return document


def roles_of(node: Node) -> dict[str, RoleEntry]:
    """The roles of the value of `roles`."""
    return {name: _role(key, name, value) for key, name, value in pairs_of(node, "`roles`")}


def is_short(root: Node) -> bool:
    """Whether this is the short form: nothing but names with lists."""
    return all(isinstance(value, SequenceNode) for _, _, value in pairs_of(root, "the file"))


def _role(key: Node, name: str, node: Node) -> RoleEntry:
    if not is_role_name(name):
        raise wrong(key, f"{name!r} cannot name a role: letters, digits and ._:/@-, 128 at most")
    what = f"the role {name!r}"
    if isinstance(node, SequenceNode):
        return RoleEntry(scopes=_scopes(node, what))
    members = mapping_of(node, what)
    check_keys(node, {"description", "includes", "scopes", "at", "requires"}, what)
    at: dict[str, frozenset[str]] = {}
    seen: set[str] = set()
    if "at" in members:
        for key_node, url, scopes in pairs_of(members["at"], f"`at` of {what}"):
            try:
                canonical = canonical_resource(url)
            except UrlError as error:
                raise wrong(key_node, str(error)) from None
            if canonical in seen:
                raise wrong(key_node, f"{what} names the server {url!r} twice")
            seen.add(canonical)
            at[url] = _scopes(scopes, f"{what} at {url}")
            if not at[url]:
                raise wrong(key_node, f"{what} names no scope at {url}; leave the line out")
    description = text_of(members["description"], what).strip() if "description" in members else ""
    if len(description) > MAX_DESCRIPTION:
        raise wrong(node, f"the description of {what} has {MAX_DESCRIPTION} characters at most")
    if not description.isprintable():
        raise wrong(
            node, f"the description of {what} has a character that is not printed; use one line"
        )
    return RoleEntry(
        description=description,
        includes=names_of(members.get("includes"), f"`includes` of {what}"),
        scopes=_scopes(members.get("scopes"), what),
        at=at,
        requires=_requires(members["requires"], what) if "requires" in members else None,
    )


def _requires(node: Node, what: str) -> Requirement:
    what = f"`requires` of {what}"
    check_keys(node, {"acr", "max_age", "connection"}, what)
    given: dict[str, Any] = {}
    for name, value in mapping_of(node, what).items():
        if name == "max_age":
            given[name] = integer_of(value, f"`max_age` in {what}")
        elif isinstance(value, ScalarNode):
            given[name] = text_of(value, f"`{name}` in {what}")
        else:
            given[name] = sorted(names_of(value, f"`{name}` in {what}"))
    try:
        return requirements.parse(given)
    except Invalid as error:
        raise wrong(node, f"{what}: {error}") from None


def check_inclusions(roles: Mapping[str, RoleEntry]) -> None:
    """Raises Invalid for a role that includes what there is not, or itself by a detour."""
    for name, role in roles.items():
        for included in sorted(role.includes - roles.keys()):
            raise Invalid(f"the role {name!r} includes {included!r}, which the file does not have")
    try:
        cycle = cycle_in({name: sorted(role.includes) for name, role in roles.items()})
    except RecursionError:
        raise Invalid("roles include each other hundreds deep; include fewer levels") from None
    if cycle:
        raise Invalid(f"roles include each other in a circle: {' -> '.join(cycle)}; break it")


def bindings_of(
    node: Node, roles: Mapping[str, RoleEntry], bound: set[tuple[str, str, str]]
) -> Iterator[BindingEntry]:
    """The bindings of the value of `bindings`; `bound` are those that were read before, and is added to."""
    for item in items_of(node, "`bindings`"):
        members = mapping_of(item, "a binding")
        check_keys(item, {"role", "users", "groups", "clients", "until"}, "a binding")
        if "role" not in members:
            raise wrong(item, "the binding names no `role`")
        role = text_of(members["role"], "`role` of a binding")
        if role not in roles:
            raise wrong(members["role"], f"the binding is for {role!r}, which is not in `roles`")
        what = f"the binding of {role!r}"
        logins = names_of(members.get("users"), f"users of {what}")
        binding = BindingEntry(
            role=role,
            users=frozenset(map(normal_login, logins)),
            groups=names_of(members.get("groups"), f"groups of {what}"),
            clients=names_of(members.get("clients"), f"clients of {what}"),
            until=_moment(members["until"], what) if "until" in members else None,
        )
        holders = [("user", name) for name in sorted(binding.users)]
        holders += [("group", name) for name in sorted(binding.groups)]
        holders += [("client", name) for name in sorted(binding.clients)]
        if not holders:
            raise wrong(item, f"{what} names neither `users` nor `groups` nor `clients`")
        for kind, holder in holders:
            if (role, kind, holder) in bound:
                raise wrong(item, f"the {kind} {holder!r} is bound to {role!r} twice")
            bound.add((role, kind, holder))
        yield binding


def _moment(node: Node, what: str) -> datetime:
    text = node.value if isinstance(node, ScalarNode) and node.tag in (STRING, _TIME) else ""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    expected = "write date, time and zone: 2026-12-31T00:00:00Z"
    raise wrong(node, f"`until` of {what} is {text!r}; {expected}")


def _scopes(node: Node | None, what: str) -> frozenset[str]:
    names = names_of(node, f"the scopes of {what}")
    for name in sorted(names):
        if node is not None and not is_scope_name(name):
            raise wrong(
                node, f"{name!r} in {what} is not the name of a scope; wildcards are not read"
            )
    return names


def _dumped_role(role: RoleEntry) -> list[str] | dict[str, Any]:
    """The short form when scopes say everything."""
    members = {
        "description": role.description,
        "includes": sorted(role.includes),
        "scopes": sorted(role.scopes),
        "at": {url: sorted(scopes) for url, scopes in sorted(role.at.items())},
        "requires": role.requires and requirements.as_json(role.requires),
    }
    given = {name: value for name, value in members.items() if value}
    return sorted(role.scopes) if given.keys() <= {"scopes"} else given


def _dumped_binding(binding: BindingEntry) -> dict[str, Any]:
    until = binding.until and binding.until.astimezone(UTC).isoformat().replace("+00:00", "Z")
    members = {
        "role": binding.role,
        "users": sorted(binding.users),
        "groups": sorted(binding.groups),
        "clients": sorted(binding.clients),
        "until": until,
    }
    return {name: value for name, value in members.items() if value}
