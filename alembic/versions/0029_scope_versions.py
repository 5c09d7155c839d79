"""which version of a scope a person allowed

Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Consents from before count for what scopes mean now: without a word about a scope a consent is for its version 1.
    op.add_column(
        "scopes", sa.Column("version", sa.BigInteger(), nullable=False, server_default="1")
    )
    op.add_column(
        "consents",
        sa.Column("versions", authz.db.types.Json(), nullable=False, server_default="{}"),
    )
