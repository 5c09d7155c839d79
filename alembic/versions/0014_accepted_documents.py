"""what a client published before a change that nobody has looked at

Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("accepted", authz.db.types.Json(), nullable=True))
