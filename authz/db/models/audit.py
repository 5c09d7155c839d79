"""The audit trail: events in hash-chained strands, their heads, and the checkpoints that tie them."""

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, TenantKey


class AuditEvent(Base):
    """One outcome. `body` is the exact text that was hashed."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "tenant_id", "at"),)

    tenant_id: Mapped[TenantKey]
    strand: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Moment]
    kind: Mapped[str] = mapped_column(String(64))
    body: Mapped[str]
    hash: Mapped[str] = mapped_column(String(64))


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
