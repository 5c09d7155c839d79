"""Leases: one process at a time does a periodic job, whichever it is."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz.db.models import Lease


def acquire(tx: Session, name: str, *, holder: str, until: datetime, now: datetime) -> bool:
    """Take the lease once it has run out, whoever held it. One statement decides; False while it runs."""
    insert = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    tx.execute(
        insert(Lease)
        .values(name=name, holder="", expires_at=now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    taken = tx.execute(
        update(Lease)
        .where(Lease.name == name, Lease.expires_at <= now)
        .values(holder=holder, expires_at=until)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]
