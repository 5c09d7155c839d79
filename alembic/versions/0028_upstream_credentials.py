"""references to credentials of the systems behind MCP servers

Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upstream_credentials",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("reference", sa.String(length=2048), nullable=False),
        sa.Column("scopes", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["resources.id"],
            name=op.f("fk_upstream_credentials_resource_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_credentials")),
        sa.UniqueConstraint(
            "tenant_id",
            "resource_id",
            "name",
            name=op.f("uq_upstream_credentials_tenant_id_resource_id_name"),
        ),
    )
