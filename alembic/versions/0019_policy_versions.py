"""policy at each version

Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("authors", authz.db.types.Json(), nullable=False),
        sa.Column("changes", authz.db.types.Json(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("document", authz.db.types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "version", name=op.f("pk_policy_versions")),
    )
