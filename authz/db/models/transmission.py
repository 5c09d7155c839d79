"""Streams of security events that MCP servers have of us (Shared Signals)."""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId


class EventStream(Base):
    """What the client of one or more MCP servers wants to be told, and how far it has been."""

    __tablename__ = "event_streams"
    __table_args__ = (Index(None, "tenant_id", "client_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str | None]
    requested: Mapped[list[str]]
    """Types of events."""
    status: Mapped[str] = mapped_column(String(16))
    """`enabled`, `paused` or `disabled`."""
    reason: Mapped[str | None]
    position: Mapped[int] = mapped_column(BigInteger)
    """Of the revocation feed: everything up to here is acknowledged, or was none of the stream's."""
    acknowledged: Mapped[list[str]]
    """`jti` of those that were acknowledged behind the position."""
    removed: Mapped[list[str]]
    """Subjects that the receiver wants to hear nothing of."""
    verifications: Mapped[list[dict[str, Any]]]
    """Those that were asked for and not acknowledged: `jti`, `state`, `at`."""
    push_url: Mapped[str | None]
    """Where an operator has its events sent (RFC 8935); fetched without one (RFC 8936)."""
    push_authorization: Mapped[str | None]
    """A secret reference: what is shown there as a bearer token."""
    failures: Mapped[int] = mapped_column(Integer)
    """Deliveries that failed since the last one that did not."""
    retry_at: Mapped[OptionalMoment]
    last_failure: Mapped[str | None]
    """Of the last delivery, if it failed: a slug."""
    delivered_at: Mapped[OptionalMoment]
    """When the receiver last took an event."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]
