"""issuers whose assertions are redeemed: about people (ID-JAG), about workloads

Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trusted_issuers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("settings", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_trusted_issuers_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trusted_issuers")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_trusted_issuers_tenant_id_slug")),
    )
