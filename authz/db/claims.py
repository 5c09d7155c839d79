"""What may be presented once, for whoever writes with a session: the insert itself decides who was first."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz.db.models import ReplayKey


def claim(tx: Session, tenant_id: str, keys: Iterable[tuple[str, datetime]]) -> set[str]:
    """Remember the keys until their moments; answers those that were new.

    Waits for a transaction that is presenting one of them right now. In key order, so that two never wait in a circle.
    """
    rows = [
        {"tenant_id": tenant_id, "key": key, "expires_at": until}
        for key, until in sorted(dict(keys).items())
    ]
    if not rows:
        return set()
    dialect = sqlite if tx.get_bind().dialect.name == "sqlite" else postgresql
    table = ReplayKey.__table__
    statement = dialect.insert(table).on_conflict_do_nothing().returning(table.c.key)
    return set(tx.connection().execute(statement, rows).scalars())
