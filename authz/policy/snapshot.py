"""The policy of one tenant as one frozen value.

Built from rows by `build`, keyed by `config_version`: the same number means the same policy on every node. Users,
groups and their role bindings are not in here (there may be very many); they are facts, read by key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from authz.directory.assurance import Authentication
from authz.policy.requirements import LOCAL, Requirement, both, is_implied
from authz.policy.rollout import FULL, Rollout

ANY_RESOURCE = "*"
"""In a role: the scope at every resource that declares it (the short YAML form)."""
_MAX_WAYS = 16
"""Into one role from another, by what they require."""


FIRST_VERSION = 1
"""Of the meaning of a scope that never changed."""


@dataclass(frozen=True)
class Scope:
    """One scope of one resource."""

    name: str
    description: str = ""
    risk: str = "read"
    is_default: bool = False
    tools: tuple[str, ...] = ()
    requires: Requirement | None = None
    """How a person must have signed in to get it, whatever their roles require."""
    version: int = FIRST_VERSION
    """Of what it means: consent counts for the one that the person saw."""


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
    is_user_required: bool = False
    """No token for it without a person (M11)."""
    status_list: bool = False
    """Its tokens have a place in a token status list."""
    is_builtin: bool = False
    """Part of this server rather than an MCP server: no role holds its scopes, every enabled person does."""
    rollout: Rollout = FULL
    """How far it is rolled out, and to whom."""
    is_administration: bool = False
    """The tenant's own administration: admin roles alone hold its scopes (`policy.administration`)."""

    def versions_of(self, scopes: Iterable[str]) -> dict[str, int]:
        """Which version of these somebody is shown; OpenID's scopes have one."""
        declared = self.scopes
        return {it: declared[it].version if it in declared else FIRST_VERSION for it in scopes}


Place = tuple[str, str]
"""Resource id or `*`, and scope."""


class Way(NamedTuple):
    """How a role comes to a scope: the chain of role names that brings it, this role first."""

    chain: tuple[str, ...]
    requires: Requirement | None
    """All that the roles of the chain require, together."""


