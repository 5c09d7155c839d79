"""Delegations: which client may exchange tokens of one MCP server for tokens of another, carrying what (TX-07)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients, resources
from authz.admin.operator import Operator
from authz.admin.scopes import scopes_of
from authz.db.models import Delegation, Resource
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.delegations import MAX_DEPTH, check_carries, check_depth
from authz.oauth.grants.token_exchange import TOKEN_EXCHANGE
from authz.policy.administration import Permission


@dataclass(frozen=True)
class DelegationLine:
    """A rule in a list."""

    id: str
    client_id: str
    from_server: str
    to_server: str
    carries: Mapping[str, list[str]]
    """Scope there -> the scopes here of which any carries it."""
    max_depth: int


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    client_id: str,
    from_server: str,
    to_server: str,
    carries: Mapping[str, Iterable[str]],
    max_depth: int = MAX_DEPTH,
) -> DelegationLine:
    """Let a client exchange tokens. Raises NotFound, Invalid naming the value, Conflict."""
    operator.must(Permission.TRUST_WRITE)
    with about("client_id"):
        client = clients.load(tx, tenant_id, client_id)
    if client.metadata_.get("token_endpoint_auth_method", "none") == "none":
        raise Invalid(
            f"the client {client_id!r} does not authenticate; whoever knows a token could exchange it",
            field="client_id",
        )
    if client.kind == "registered" and TOKEN_EXCHANGE not in client.metadata_.get(
        "grant_types", ()
    ):
        raise Invalid(
            f"the client {client_id!r} is not registered for token exchange; add it with --grant {TOKEN_EXCHANGE}",
            field="client_id",
        )
    with about("from_server"):
        source = _server(tx, tenant_id, from_server)
    with about("to_server"):
        target = _server(tx, tenant_id, to_server)
    checked = check_carries(carries)
    _check_declared(tx, checked, source, target)
    row = Delegation(
        id=entropy.new_id("dlg"),
        tenant_id=tenant_id,
        client_id=client_id,
        from_id=source.id,
        to_id=target.id,
        carries=checked,
        max_depth=check_depth(max_depth),
        created_at=operator.now,
    )
    taken = tx.scalars(
        select(Delegation.id).where(
            Delegation.tenant_id == tenant_id,
            Delegation.client_id == client_id,
            Delegation.from_id == source.id,
            Delegation.to_id == target.id,
        )
    ).first()
    if taken is not None:
        raise Conflict(
            f"{client_id} exchanges tokens from {source.identifier} to {target.identifier} already ({taken}); "
            "remove that rule first"
        )
    tx.add(row)
    tx.flush()
    line = _line(row, {it.id: it.identifier for it in (source, target)})
    values = {
        "from": line.from_server,
        "to": line.to_server,
        "carries": checked,
        "max_depth": row.max_depth,
    }
    operator.changed(tx, tenant_id, "delegation.add", row.id, values, client=client_id)
    return line


def remove(tx: Session, operator: Operator, tenant_id: str, delegation_id: str) -> DelegationLine:
    """Take a rule away; tokens that came of it end within their minutes."""
    operator.must(Permission.TRUST_WRITE)
    row = _load(tx, tenant_id, delegation_id)
    line = _line(row, _identifiers(tx, tenant_id))
    tx.delete(row)
    tx.flush()
    values = {"from": line.from_server, "to": line.to_server}
    operator.changed(tx, tenant_id, "delegation.remove", row.id, values, client=row.client_id)
    return line


def show(tx: Session, tenant_id: str, delegation_id: str) -> DelegationLine:
    """One rule. Raises NotFound."""
    return _line(_load(tx, tenant_id, delegation_id), _identifiers(tx, tenant_id))


def list_(tx: Session, tenant_id: str) -> list[DelegationLine]:
    """All rules, by client and servers."""
    names = _identifiers(tx, tenant_id)
    rows = tx.scalars(select(Delegation).where(Delegation.tenant_id == tenant_id))
    lines = [_line(row, names) for row in rows]
    return sorted(lines, key=lambda it: (it.client_id, it.from_server, it.to_server))


def _server(tx: Session, tenant_id: str, reference: str) -> Resource:
    row = resources.load(tx, tenant_id, reference)
    if row.server_id is not None:
        raise Invalid(
            f"no tokens for {row.identifier} are issued here; ID-JAGs are, under `authz targets`"
        )
    return row


def _load(tx: Session, tenant_id: str, delegation_id: str) -> Delegation:
    row = tx.get(Delegation, delegation_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(
            f"there is no delegation {delegation_id!r}; `authz delegations list` shows them"
        )
    return row


def _check_declared(
    tx: Session, carries: Mapping[str, list[str]], source: Resource, target: Resource
) -> None:
    here, there = ({scope.name for scope in scopes_of(tx, it.id)} for it in (source, target))
    for scope, by in carries.items():
        if scope not in there:
            raise Invalid(f"{target.identifier} declares no scope {scope!r}", field="carries")
        for name in by:
            if name not in here:
                raise Invalid(
                    f"{source.identifier} declares no scope {name!r}; write {scope}=SCOPE to say what carries it",
                    field="carries",
                )


def _identifiers(tx: Session, tenant_id: str) -> dict[str, str]:
    rows = tx.execute(
        select(Resource.id, Resource.identifier).where(Resource.tenant_id == tenant_id)
    )
    return {row.id: row.identifier for row in rows}


def _line(row: Delegation, names: Mapping[str, str]) -> DelegationLine:
    return DelegationLine(
        id=row.id,
        client_id=row.client_id,
        from_server=names[row.from_id],
        to_server=names[row.to_id],
        carries=row.carries,
        max_depth=row.max_depth,
    )
