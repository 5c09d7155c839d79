"""The audit trail: events in hash-chained strands, their heads, and the checkpoints that tie them."""

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId, TenantKey


def _when_named(column: str) -> Index:
    """By whom events name, in order of time. Most events have no actor, and cost such an index nothing."""
    named = text(f"{column} IS NOT NULL")
    return Index(None, "tenant_id", column, "at", postgresql_where=named, sqlite_where=named)


class AuditEvent(Base):
    """One outcome. `body` is the exact text that was hashed; the other columns are copies out of it for searching.

    On PostgreSQL the table is partitioned by month (`db.partitions`), where the primary key has to have `at` as well.
    That a position is there once is the work of the head, which every writer of a strand moves.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "tenant_id", "at"),
        _when_named("subject"),
        _when_named("actor"),
        _when_named("reason"),
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
    timestamp: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What a timestamp authority answered about the statement (RFC 3161), if one was asked."""


class AuditRemoval(Base):
    """Events of a strand that retention removed: what is left of them is where they were, and the hashes at both ends.

    All removals of a tenant together are named by a signed checkpoint, so nobody adds one unnoticed.
    """

    __tablename__ = "audit_removals"
    __table_args__ = (
        CheckConstraint("first <= last", name="is_some").ddl_if(dialect="postgresql"),
    )

    tenant_id: Mapped[TenantKey]
    strand: Mapped[str] = mapped_column(String(64), primary_key=True)
    first: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    before: Mapped[str] = mapped_column(String(64))
    """The hash of the event before the first."""
    last: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))


class AuditHold(Base):
    """A legal hold: until it ends, nothing of the trail that is about a person, or of the tenant, is removed."""

    __tablename__ = "audit_holds"
    __table_args__ = (Index(None, "tenant_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    subject: Mapped[str | None]
    """The id of a person; None for the whole tenant."""
    reason: Mapped[str]
    placed_by: Mapped[str]
    placed_at: Mapped[Moment]
    until: Mapped[OptionalMoment]
    """None: until somebody releases it."""
    released_by: Mapped[str | None]
    released_at: Mapped[OptionalMoment]


class AuditCursor(Base):
    """How far a reader of the trail has come in a strand: a sink, the alert rules, the checkpoints."""

    __tablename__ = "audit_cursors"

    tenant_id: Mapped[TenantKey]
    reader: Mapped[str] = mapped_column(String(64), primary_key=True)
    strand: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class AuditSink(Base):
    """What became of the deliveries to a sink of the configuration. The installation's own, as the sink is."""

    __tablename__ = "audit_sinks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[Moment]
    delivered_at: Mapped[OptionalMoment]
    failures: Mapped[int] = mapped_column(Integer)
    """In a row."""
    last_failure: Mapped[str | None]
    retry_at: Mapped[OptionalMoment]


class AuditBurst(Base):
    """What an alert rule has counted of one client, person or agent; one row as long as it goes on."""

    __tablename__ = "audit_bursts"

    tenant_id: Mapped[TenantKey]
    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    who: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A digest: names are longer than a key may be."""
    moments: Mapped[list[str]]
    """When the last ones happened, no more than the rule counts to."""
    last_at: Mapped[Moment]
    is_raised: Mapped[bool]
    """Whether an alert was raised of it: the next comes with the next burst."""
