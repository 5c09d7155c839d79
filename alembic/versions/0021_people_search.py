"""people are searched in an index, and events by their reason

Revises: 0020
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_PEOPLE = (
    "ix_users_tenant_id_login_name_status",
    "users",
    ["tenant_id", "login", "name", "status"],
)
_EVENTS = ("ix_audit_events_tenant_id_reason_at", "audit_events", ["tenant_id", "reason", "at"])


def upgrade() -> None:
    named = sa.text("reason IS NOT NULL")
    events: dict[str, Any] = {"postgresql_where": named, "sqlite_where": named}
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(*_PEOPLE)
        op.create_index(*_EVENTS, **events)
        return
    if _is_partitioned():
        # It cannot be made concurrently there; the table was empty a moment ago (0020).
        op.create_index(*_EVENTS, **events, if_not_exists=True)
    else:
        _create_concurrently(*_EVENTS, **events)
    _create_concurrently(*_PEOPLE)


def _is_partitioned() -> bool:
    query = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('audit_events')"
    return bool(op.get_bind().scalar(sa.text(query)))


def _create_concurrently(name: str, table: str, columns: list[str], **options: Any) -> None:
    """While the table is written. What an interrupted attempt left behind is not used, and goes first."""
    with op.get_context().autocommit_block():
        op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
