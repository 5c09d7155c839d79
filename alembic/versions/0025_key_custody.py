"""where signing keys are

Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nodes of before go on: their keys are local, and they never write these.
    op.add_column(
        "signing_keys",
        sa.Column("backend", sa.String(length=16), server_default="local", nullable=False),
    )
    op.add_column("signing_keys", sa.Column("key_reference", sa.String(length=512), nullable=True))
