"""what the last apply left

Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "applied_policies",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("kinds", authz.db.types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_applied_policies")),
    )
