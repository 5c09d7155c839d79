"""token status lists

Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "status_entries",
        sa.Column("jti", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("list_id", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_status_entries")),
        sa.UniqueConstraint("list_id", "place", name=op.f("uq_status_entries_list_id_place")),
    )
    with op.batch_alter_table("status_entries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_status_entries_expires_at"), ["expires_at"], unique=False
        )

    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status_list", sa.Boolean(), nullable=True))
    op.execute(sa.text("UPDATE resources SET status_list = :no").bindparams(no=False))
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.alter_column("status_list", existing_type=sa.Boolean(), nullable=False)
