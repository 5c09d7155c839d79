"""retention, holds, readers and timestamps of the audit trail; its events by month on PostgreSQL

Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_SEARCHED = ("subject", "actor")


def upgrade() -> None:
    op.add_column("tenants", sa.Column("audit_days", sa.Integer(), nullable=True))
    op.add_column("audit_checkpoints", sa.Column("timestamp", sa.LargeBinary(), nullable=True))
    op.create_table(
        "audit_removals",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("strand", sa.String(length=64), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "strand", "first", name=op.f("pk_audit_removals")),
    )
    op.create_table(
        "audit_holds",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("until", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_holds")),
    )
    op.create_index("ix_audit_holds_tenant_id", "audit_holds", ["tenant_id"])
    op.create_table(
        "audit_cursors",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=64), nullable=False),
        sa.Column("strand", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "reader", "strand", name=op.f("pk_audit_cursors")),
    )
    op.create_table(
        "audit_sinks",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("started_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("delivered_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.Column("retry_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_sinks")),
    )
    op.create_table(
        "audit_bursts",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("moments", authz.db.types.Json(), nullable=False),
        sa.Column("last_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("is_raised", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "rule", "who", name=op.f("pk_audit_bursts")),
    )
    connection = op.get_bind()
    # One that has events goes on as it is, until `authz db partition`: nobody shall wait for it here.
    if connection.dialect.name == "postgresql" and _is_empty(connection):
        _partition()


def _is_empty(connection: sa.Connection) -> bool:
    events = sa.text("SELECT 1 FROM audit_events LIMIT 1")
    if connection.execute(events).first() is not None:
        return False
    # The first event may be on its way: it would go with the table it is written to.
    op.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
    return connection.execute(events).first() is None


def _partition() -> None:
    op.execute("ALTER TABLE audit_events RENAME TO audit_events_before")
    op.execute(
        "CREATE TABLE audit_events (LIKE audit_events_before INCLUDING DEFAULTS) PARTITION BY RANGE (at)"
    )
    op.execute("DROP TABLE audit_events_before")
    op.create_primary_key(
        "pk_audit_events", "audit_events", ["tenant_id", "strand", "position", "at"]
    )
    op.create_index("ix_audit_events_tenant_id_at", "audit_events", ["tenant_id", "at"])
    for name in _SEARCHED:
        op.create_index(
            f"ix_audit_events_tenant_id_{name}_at",
            "audit_events",
            ["tenant_id", name, "at"],
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )
    # The months are made ahead by a job; what is of no month is kept as well.
    op.execute("CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT")
