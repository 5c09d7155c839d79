"""Why somebody did not get what they wanted: what was refused, newest first, each with a sentence and a way on.

Three sources, told alike: token requests, requests for authorization, and calls that an MCP server reported as denied.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from authz.admin.sentences import sentence_of
from authz.audit.events import AuthorizationRefused, TokenRefused
from authz.db.lists import among
from authz.db.models import AuditEvent, Client, IssuedToken, Resource, TokenFamily, ToolOutcome
from authz.directory import users
from authz.errors import about

LOOKS_BACK = timedelta(days=30)
MAX_ROWS = 50
MOST_READ = 20_000
"""Events that are looked through for those of one client."""
_KINDS = (TokenRefused.kind, AuthorizationRefused.kind)
_CALL = "tool.denied"


@dataclass(frozen=True)
class Denial:
    """One refusal."""

    at: datetime
    kind: str
    """Of the audit event, or `tool.denied`."""
    subject: str | None
    login: str | None
    client: str | None
    client_name: str | None
    server: str | None
    tool: str | None
    reason: str
    sentence: str
    jti: str | None = None
    """Of the token that did not do, to explain it."""


@dataclass(frozen=True)
class RecentToken:
    """A token that was issued lately, to explain."""

    jti: str
    client: str
    client_name: str | None
    server: str | None
    scopes: list[str]
    left_out: int
    """How many scopes were asked for and removed."""
    issued_at: datetime


def denials(
    tx: Session,
    tenant_id: str,
    now: datetime,
    *,
    person: str | None = None,
    client: str | None = None,
) -> list[Denial]:
    """The newest of the last days, of a person (login or id), of a client, or of both together. Raises NotFound."""
    with about("person"):
        user_id = None if person is None else users.load(tx, tenant_id, person).id
    since = now - LOOKS_BACK
    found = sorted(
        [
            *_recorded(tx, tenant_id, since, user_id, client),
            *_reported(tx, tenant_id, since, user_id, client),
        ],
        key=lambda it: it.at,
        reverse=True,
    )[:MAX_ROWS]
    return _named(tx, tenant_id, found)


def recent_tokens(
    tx: Session, tenant_id: str, person: str, *, limit: int = 20
) -> list[RecentToken]:
    """The newest tokens of a person's grants. Raises NotFound."""
    user_id = users.load(tx, tenant_id, person).id
    grants = tx.scalars(
        select(TokenFamily.id)
        .where(TokenFamily.tenant_id == tenant_id, TokenFamily.user_id == user_id)
        .order_by(TokenFamily.rotated_at.desc(), TokenFamily.id)
        .limit(limit)
    ).all()
    rows = tx.execute(
        select(IssuedToken, Client.name, Resource.identifier)
        .outerjoin(
            Client,
            (Client.tenant_id == IssuedToken.tenant_id) & (Client.id == IssuedToken.client_id),
        )
        .outerjoin(Resource, Resource.id == IssuedToken.resource_id)
        .where(IssuedToken.tenant_id == tenant_id, among(tx, IssuedToken.family_id, grants))
        .order_by(IssuedToken.issued_at.desc(), IssuedToken.jti)
        .limit(limit)
    )
    return [
        RecentToken(
            jti=token.jti,
            client=token.client_id,
            client_name=name,
            server=server,
            scopes=sorted(token.scopes),
            left_out=len(json.loads(token.decision)["removed"]),
            issued_at=token.issued_at,
        )
        for token, name, server in rows
    ]


def _recorded(
    tx: Session, tenant_id: str, since: datetime, user_id: str | None, client: str | None
) -> list[Denial]:
    asked: list[ColumnElement[bool]] = []
    if user_id is not None:
        asked.append(AuditEvent.subject == user_id)
    if client is not None:
        asked.append(AuditEvent.client == client)
        if user_id is None:
            since = max(since, _newest(tx, tenant_id) or since)
    rows = tx.execute(
        select(AuditEvent.at, AuditEvent.kind, AuditEvent.body)
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.at >= since,
            AuditEvent.kind.in_(_KINDS),
            *asked,
        )
        .order_by(AuditEvent.at.desc())
        .limit(MAX_ROWS)
    ).all()
    bodies = [(at, kind, json.loads(body)) for at, kind, body in rows]
    grants = {it["detail"].get("grant_id") for _, _, it in bodies} - {None}
    servers = dict(
        tx.execute(
            select(TokenFamily.id, Resource.identifier)
            .join(Resource, Resource.id == TokenFamily.resource_id)
            .where(TokenFamily.tenant_id == tenant_id, among(tx, TokenFamily.id, grants))
        ).all()
    )
    return [
        Denial(
            at=at,
            kind=kind,
            subject=body["subject"],
            login=None,
            client=body["client"],
            client_name=None,
            server=servers.get(body["detail"].get("grant_id")),
            tool=None,
            reason=body["detail"]["reason"],
            sentence=sentence_of(body["detail"]["reason"]),
        )
        for at, kind, body in bodies
    ]


def _newest(tx: Session, tenant_id: str) -> datetime | None:
    """Since when the trail is read for a client alone, of which it has no index; None for all of a short one."""
    return tx.scalars(
        select(AuditEvent.at)
        .where(AuditEvent.tenant_id == tenant_id)
        .order_by(AuditEvent.at.desc())
        .offset(MOST_READ)
        .limit(1)
    ).one_or_none()


def _reported(
    tx: Session, tenant_id: str, since: datetime, user_id: str | None, client: str | None
) -> list[Denial]:
    if user_id is None:
        return []
    asked = [ToolOutcome.subject == user_id]
    if client is not None:
        asked.append(ToolOutcome.client_id == client)
    rows = tx.execute(
        select(ToolOutcome, Resource.identifier)
        .outerjoin(Resource, Resource.id == ToolOutcome.resource_id)
        .where(
            ToolOutcome.tenant_id == tenant_id,
            ToolOutcome.at >= since,
            ToolOutcome.outcome == "denied",
            *asked,
        )
        .order_by(ToolOutcome.at.desc())
        .limit(MAX_ROWS)
    )
    return [
        Denial(
            at=row.at,
            kind=_CALL,
            subject=row.subject,
            login=None,
            client=row.client_id,
            client_name=None,
            server=server,
            tool=row.tool,
            reason=row.reason or "denied",
            sentence=sentence_of(row.reason or "the MCP server denied the call"),
            jti=row.jti,
        )
        for row, server in rows
    ]


def _named(tx: Session, tenant_id: str, found: list[Denial]) -> list[Denial]:
    logins = users.logins(tx, tenant_id, {it.subject for it in found if it.subject is not None})
    ids = {it.client for it in found if it.client is not None}
    names = dict(
        tx.execute(
            select(Client.id, Client.name).where(
                Client.tenant_id == tenant_id, among(tx, Client.id, ids)
            )
        ).all()
    )
    return [
        replace(
            it,
            login=logins.get(it.subject or ""),
            client_name=names.get(it.client or ""),
        )
        for it in found
    ]