@dataclass(frozen=True)
class Role:
    """A role with everything it includes already folded in."""

    id: str
    name: str
    grants: Mapping[Place, tuple[Way, ...]]
    """Those to try for a scope, short ones first. One that requires nothing stands alone, and none asks for all that
    one before it asks for. Those at one server have the ones at every server behind them."""


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
    client_groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By client, of clients that are limited to people in one of these groups."""
    administrators: Mapping[tuple[str, str], tuple[HeldRole, ...]] = field(default_factory=dict)
    """By kind (`user`, `group`, `client`) and id: the admin roles they hold. They are few."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    """By id."""
    mappings: Mapping[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    """By connection: claim, value, and the group that whoever has it is in."""

    def stands(self, authentication: Authentication | None) -> bool:
        """Whether whoever vouched for a person may still do so: one that is gone or switched off may not."""
        if authentication is None or authentication.connection_id is None:
            return True
        return self.is_enabled(authentication.connection_id)

    def is_enabled(self, connection_id: str) -> bool:
        """Whether people may come from there."""
        connection = self.connections.get(connection_id)
        return connection is not None and connection.enabled

    def connection_name(self, authentication: Authentication | None) -> str | None:
        """What requirements call the place somebody signed in at."""
        if authentication is None:
            return None
        if authentication.connection_id is None:
            return LOCAL
        return self.slug_of(authentication.connection_id)

    @property
    def open_connections(self) -> frozenset[str]:
        """The slugs of those people may come from."""
        return frozenset(it.slug for it in self.connections.values() if it.enabled)

    def mapped_groups(
        self, connection_id: str, claims: Mapping[str, tuple[str, ...]]
    ) -> frozenset[str]:
        """The groups these claims of this connection mean, by explicit rules alone (ATK-28)."""
        rules = self.mappings.get(connection_id, ())
        return frozenset(group for claim, value, group in rules if value in claims.get(claim, ()))

    def slug_of(self, connection_id: str | None) -> str | None:
        """How a connection is called in tokens and rules."""
        connection = self.connections.get(connection_id or "")
        return None if connection is None else connection.slug

    def resources_of(self, client_id: str) -> frozenset[str]:
        """The MCP servers that ask about their tokens as this client, by id."""
        return frozenset(it.id for it in self.resources.values() if it.client_id == client_id)

    def find_resource(self, canonical: str) -> Resource | None:
        """The MCP server with this canonical identifier."""
        return self.by_canonical.get(canonical)

    @property
    def default_resource(self) -> Resource | None:
        """The only enabled resource, or the one marked as default (RI-04, MCP-AS-68)."""
        enabled = [r for r in self.by_canonical.values() if r.enabled and not r.is_administration]
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
    role_requires: Mapping[str, Requirement] = MappingProxyType({}),
    group_roles: Iterable[tuple[str, str, str, datetime | None]],
    client_roles: Iterable[tuple[str, str, datetime | None]] = (),
    client_groups: Iterable[tuple[str, Iterable[str]]] = (),
    connections: Iterable[Connection] = (),
    mappings: Iterable[tuple[str, str, str, str]] = (),
    builtin: Iterable[Resource] = (),
    administration: Resource | None = None,
    admin_roles: Mapping[str, Role] = MappingProxyType({}),
    administrators: Iterable[tuple[str, str, str, datetime | None, str | None]] = (),
) -> Policy:
    """From rows: roles (id, name), role_scopes (role, resource, scope), role_parents (role, included role), group_roles
    (group id, group name, role id, expiry), client_roles (client, role id, expiry), client_groups (client, groups it is
    limited to); `role_requires` is by role.
    Inclusion cycles, refused when written, end here too. `builtin` resources have no `resource` value that a request
    could name; the administration has one. `administrators` is (kind, id, admin role, expiry,
    name of the group).
    """
    named = [*resources, *([] if administration is None else [administration])]
    by_id = {r.id: r for r in (*named, *builtin)}
    names = dict(roles)
    own: dict[str, list[Place]] = {}
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
    administering: dict[tuple[str, str], list[HeldRole]] = {}
    for kind, subject_id, role_id, expires_at, group_name in administrators:
        administering.setdefault((kind, subject_id), []).append(HeldRole(role_id, expires_at))
        if group_name is not None:
            group_names[subject_id] = group_name
    mapped: dict[str, list[tuple[str, str, str]]] = {}
    for connection_id, *rule in mappings:
        mapped.setdefault(connection_id, []).append((rule[0], rule[1], rule[2]))
    return Policy(
        version=version,
        resources=MappingProxyType(by_id),
        by_canonical=MappingProxyType({r.canonical: r for r in named}),
        roles=MappingProxyType(
            {
                id_: Role(
                    id_, name, MappingProxyType(_folded(id_, names, own, parents, role_requires))
                )
                for id_, name in names.items()
            }
            | dict(admin_roles)
        ),
        group_roles=MappingProxyType({id_: tuple(roles) for id_, roles in held.items()}),
        groups=MappingProxyType(group_names),
        client_roles=MappingProxyType({id_: tuple(it) for id_, it in own_roles.items()}),
        client_groups=MappingProxyType({id_: frozenset(it) for id_, it in client_groups}),
        administrators=MappingProxyType({who: tuple(it) for who, it in administering.items()}),
        connections=MappingProxyType({it.id: it for it in connections}),
        mappings=MappingProxyType({id_: tuple(it) for id_, it in mapped.items()}),
    )


def _folded(
    role_id: str,
    names: Mapping[str, str],
    own: Mapping[str, list[Place]],
    parents: Mapping[str, list[str]],
    requires: Mapping[str, Requirement],
) -> Mapping[Place, tuple[Way, ...]]:
    """Breadth first, so the shortest chain names the source.

    A role is entered again only where that asks for less than every shorter way into it. Of more than `_MAX_WAYS` such
    ways the longest are forgotten: whoever could only go those gets nothing by them, and nobody can be told so many.
    """
    found: dict[Place, list[Way]] = {}
    first = Way((names[role_id],), requires.get(role_id))
    entered = {role_id: [first.requires]}
    level = [(role_id, first)]
    while level:
        following = []
        for current, way in level:
            for place in own.get(current, ()):
                found.setdefault(place, []).append(way)
            for parent in sorted(parents.get(current, ())):
                if parent not in names:
                    continue
                required = both(way.requires, requires.get(parent))
                before = entered.setdefault(parent, [])
                if any(is_implied(it, required) for it in before):
                    continue
                if required is None or len(before) < _MAX_WAYS:
                    before.append(required)
                    following.append((parent, Way((*way.chain, names[parent]), required)))
        level = following
    return {
        place: _worth_trying([*ways, *found.get((ANY_RESOURCE, place[1]), ())])
        for place, ways in found.items()
    }


def _worth_trying(ways: Iterable[Way]) -> tuple[Way, ...]:
    kept: list[Way] = []
    for way in ways:
        if way.requires is None:
            return (way,)
        if not any(is_implied(it.requires, way.requires) for it in kept):
            kept.append(way)
    return tuple(kept)


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
