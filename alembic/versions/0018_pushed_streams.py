"""streams of security events that are sent to their receivers

Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("push_url", sa.Text(), nullable=True),
        sa.Column("push_authorization", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("retry_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.Column("delivered_at", authz.db.types.UTCDateTime(), nullable=True),
    ):
        op.add_column("event_streams", column)
    with op.batch_alter_table("event_streams") as batch_op:
        batch_op.alter_column("failures", server_default=None, existing_type=sa.Integer())
