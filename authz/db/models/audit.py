"""The audit trail: events in hash-chained strands, their heads, and the checkpoints that tie them."""

from sqlalchemy import BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, TenantKey


def _when_named(column: str) -> Index:
    """By whom events name, in order of time. Most events have no actor, and cost such an index nothing."""
    named = text(f"{column} IS NOT NULL")
    return Index(None, "tenant_id", column, "at", postgresql_where=named, sqlite_where=named)


class AuditEvent(Base):
    """One outcome. `body` is the exact text that was hashed; the other columns are copies out of it for searching."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "tenant_id", "at"),
        _when_named("subject"),
        _when_named("actor"),
    )

    tenant_id: Mapped[TenantKey]
    strand: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Moment]
    kind: Mapped[str] = mapped_column(String(64))
    body: Mapped[str]
    hash: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str | None]
    actor: Mapped[str | None]
    client: Mapped[str | None]
    resource: Mapped[str | None]
    reason: Mapped[str | None]


class AuditHead(Base):
    """How far a strand goes. The MAC keeps a writer of the database from shortening it unnoticed."""

    __tablename__ = "audit_heads"
    # A few rows, updated by every transaction that records anything.
    __table_args__ = ({"postgresql_with": {"fillfactor": 25}},)

    tenant_id: Mapped[TenantKey]
    strand: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    mac: Mapped[str] = mapped_column(String(64))


class AuditCheckpoint(Base):
    """A signed statement of the heads of all strands of a tenant at a moment."""

    __tablename__ = "audit_checkpoints"

    tenant_id: Mapped[TenantKey]
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Moment]
    statement: Mapped[str]
    """A JWS (`typ` `audit-checkpoint+jwt`) over the heads and the hash of the checkpoint before."""
