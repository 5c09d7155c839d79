"""What an administrator should know at a glance: what is live, what was denied and why, what runs out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, func, select, type_coerce
from sqlalchemy.orm import Session

from authz.audit.events import TokenIssued, TokenRefused
from authz.db.models import (
    AdminBinding,
    Agent,
    AuditEvent,
    Client,
    ClientRequest,
    Connection,
    Resource,
    Role,
    RoleBinding,
    ScimToken,
    TokenFamily,
    User,
)
from authz.db.models import Session as BrowserSession

HOUR = timedelta(hours=1)
SOON = timedelta(days=14)
_MOST_REASONS = 10
_MINUTE_CHARS = len("2026-12-31T08:00")
_MOST_EXPIRING = 20


@dataclass(frozen=True)
class Expiring:
    """Something that ends by itself soon."""

    what: str
    name: str
    at: datetime


@dataclass(frozen=True)
class Overview:
    """Of one tenant at one moment."""

    grants: int
    sessions: int
    people: int
    clients: int
    servers: int
    roles: int
    providers: int
    """Connections to identity providers."""
    open_requests: int
    minutes: list[tuple[datetime, int]]
    """Tokens issued in each minute of the last hour, the oldest first."""
    denials: list[tuple[str, int]]
    """Reasons of refused token requests of the last hour, the most frequent first."""
    expiring: list[Expiring]
    ownerless: list[str]
    """MCP servers that nobody is recorded to own (S17)."""

    @property
    def issued(self) -> int:
        """In the last hour."""
        return sum(count for _, count in self.minutes)

    @property
    def denied(self) -> int:
        """In the last hour."""
        return sum(count for _, count in self.denials)

    @property
    def is_new(self) -> bool:
        """Whether something is missing without which nobody gets a token by their role."""
        return not (self.servers and self.roles and self.clients)


def load(tx: Session, tenant_id: str, now: datetime) -> Overview:
    """Read it."""

    def count(model: type, *conditions: object) -> int:
        query = select(func.count()).select_from(model).where(*conditions)  # type: ignore[arg-type]
        return tx.scalars(query).one()

    return Overview(
        grants=count(
            TokenFamily,
            TokenFamily.tenant_id == tenant_id,
            TokenFamily.revoked_at.is_(None),
            TokenFamily.expires_at > now,
            TokenFamily.idle_expires_at > now,
        ),
        sessions=count(
            BrowserSession,
            BrowserSession.tenant_id == tenant_id,
            BrowserSession.ended_at.is_(None),
            BrowserSession.expires_at > now,
        ),
        people=count(User, User.tenant_id == tenant_id, User.status == "active"),
        clients=count(Client, Client.tenant_id == tenant_id, Client.status != "blocked"),
        servers=count(Resource, Resource.tenant_id == tenant_id, Resource.status == "active"),
        roles=count(Role, Role.tenant_id == tenant_id),
        providers=count(
            Connection, Connection.tenant_id == tenant_id, Connection.status == "active"
        ),
        open_requests=count(
            ClientRequest, ClientRequest.tenant_id == tenant_id, ClientRequest.status == "open"
        ),
        minutes=_minutes(tx, tenant_id, now),
        denials=_denials(tx, tenant_id, now),
        expiring=_expiring(tx, tenant_id, now),
        ownerless=list(
            tx.scalars(
                select(Resource.identifier)
                .where(
                    Resource.tenant_id == tenant_id,
                    Resource.status == "active",
                    Resource.owner == "",
                )
                .order_by(Resource.identifier)
            )
        ),
    )


def _minutes(tx: Session, tenant_id: str, now: datetime) -> list[tuple[datetime, int]]:
    start = now.replace(second=0, microsecond=0) - HOUR + timedelta(minutes=1)
    # Counted by the database: an hour of a busy server has more tokens than a page may read.
    minute = _minute(tx)
    rows = tx.execute(
        select(minute, func.count())
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.kind == TokenIssued.kind,
            AuditEvent.at >= start,
        )
        .group_by(minute)
    )
    found = {_moment(at): count for at, count in rows}
    minutes = [start + timedelta(minutes=number) for number in range(60)]
    return [(it, found.get(it, 0)) for it in minutes]


def _minute(tx: Session) -> ColumnElement[Any]:
    if tx.get_bind().dialect.name == "sqlite":
        return func.substr(type_coerce(AuditEvent.at, Text), 1, _MINUTE_CHARS)
    return func.date_trunc("minute", AuditEvent.at)


def _moment(at: str | datetime) -> datetime:
    if isinstance(at, datetime):
        return at.astimezone(UTC)
    return datetime.fromisoformat(at).replace(tzinfo=UTC)


def _denials(tx: Session, tenant_id: str, now: datetime) -> list[tuple[str, int]]:
    times = func.count()
    rows = tx.execute(
        select(AuditEvent.reason, times)
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.kind == TokenRefused.kind,
            AuditEvent.reason.is_not(None),
            AuditEvent.at >= now - HOUR,
        )
        .group_by(AuditEvent.reason)
        .order_by(times.desc(), AuditEvent.reason)
        .limit(_MOST_REASONS)
    )
    return [(reason, count) for reason, count in rows if reason is not None]


def _expiring(tx: Session, tenant_id: str, now: datetime) -> list[Expiring]:
    bindings = select(Role.name, RoleBinding.expires_at).join(Role, Role.id == RoleBinding.role_id)
    queries = (
        ("Role binding", bindings, RoleBinding),
        ("Administrator", select(AdminBinding.role_id, AdminBinding.expires_at), AdminBinding),
        ("Agent", select(Agent.slug, Agent.expires_at), Agent),
        ("SCIM token", select(ScimToken.name, ScimToken.expires_at), ScimToken),
    )
    found: list[Expiring] = []
    for what, query, model in queries:
        soon = query.where(
            model.tenant_id == tenant_id,
            model.expires_at > now,
            model.expires_at <= now + SOON,
        )
        rows = tx.execute(soon.order_by(model.expires_at).limit(_MOST_EXPIRING))
        found += [Expiring(what, name, at) for name, at in rows if at is not None]
    return sorted(found, key=lambda it: it.at)[:_MOST_EXPIRING]
