"""who administers a tenant

Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "admin_bindings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=8), nullable=False),
        sa.Column("subject_id", sa.String(length=2048), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_bindings")),
        sa.UniqueConstraint(
            "tenant_id",
            "role_id",
            "subject_kind",
            "subject_id",
            name=op.f("uq_admin_bindings_tenant_id_role_id_subject_kind_subject_id"),
        ),
    )
