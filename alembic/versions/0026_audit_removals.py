"""what retention removed is something

Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    # What an intruder wrote is for `authz audit verify` to name, and must not keep the installation from going on.
    if bind.scalar(sa.text("SELECT 1 FROM audit_removals WHERE last < first LIMIT 1")) is None:
        op.create_check_constraint(
            op.f("ck_audit_removals_is_some"), "audit_removals", "first <= last"
        )
