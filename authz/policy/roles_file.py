"""The roles file: YAML text to a frozen value and back (pure).

    roles: {developer: [logs.read, analytics.query], sre: [logs.read, logs.debug.write, incidents.trigger]}

is a whole file, and so is the same without `roles:` around it. The fuller form is in docs/roles.md.

Decisions: the text is read as a tree of nodes and never constructed, so no tag can make an object, every error names
its line, and a word that YAML takes for something else (`yes`, `1.0`) is refused instead of turned into it. Anchors
and aliases are refused: a kilobyte of them can stand for a terabyte.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from authz.directory.users import normal_login
from authz.errors import Invalid
from authz.policy.scopes import is_scope_name
from authz.policy.snapshot import cycle_in
from authz.urls import UrlError, canonical_resource

MAX_CHARS = 1_000_000
_MAX_DEPTH = 8
_ROLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_STRING = "tag:yaml.org,2002:str"
_TIME = "tag:yaml.org,2002:timestamp"
_MAX_DESCRIPTION = 500
# Escapes can write them, and no database stores them: NUL, and half a surrogate pair.
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class RoleEntry:
    """One role as written: its own scopes, and what it includes."""

    description: str = ""
    includes: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    """At every server that declares them."""
    at: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By server, only there."""


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


def parse(text: str) -> RolesFile:
    """Read a file. Raises Invalid naming the line, what stands there and what is expected."""
    if len(text) > MAX_CHARS:
        raise Invalid(f"the roles file has {len(text)} characters; {MAX_CHARS} are possible")
    try:
        root = _Tree(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise Invalid(f"{where}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise Invalid(f"not valid YAML: {' '.join(str(error).split())}") from None
    except (ValueError, OverflowError):
        # What PyYAML does not foresee: \UFFFFFFFF, a version number of five thousand digits.
        raise Invalid("not valid YAML: an escape or a number is out of range") from None
    if root is None:
        raise Invalid("the file is empty; `roles: {}` says that there are to be no roles")
    top = _mapping(root, "the file")
    roles_node, bindings_node = top.get("roles"), top.get("bindings")
    if top and roles_node is bindings_node and _all_lists(root):  # neither: the bare short form
        roles_node = root
    else:
        _only(root, {"roles", "bindings"}, "the file")
    if roles_node is None:
        raise Invalid("the file has no `roles`; `roles: {}` says that there are to be none")
    roles = {name: _role(key, name, node) for key, name, node in _pairs(roles_node, "`roles`")}
    _check_inclusions(roles)
    bindings = None if bindings_node is None else tuple(_bindings(bindings_node, roles))
    return RolesFile(roles, bindings)


def dump(file: RolesFile) -> str:
    """The text of a file; `parse(dump(file))` equals the file."""
    roles = {name: _dumped_role(role) for name, role in sorted(file.roles.items())}
    document: dict[str, Any] = {"roles": roles}
    if file.bindings is not None:
        document["bindings"] = [_dumped_binding(binding) for binding in file.bindings]
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, allow_unicode=True)


class _Tree(yaml.SafeLoader):
    """Composes nodes, refusing what can make a small text a large value."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """As PyYAML does it, without anchors and with a bound on nesting."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # not in the stubs
        line = event.start_mark.line + 1 if event.start_mark else 1
        if getattr(event, "anchor", None) is not None:
            raise Invalid(f"line {line}: anchors and aliases (& and *) are not read; write it out")
        if self._depth > _MAX_DEPTH:
            raise Invalid(f"line {line}: nested too deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _role(key: Node, name: str, node: Node) -> RoleEntry:
    if not _ROLE_NAME.fullmatch(name):
        raise _wrong(key, f"{name!r} cannot name a role: letters, digits and ._:/@-, 128 at most")
    what = f"the role {name!r}"
    if isinstance(node, SequenceNode):
        return RoleEntry(scopes=_scopes(node, what))
    members = _mapping(node, what)
    _only(node, {"description", "includes", "scopes", "at"}, what)
    at: dict[str, frozenset[str]] = {}
    seen: set[str] = set()
    if "at" in members:
        for key_node, url, scopes in _pairs(members["at"], f"`at` of {what}"):
            try:
                canonical = canonical_resource(url)
            except UrlError as error:
                raise _wrong(key_node, str(error)) from None
            if canonical in seen:
                raise _wrong(key_node, f"{what} names the server {url!r} twice")
            seen.add(canonical)
            at[url] = _scopes(scopes, f"{what} at {url}")
            if not at[url]:
                raise _wrong(key_node, f"{what} names no scope at {url}; leave the line out")
    description = _text(members["description"], what).strip() if "description" in members else ""
    if len(description) > _MAX_DESCRIPTION or not description.isprintable():
        raise _wrong(node, f"the description of {what} has {_MAX_DESCRIPTION} characters at most")
    return RoleEntry(
        description=description,
        includes=_names(members.get("includes"), f"`includes` of {what}"),
        scopes=_scopes(members.get("scopes"), what),
        at=at,
    )


def _check_inclusions(roles: Mapping[str, RoleEntry]) -> None:
    for name, role in roles.items():
        for included in sorted(role.includes - roles.keys()):
            raise Invalid(f"the role {name!r} includes {included!r}, which the file does not have")
    try:
        cycle = cycle_in({name: sorted(role.includes) for name, role in roles.items()})
    except RecursionError:
        raise Invalid("roles include each other hundreds deep; include fewer levels") from None
    if cycle:
        raise Invalid(f"roles include each other in a circle: {' -> '.join(cycle)}; break it")


def _bindings(node: Node, roles: Mapping[str, RoleEntry]) -> Iterator[BindingEntry]:
    bound: set[tuple[str, str, str]] = set()
    for item in _items(node, "`bindings`"):
        members = _mapping(item, "a binding")
        _only(item, {"role", "users", "groups", "clients", "until"}, "a binding")
        if "role" not in members:
            raise _wrong(item, "the binding names no `role`")
        role = _text(members["role"], "`role` of a binding")
        if role not in roles:
            raise _wrong(members["role"], f"the binding is for {role!r}, which is not in `roles`")
        what = f"the binding of {role!r}"
        logins = _names(members.get("users"), f"users of {what}")
        binding = BindingEntry(
            role=role,
            users=frozenset(map(normal_login, logins)),
            groups=_names(members.get("groups"), f"groups of {what}"),
            clients=_names(members.get("clients"), f"clients of {what}"),
            until=_moment(members["until"], what) if "until" in members else None,
        )
        holders = [("user", name) for name in sorted(binding.users)]
        holders += [("group", name) for name in sorted(binding.groups)]
        holders += [("client", name) for name in sorted(binding.clients)]
        if not holders:
            raise _wrong(item, f"{what} names neither `users` nor `groups` nor `clients`")
        for kind, holder in holders:
            if (role, kind, holder) in bound:
                raise _wrong(item, f"the {kind} {holder!r} is bound to {role!r} twice")
            bound.add((role, kind, holder))
        yield binding


def _moment(node: Node, what: str) -> datetime:
    text = node.value if isinstance(node, ScalarNode) and node.tag in (_STRING, _TIME) else ""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    expected = "write date, time and zone: 2026-12-31T00:00:00Z"
    raise _wrong(node, f"`until` of {what} is {text!r}; {expected}")


def _scopes(node: Node | None, what: str) -> frozenset[str]:
    names = _names(node, f"the scopes of {what}")
    for name in sorted(names):
        if node is not None and not is_scope_name(name):
            raise _wrong(
                node, f"{name!r} in {what} is not the name of a scope; wildcards are not read"
            )
    return names


def _names(node: Node | None, what: str) -> frozenset[str]:
    if node is None:
        return frozenset()
    names = []
    for item in _items(node, what):
        name = _text(item, what)
        if not name or name in names:
            raise _wrong(
                item, f"{what} name {name!r} twice" if name else f"{what} hold an empty name"
            )
        names.append(name)
    return frozenset(names)


def _text(node: Node, what: str) -> str:
    if not isinstance(node, ScalarNode):
        raise _wrong(node, f"{what}: a word is expected here")
    if node.tag != _STRING:
        kind = node.tag.rpartition(":")[2]
        raise _wrong(node, f"{what}: YAML reads {node.value!r} as {kind}; put it in quotes")
    if _NOT_STORED.search(node.value):
        raise _wrong(node, f"{what}: {node.value!r} has a character that cannot be stored")
    return str(node.value)


def _items(node: Node, what: str) -> list[Node]:
    if not isinstance(node, SequenceNode) or not node.tag.endswith(":seq"):
        raise _wrong(node, f"{what}: a list is expected here, such as [logs.read, logs.write]")
    items: list[Node] = node.value
    return items


def _pairs(node: Node, what: str) -> Iterator[tuple[Node, str, Node]]:
    if not isinstance(node, MappingNode) or not node.tag.endswith(":map"):
        raise _wrong(node, f"{what}: names with values are expected here (`name: value`)")
    seen: set[str] = set()
    for key, value in node.value:
        name = _text(key, f"a key of {what}")
        if name in seen:
            raise _wrong(key, f"{what} has {name!r} twice")
        seen.add(name)
        yield key, name, value


def _mapping(node: Node, what: str) -> dict[str, Node]:
    return {name: value for _, name, value in _pairs(node, what)}


def _only(node: Node, known: set[str], what: str) -> None:
    for key, name, _ in _pairs(node, what):
        if name not in known:
            raise _wrong(
                key, f"{what} has the unknown key {name!r}; known: {', '.join(sorted(known))}"
            )


def _all_lists(node: Node) -> bool:
    return all(isinstance(value, SequenceNode) for _, _, value in _pairs(node, "the file"))


def _wrong(node: Node, message: str) -> Invalid:
    return Invalid(f"line {node.start_mark.line + 1}: {message}")


def _dumped_role(role: RoleEntry) -> list[str] | dict[str, Any]:
    """The short form when scopes say everything."""
    members = {
        "description": role.description,
        "includes": sorted(role.includes),
        "scopes": sorted(role.scopes),
        "at": {url: sorted(scopes) for url, scopes in sorted(role.at.items())},
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
