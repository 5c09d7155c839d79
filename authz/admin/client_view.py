"""Clients as an administrator sees them: who vouches for them, what they hold, and what they changed of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from authz.admin import client_trust, clients, grants
from authz.admin.client_trust import RequestLine
from authz.admin.clients import ClientDetails, ClientLine
from authz.admin.grants import Extent
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.clients.resolution import changed_members, is_approved
from authz.clients.trust import TrustPolicy, Verdict
from authz.db.lists import among
from authz.db.models import Client, ClientRequest, TokenFamily
from authz.db.types import canonical_json
from authz.directory import users
from authz.entropy import digest
from authz.errors import Conflict, Invalid
from authz.policy.administration import Permission

KINDS = ("registered", "cimd", "dynamic")
APPROVED, KNOWN, REFUSED, BLOCKED = "approved", "known", "refused", "blocked"
STANDINGS = (APPROVED, KNOWN, REFUSED, BLOCKED)
"""Somebody here vouches for it; nobody does; trust rules keep it out; it is switched off."""


@dataclass(frozen=True)
class Entry:
    """A client in a long list."""

    line: ClientLine
    standing: str
    grants: int
    """Live ones."""
    has_changed: bool
    """Since somebody looked at what it says of itself."""


@dataclass(frozen=True)
class Change:
    """A member of the metadata that is not what it was; None: it was not there, or is not any more."""

    member: str
    was: Any
    now: Any


@dataclass(frozen=True)
class View:
    """One client with everything around it."""

    details: ClientDetails
    standing: str
    verdict: Verdict | None
    """What the trust rules say of its document; None for a client without one."""
    document_digest: str
    fetched_at: datetime | None
    fresh_until: datetime | None
    changes: Sequence[Change]
    request: RequestLine | None
    asked_by: str | None
    extent: Extent


def page(
    tx: Session,
    tenant_id: str,
    now: datetime,
    *,
    q: str = "",
    kind: str = "",
    standing: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[Entry]:
    """Clients by name; `q` is part of a name or an identifier."""
    check_limit(limit)
    trust = client_trust.trust_policy(tx, tenant_id)
    query = (
        select(Client)
        .where(Client.tenant_id == tenant_id, *behind(after, Client.name, Client.id))
        .order_by(Client.name, Client.id)
        .limit(limit + 1)
    )
    if q:
        wanted = q.lower()
        query = query.where(
            or_(
                func.lower(Client.name).contains(wanted, autoescape=True),
                func.lower(Client.id).contains(wanted, autoescape=True),
            )
        )
    if kind:
        query = query.where(Client.kind == kind)
    if standing:
        query = query.where(_stands(tx, tenant_id, trust, standing))
    rows = tx.scalars(query).all()
    held = _held(tx, tenant_id, [row.id for row in rows], now)
    entries = [
        Entry(
            clients.line(row),
            _standing(row, trust),
            held.get(row.id, 0),
            row.accepted is not None,
        )
        for row in rows
    ]
    return sliced(entries, limit, [cursor_of(it.line.name, it.line.id) for it in entries])


def show(tx: Session, tenant_id: str, client_id: str, now: datetime) -> View:
    """One client. Raises NotFound."""
    row = clients.load(tx, tenant_id, client_id)
    trust = client_trust.trust_policy(tx, tenant_id)
    request = client_trust.find_request(tx, tenant_id, client_id)
    asked_by = None
    if request is not None:
        asked_by = users.logins(tx, tenant_id, [request.user_id]).get(request.user_id)
    return View(
        details=clients.details(tx, row),
        standing=_standing(row, trust),
        verdict=trust.judge(row.id) if row.kind == "cimd" else None,
        document_digest=_digest(row.metadata_),
        fetched_at=row.fetched_at,
        fresh_until=row.fresh_until,
        changes=_changes(row.accepted, row.metadata_),
        request=request,
        asked_by=asked_by,
        extent=grants.extent(tx, tenant_id, now, client_id=client_id),
    )


def accept(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, document_digest: str
) -> None:
    """Take what the client says of itself as looked at. Raises Conflict if it is not that any more (CIMD-28)."""
    operator.must(Permission.CLIENTS_WRITE)
    row = clients.load(tx, tenant_id, client_id)
    if row.accepted is None:
        raise Conflict(f"nothing about the client {client_id!r} waits to be looked at")
    if _digest(row.metadata_) != document_digest:
        raise Conflict(f"the client {client_id!r} changed again meanwhile; look at it again")
    changed = changed_members(row.accepted, row.metadata_)
    row.accepted, row.updated_at = None, operator.now
    tx.flush()
    values = {"digest": document_digest, "changed": changed}
    operator.changed(tx, tenant_id, "client.accept", client_id, values, client=client_id)


@dataclass(frozen=True)
class Fallout:
    """Whom a change of the trust rules would keep out."""

    clients: Sequence[str]
    extent: Extent


def fallout(
    tx: Session,
    tenant_id: str,
    now: datetime,
    *,
    mode: str | None = None,
    rule: tuple[str, str | None] | None = None,
) -> Fallout:
    """Of another mode, or of a rule: a pattern and its verdict, None for a rule that goes."""
    before = client_trust.trust_policy(tx, tenant_id)
    after = TrustPolicy(mode or before.mode, before.allow, before.deny)
    if rule is not None:
        pattern, verdict = rule
        own = {"allow": before.allow - {pattern}, "deny": before.deny - {pattern}}
        if verdict in own:
            own[verdict] |= {pattern}
        after = TrustPolicy(after.mode, **own)
    known = tx.scalars(
        select(Client.id).where(Client.tenant_id == tenant_id, Client.kind == "cimd")
    )
    fallen = [
        it
        for it in known
        if before.judge(it) is Verdict.ADMITTED and after.judge(it) is not Verdict.ADMITTED
    ]
    return Fallout(fallen, grants.extent(tx, tenant_id, now, client_ids=fallen))


def _changes(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[Change]:
    if was is None:
        return []
    return [Change(name, was.get(name), now.get(name)) for name in changed_members(was, now)]


def _digest(metadata: Mapping[str, Any]) -> str:
    return digest(canonical_json(metadata))


def _standing(row: Client, trust: TrustPolicy) -> str:
    if row.status == "blocked":
        return BLOCKED
    if row.kind != "cimd":
        return APPROVED if row.status == "active" else KNOWN
    return _document_standing(row.id, trust)


def _document_standing(client_id: str, trust: TrustPolicy) -> str:
    if trust.judge(client_id) is not Verdict.ADMITTED:
        return REFUSED
    return APPROVED if is_approved(trust, client_id) else KNOWN


def _stands(tx: Session, tenant_id: str, trust: TrustPolicy, standing: str) -> Any:
    if standing not in STANDINGS:
        raise Invalid(f"status {standing!r} is not one of {', '.join(STANDINGS)}")
    if standing == BLOCKED:
        return Client.status == "blocked"
    # Rules are patterns of hosts: what they say of a document is not in its row.
    documents = tx.scalars(
        select(Client.id).where(
            Client.tenant_id == tenant_id, Client.kind == "cimd", Client.status != "blocked"
        )
    )
    fitting = [it for it in documents if _document_standing(it, trust) == standing]
    of_row = {APPROVED: "active", KNOWN: "known"}.get(standing)
    by_row = and_(Client.kind != "cimd", Client.status == of_row)
    return or_(by_row, and_(Client.kind == "cimd", among(tx, Client.id, fitting)))


def _held(tx: Session, tenant_id: str, ids: Sequence[str], now: datetime) -> Mapping[str, int]:
    rows = tx.execute(
        select(TokenFamily.client_id, func.count().label("held"))
        .where(*grants.is_live(tenant_id, now), among(tx, TokenFamily.client_id, ids))
        .group_by(TokenFamily.client_id)
    )
    return {row.client_id: row.held for row in rows}


def requests_page(
    tx: Session,
    tenant_id: str,
    *,
    status: str = "open",
    q: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[tuple[RequestLine, str | None]]:
    """What people asked for and who asked, the oldest first."""
    check_limit(limit)
    query = (
        select(ClientRequest)
        .where(
            ClientRequest.tenant_id == tenant_id,
            *behind(after, ClientRequest.created_at, ClientRequest.client_id),
        )
        .order_by(ClientRequest.created_at, ClientRequest.client_id)
        .limit(limit + 1)
    )
    if status:
        query = query.where(ClientRequest.status == status)
    if q:
        query = query.where(
            func.lower(ClientRequest.client_id).contains(q.lower(), autoescape=True)
        )
    lines = [client_trust.request_line(row) for row in tx.scalars(query)]
    names = users.logins(tx, tenant_id, {it.user_id for it in lines})
    told = [(it, names.get(it.user_id)) for it in lines]
    return sliced(told, limit, [cursor_of(it.created_at, it.client_id) for it in lines])
