"""The policy of one tenant as one frozen value.

Built from rows by `build`, keyed by `config_version`: the same number means the same policy on every node. Users,
groups and their role bindings are not in here (there may be very many); they are facts, read by key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from authz.directory.assurance import Authentication

ANY_RESOURCE = "*"
"""In a role: the scope at every resource that declares it (the short YAML form)."""


@dataclass(frozen=True)
class Scope:
    """One scope of one resource."""

    name: str
    description: str = ""
    risk: str = "read"
    is_default: bool = False
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resource:
    """An MCP server."""

    id: str
    identifier: str
    canonical: str
    name: str
    owner: str = ""
    enabled: bool = True
    is_default: bool = False
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    client_id: str | None = None
    """The client with which this server asks about its tokens (RFC 7662)."""
    is_builtin: bool = False
    """Part of this server rather than an MCP server: no role holds its scopes, every enabled person does."""


@dataclass(frozen=True)
class Role:
    """A role with everything it includes already folded in.

    `grants` maps (resource id or `*`, scope) to the chain of role names that brings it, this role first.
    """

    id: str
    name: str
    grants: Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class HeldRole:
    """A binding of a role to a user or group."""

    role_id: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Connection:
    """An identity provider, as far as policy minds: people are told apart by where they signed in."""

    id: str
    slug: str
    enabled: bool


@dataclass(frozen=True)
class Policy:
    """Resources, roles and group mappings of one tenant at one version."""

    version: int
    resources: Mapping[str, Resource]
    """By id."""
    roles: Mapping[str, Role]
    """By id."""
    group_roles: Mapping[str, tuple[HeldRole, ...]]
    """By group id."""
    groups: Mapping[str, str]
    """Names by group id, of groups that hold a role."""
    by_canonical: Mapping[str, Resource]
    client_roles: Mapping[str, tuple[HeldRole, ...]] = field(default_factory=dict)
    """By client, of clients that act on their own behalf."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    """By id."""

    def stands(self, authentication: Authentication | None) -> bool:
        """Whether whoever vouched for a person may still do so: one that is gone or switched off may not."""
        if authentication is None or authentication.connection_id is None:
            return True
        return self.is_enabled(authentication.connection_id)

    def is_enabled(self, connection_id: str) -> bool:
        """Whether people may come from there."""
        connection = self.connections.get(connection_id)
        return connection is not None and connection.enabled

    def slug_of(self, connection_id: str | None) -> str | None:
        """How a connection is called in tokens and rules."""
        connection = self.connections.get(connection_id or "")
        return None if connection is None else connection.slug

    def find_resource(self, canonical: str) -> Resource | None:
        """The MCP server with this canonical identifier."""
        return self.by_canonical.get(canonical)

    @property
    def default_resource(self) -> Resource | None:
        """The only enabled resource, or the one marked as default (RI-04, MCP-AS-68)."""
        enabled = [r for r in self.by_canonical.values() if r.enabled]
        marked = [r for r in enabled if r.is_default]
        if len(marked) == 1:
            return marked[0]
        return enabled[0] if len(enabled) == 1 else None


def build(
    version: int,
    *,
    resources: Iterable[Resource],
    roles: Iterable[tuple[str, str]],
    role_scopes: Iterable[tuple[str, str, str]],
    role_parents: Iterable[tuple[str, str]],
    group_roles: Iterable[tuple[str, str, str, datetime | None]],
    client_roles: Iterable[tuple[str, str, datetime | None]] = (),
    connections: Iterable[Connection] = (),
    builtin: Iterable[Resource] = (),
) -> Policy:
    """From rows: roles (id, name), role_scopes (role, resource, scope), role_parents (role, included role),
    group_roles (group id, group name, role id, expiry), client_roles (client, role id, expiry). Inclusion cycles,
    refused when written, end here too. `builtin` resources have no `resource` value that a request could name.
    """
    named = list(resources)
    by_id = {r.id: r for r in (*named, *builtin)}
    names = dict(roles)
    own: dict[str, list[tuple[str, str]]] = {}
    for role_id, resource_id, scope in role_scopes:
        own.setdefault(role_id, []).append((resource_id, scope))
    parents: dict[str, list[str]] = {}
    for role_id, parent_id in role_parents:
        parents.setdefault(role_id, []).append(parent_id)
    held: dict[str, list[HeldRole]] = {}
    group_names: dict[str, str] = {}
    for group_id, name, role_id, expires_at in group_roles:
        held.setdefault(group_id, []).append(HeldRole(role_id, expires_at))
        group_names[group_id] = name
    own_roles: dict[str, list[HeldRole]] = {}
    for client_id, role_id, expires_at in client_roles:
        own_roles.setdefault(client_id, []).append(HeldRole(role_id, expires_at))
    return Policy(
        version=version,
        resources=MappingProxyType(by_id),
        by_canonical=MappingProxyType({r.canonical: r for r in named}),
        roles=MappingProxyType(
            {
                id_: Role(id_, name, MappingProxyType(_flatten(id_, names, own, parents)))
                for id_, name in names.items()
            }
        ),
        group_roles=MappingProxyType({id_: tuple(roles) for id_, roles in held.items()}),
        groups=MappingProxyType(group_names),
        client_roles=MappingProxyType({id_: tuple(it) for id_, it in own_roles.items()}),
        connections=MappingProxyType({it.id: it for it in connections}),
    )


def _flatten(
    role_id: str,
    names: Mapping[str, str],
    own: Mapping[str, list[tuple[str, str]]],
    parents: Mapping[str, list[str]],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Breadth first, so the shortest chain names the source."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    seen = {role_id}
    level: list[tuple[str, tuple[str, ...]]] = [(role_id, (names[role_id],))]
    while level:
        following = []
        for current, chain in level:
            for grant in own.get(current, ()):
                found.setdefault(grant, chain)
            for parent in sorted(parents.get(current, ())):
                if parent not in seen and parent in names:
                    seen.add(parent)
                    following.append((parent, (*chain, names[parent])))
        level = following
    return found


def cycle_in(parents: Mapping[str, Iterable[str]]) -> list[str] | None:
    """A chain of role names that includes itself, or None; the first name is repeated at the end."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for parent in parents.get(name, ()):
            if cycle := walk(parent, [*path, name]):
                return cycle
        done.add(name)
        return None

    for name in parents:
        if cycle := walk(name, []):
            return cycle
    return None
