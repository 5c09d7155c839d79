"""tools that wait for a review

Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("scopes") as table:
        table.add_column(sa.Column("unreviewed", authz.db.types.Json(), nullable=True))
    with op.batch_alter_table("tenants") as table:
        table.add_column(
            sa.Column(
                "scope_changes", sa.String(length=16), nullable=False, server_default="at_once"
            )
        )
