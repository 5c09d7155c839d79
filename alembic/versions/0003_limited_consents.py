"""consents remember which scopes were allowed only within authorization details

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("limited", authz.db.types.ScopeSet(), nullable=True))
    op.execute("UPDATE consents SET limited = ''")
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.alter_column("limited", existing_type=authz.db.types.ScopeSet(), nullable=False)
