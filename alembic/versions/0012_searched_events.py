"""who and what audit events are about, as columns that are searched

Revises: 0011
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_AT_ONCE = 5000
_PLACE = ("tenant_id", "strand", "position")
_OF_EVENT = ("subject", "actor", "client")
_OF_DETAIL = ("resource", "reason")
_events = sa.table("audit_events", *map(sa.column, (*_PLACE, "body", *_OF_EVENT, *_OF_DETAIL)))


def upgrade() -> None:
    for name in (*_OF_EVENT, *_OF_DETAIL):
        op.add_column("audit_events", sa.Column(name, sa.Text(), nullable=True))
    _fill(op.get_bind())
    for name in ("subject", "actor"):
        op.create_index(
            f"ix_audit_events_tenant_id_{name}_at",
            "audit_events",
            ["tenant_id", name, "at"],
            unique=False,
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
            sqlite_where=sa.text(f"{name} IS NOT NULL"),
        )


def _fill(connection: sa.Connection) -> None:
    """In steps, because there may be millions. What an event says is read here: engines differ in what JSON is."""
    place = [_events.c[name] for name in _PLACE]
    query = sa.select(*place, _events.c.body).order_by(*place).limit(_AT_ONCE)
    change = (
        sa.update(_events)
        .where(*(column == sa.bindparam(f"its_{column.name}") for column in place))
        .values({name: sa.bindparam(f"new_{name}") for name in (*_OF_EVENT, *_OF_DETAIL)})
    )
    rows = connection.execute(query).all()
    while rows:
        changes = [
            {
                **{f"its_{name}": value for name, value in zip(_PLACE, row[:3], strict=True)},
                **_searched(row.body),
            }
            for row in rows
        ]
        connection.execute(change, changes)
        beyond = sa.tuple_(*place) > sa.tuple_(*rows[-1][:3])
        rows = connection.execute(query.where(beyond)).all()


def _searched(body: str) -> dict[str, str | None]:
    """What an event says of itself. That somebody wrote over it is for `authz audit verify` to say, not for here."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    event = event if isinstance(event, dict) else {}
    detail = event.get("detail")
    own = detail if isinstance(detail, dict) else {}
    found = {name: event.get(name) for name in _OF_EVENT}
    found.update({name: own.get(name) for name in _OF_DETAIL})
    return {f"new_{k}": v if isinstance(v, str) else None for k, v in found.items()}
