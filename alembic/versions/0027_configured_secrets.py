"""which secret of a client was taken from the file

Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("configured_digest", sa.String(length=64), nullable=True))
