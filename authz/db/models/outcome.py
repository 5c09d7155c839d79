"""What MCP servers say became of the calls they were asked for: their signed batches, and one row a call."""

from sqlalchemy import BigInteger, Boolean, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, TenantId


class OutcomeBatch(Base):
    """One signed batch, as it came. Its row is never changed; the audit trail holds the digest of `statement`."""

    __tablename__ = "outcome_batches"
    __table_args__ = (
        Index(None, "tenant_id", "client_id", "reporter", "sequence"),
        Index(None, "received_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A digest of tenant, client and the batch's own name: inserting it decides whether the batch is new."""
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    """With which the server reports."""
    resource_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    """The batch's `jti`."""
    reporter: Mapped[str] = mapped_column(String(64))
    """One spool; a server of several processes has several."""
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Counted by the reporter from 1, without gaps."""
    lost: Mapped[int] = mapped_column(BigInteger)
    """Outcomes the reporter had to drop since the batch before."""
    outcomes: Mapped[int] = mapped_column(Integer)
    unverified: Mapped[int] = mapped_column(Integer)
    content: Mapped[str] = mapped_column(String(64))
    """Digest of what was signed, without the signature: the same content may come again under another key."""
    statement: Mapped[str]
    """The JWS."""
    received_at: Mapped[Moment]


class ToolOutcome(Base):
    """One call of a tool. `subject` and `client_id` are those of the token on record, never the reporter's word."""

    __tablename__ = "tool_outcomes"
    __table_args__ = (
        Index(None, "jti"),
        Index(None, "grant_id"),
        Index(None, "trace_id"),
        Index(None, "tenant_id", "subject", "at"),
        Index(None, "resource_id", "at"),
    )

    batch_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[TenantId]
    at: Mapped[Moment]
    """By the reporter's clock."""
    resource_id: Mapped[str] = mapped_column(String(64))
    jti: Mapped[str] = mapped_column(String(64))
    grant_id: Mapped[str | None] = mapped_column(String(64))
    subject: Mapped[str | None] = mapped_column(String(64))
    client_id: Mapped[str | None] = mapped_column(String(2048))
    verified: Mapped[bool] = mapped_column(Boolean)
    """A token with this `jti` and grant was issued for this server, and was alive at `at`."""
    tool: Mapped[str] = mapped_column(String(256))
    outcome: Mapped[str] = mapped_column(String(8))
    """`ok`, `error` or `denied`."""
    reason: Mapped[str | None] = mapped_column(String(64))
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    trace_id: Mapped[str | None] = mapped_column(String(32))
    span_id: Mapped[str | None] = mapped_column(String(16))
    arguments_digest: Mapped[str | None] = mapped_column(String(64))
