"""what MCP servers say became of calls

Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outcome_batches",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("reporter", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("outcomes", sa.Integer(), nullable=False),
        sa.Column("unverified", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("received_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome_batches")),
    )
    op.create_index(
        op.f("ix_outcome_batches_received_at"), "outcome_batches", ["received_at"], unique=False
    )
    op.create_index(
        op.f("ix_outcome_batches_tenant_id_client_id_reporter_sequence"),
        "outcome_batches",
        ["tenant_id", "client_id", "reporter", "sequence"],
        unique=False,
    )
    op.create_table(
        "tool_outcomes",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("jti", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("client_id", sa.String(length=2048), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("tool", sa.String(length=256), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("trace_id", sa.String(length=32), nullable=True),
        sa.Column("span_id", sa.String(length=16), nullable=True),
        sa.Column("arguments_digest", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_tool_outcomes")),
    )
    op.create_index(op.f("ix_tool_outcomes_grant_id"), "tool_outcomes", ["grant_id"], unique=False)
    op.create_index(op.f("ix_tool_outcomes_jti"), "tool_outcomes", ["jti"], unique=False)
    op.create_index(
        op.f("ix_tool_outcomes_tenant_id_subject_at"),
        "tool_outcomes",
        ["tenant_id", "subject", "at"],
        unique=False,
    )
    op.create_index(op.f("ix_tool_outcomes_trace_id"), "tool_outcomes", ["trace_id"], unique=False)
