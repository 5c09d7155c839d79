"""who gains and who loses, with each change that was asked for

Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("change_requests") as table:
        table.add_column(sa.Column("evidence", authz.db.types.Json(), nullable=True))
