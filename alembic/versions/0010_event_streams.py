"""streams of security events that MCP servers have of us

Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_streams",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("requested", authz.db.types.Json(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged", authz.db.types.Json(), nullable=False),
        sa.Column("removed", authz.db.types.Json(), nullable=False),
        sa.Column("verifications", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_streams")),
    )
    with op.batch_alter_table("event_streams", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_event_streams_tenant_id_client_id"),
            ["tenant_id", "client_id"],
            unique=False,
        )
