"""What a person sees and ends of their own: connected applications, requests, browsers. Nobody else's is ever there.

No permission is asked for: the `user_id` of their session is one condition of every question and every change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin import client_trust, grants, sessions
from authz.admin.client_trust import RequestLine
from authz.admin.operator import Operator
from authz.admin.paging import MAX_LIMIT
from authz.admin.sessions import SessionLine
from authz.db.models import Client, ClientRequest, Consent
from authz.errors import NotFound
from authz.policy.snapshot import Policy

DISCONNECTED = "user_disconnected"
_MOST_REQUESTS = 50


@dataclass(frozen=True)
class Connected:
    """One application that may use one server on behalf of the person."""

    client_id: str
    client_name: str
    kind: str
    resource_id: str
    server: str
    address: str
    scopes: Sequence[tuple[str, str, str]]
    """Name, what it lets do in words, and its risk."""
    since: datetime
    last_used_at: datetime


@dataclass(frozen=True)
class Account:
    """Everything of one person."""

    connected: Sequence[Connected]
    requests: Sequence[RequestLine]
    sessions: Sequence[SessionLine]


def show(tx: Session, tenant_id: str, policy: Policy, user_id: str, now: datetime) -> Account:
    """Read it."""
    held = grants.page(tx, tenant_id, now, user_id=user_id, limit=MAX_LIMIT).rows
    by_pair: dict[tuple[str, str], list[grants.GrantLine]] = {}
    for line in held:
        by_pair.setdefault((line.client_id, line.resource_id), []).append(line)
    requests = tx.scalars(
        select(ClientRequest)
        .where(ClientRequest.tenant_id == tenant_id, ClientRequest.user_id == user_id)
        .order_by(ClientRequest.created_at.desc())
        .limit(_MOST_REQUESTS)
    )
    return Account(
        connected=[_connected(tx, tenant_id, policy, lines) for lines in by_pair.values()],
        requests=[client_trust.request_line(row) for row in requests],
        sessions=sessions.page(tx, tenant_id, now, user_id=user_id, limit=MAX_LIMIT).rows,
    )


def disconnect(
    tx: Session, operator: Operator, tenant_id: str, user_id: str, client_id: str, resource_id: str
) -> int:
    """End every grant of the application at the server, and forget that it was allowed; answers how many ended.

    Raises NotFound when there is none.
    """
    held = grants.page(
        tx,
        tenant_id,
        operator.now,
        user_id=user_id,
        client_id=client_id,
        resource_id=resource_id,
        limit=MAX_LIMIT,
    ).rows
    if not held:
        raise NotFound("this application is not connected; it may have been disconnected meanwhile")
    # Before the grants: while it stands, the application could be given another one without a question.
    consent = tx.get(Consent, (tenant_id, user_id, client_id, resource_id), with_for_update=True)
    if consent is not None and consent.revoked_at is None:
        consent.revoked_at = operator.now
    # In key order, as the token lane locks them: two orders would be a deadlock.
    for line in sorted(held, key=lambda it: it.id):
        grants.end_own(tx, operator, tenant_id, line.id, because=DISCONNECTED, user_id=user_id)
    return len(held)


def sign_out_elsewhere(
    tx: Session, operator: Operator, tenant_id: str, user_id: str, here: str
) -> int:
    """End every session of the person but the one with the mark `here`; answers how many."""
    others = [
        it.mark
        for it in sessions.page(tx, tenant_id, operator.now, user_id=user_id, limit=MAX_LIMIT).rows
        if it.mark != here
    ]
    for mark in others:
        sessions.end_own(tx, operator, tenant_id, mark, user_id=user_id)
    return len(others)


def _connected(
    tx: Session, tenant_id: str, policy: Policy, lines: Sequence[grants.GrantLine]
) -> Connected:
    first = lines[0]
    client = tx.get(Client, (tenant_id, first.client_id))
    resource = policy.resources.get(first.resource_id)
    declared = {} if resource is None else resource.scopes
    scopes = []
    for name in sorted({scope for line in lines for scope in line.scopes}):
        scope = declared.get(name)
        words = name if scope is None else scope.description or name
        scopes.append((name, words, "" if scope is None else scope.risk))
    return Connected(
        client_id=first.client_id,
        client_name=first.client_name or first.client_id,
        kind="" if client is None else client.kind,
        resource_id=first.resource_id,
        server=(resource.name if resource is not None else "") or first.server or "this server",
        address=first.server or "",
        scopes=scopes,
        since=min(line.created_at for line in lines),
        last_used_at=max(line.last_used_at for line in lines),
    )
