"""groups of people that a client is limited to

Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("groups", authz.db.types.Json(), nullable=True))
    op.create_index(
        "ix_clients_limited",
        "clients",
        ["tenant_id"],
        unique=False,
        postgresql_where=sa.text("groups IS NOT NULL"),
        sqlite_where=sa.text("groups IS NOT NULL"),
    )
