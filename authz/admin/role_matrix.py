"""The matrix of roles and scopes of one MCP server: what each role holds there, and why."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.paging import DEFAULT_LIMIT, Slice
from authz.admin.role_view import load, rows_by_name
from authz.db.models import Resource, RoleScope, Scope
from authz.errors import NotFound
from authz.policy.snapshot import ANY_RESOURCE, Policy


@dataclass(frozen=True)
class Cell:
    """One role and one scope at one server."""

    scope: str
    is_here: bool
    """It holds the scope at this server."""
    is_everywhere: bool
    """It holds the scope wherever it is declared."""
    through: str | None
    """The role it includes that brings it, where nothing of its own does."""


@dataclass(frozen=True)
class Row:
    """One role at one server."""

    id: str
    name: str
    cells: list[Cell]

    @property
    def here(self) -> str:
        """Its own scopes there, as forms say them."""
        return " ".join(sorted(it.scope for it in self.cells if it.is_here))


@dataclass(frozen=True)
class Matrix:
    """Roles by scopes of one server."""

    server: str
    server_id: str
    scopes: list[tuple[str, str]]
    """Name and risk."""
    rows: Slice[Row]


@dataclass(frozen=True)
class Held:
    """What one role holds at one server, as rows say it."""

    name: str
    here: str
    """Of what the server declares, as forms say it."""
    undeclared: frozenset[str]
    """What the server does not declare (any more): no form shows it, and none takes it away."""


def held(tx: Session, tenant_id: str, server_id: str, role_ids: Iterable[str]) -> dict[str, Held]:
    """By role. Raises NotFound."""
    declared = set(
        tx.scalars(
            select(Scope.name).where(Scope.resource_id == server_id, Scope.tenant_id == tenant_id)
        )
    )
    found = {}
    for role_id in role_ids:
        row = load(tx, tenant_id, role_id)
        scopes = set(
            tx.scalars(
                select(RoleScope.scope).where(
                    RoleScope.role_id == row.id, RoleScope.resource_id == server_id
                )
            )
        )
        here = " ".join(sorted(scopes & declared))
        found[role_id] = Held(row.name, here, frozenset(scopes - declared))
    return found


def matrix(
    tx: Session,
    tenant_id: str,
    policy: Policy,
    server_id: str,
    *,
    q: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Matrix:
    """What each role holds at one server, and why. Raises NotFound."""
    server = tx.get(Resource, server_id)
    if server is None or server.tenant_id != tenant_id:
        raise NotFound("there is no such MCP server")
    scopes = [
        (name, risk)
        for name, risk in tx.execute(
            select(Scope.name, Scope.risk)
            .where(Scope.resource_id == server.id)
            .order_by(Scope.name)
        )
    ]
    found = rows_by_name(tx, tenant_id, q, after, limit)
    own = {
        (role_id, place, scope)
        for role_id, place, scope in tx.execute(
            select(RoleScope.role_id, RoleScope.resource_id, RoleScope.scope).where(
                RoleScope.role_id.in_([row.id for row in found.rows]),
                RoleScope.resource_id.in_([server.id, ANY_RESOURCE]),
            )
        )
    }
    rows = [
        Row(
            row.id,
            row.name,
            [
                Cell(
                    scope=name,
                    is_here=(row.id, server.id, name) in own,
                    is_everywhere=(row.id, ANY_RESOURCE, name) in own,
                    through=_through(policy, row.id, server.id, name),
                )
                for name, _ in scopes
            ],
        )
        for row in found.rows
    ]
    return Matrix(server.identifier, server.id, scopes, Slice(rows, found.next))


def _through(policy: Policy, role_id: str, server_id: str, scope: str) -> str | None:
    role = policy.roles.get(role_id)
    if role is None:
        return None
    ways = role.grants.get((server_id, scope)) or role.grants.get((ANY_RESOURCE, scope)) or ()
    chains = [way.chain[1:] for way in ways]
    return " → ".join(chains[0]) if chains and all(chains) else None
