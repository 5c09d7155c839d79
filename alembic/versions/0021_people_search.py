"""people are searched in an index, and events by their reason

Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_users_tenant_id_login_name_status"),
        "users",
        ["tenant_id", "login", "name", "status"],
        unique=False,
    )
    named = sa.text("reason IS NOT NULL")
    op.create_index(
        op.f("ix_audit_events_tenant_id_reason_at"),
        "audit_events",
        ["tenant_id", "reason", "at"],
        unique=False,
        postgresql_where=named,
        sqlite_where=named,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_events_tenant_id_reason_at"), table_name="audit_events")
    op.drop_index(op.f("ix_users_tenant_id_login_name_status"), table_name="users")
