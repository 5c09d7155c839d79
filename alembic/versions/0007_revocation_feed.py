"""the revocation feed

Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revocation_entries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=2048), nullable=False),
        sa.Column("before_version", sa.BigInteger(), nullable=True),
        sa.Column("resource_id", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.String(length=2048), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocation_entries")),
    )
    with op.batch_alter_table("revocation_entries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_revocation_entries_tenant_id_position"),
            ["tenant_id", "position"],
            unique=True,
        )
        batch_op.create_index(
            "ix_revocation_entries_unnumbered",
            ["tenant_id"],
            unique=False,
            postgresql_where=sa.text("position IS NULL"),
            sqlite_where=sa.text("position IS NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_revocation_entries_expires_at"), ["expires_at"], unique=False
        )

    op.create_table(
        "revocation_heads",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_revocation_heads")),
    )
