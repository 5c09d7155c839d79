"""Leases: one process at a time does a periodic job, whichever it is. And locks for as long as a transaction."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz.db.models import Lease


def acquire(tx: Session, name: str, *, holder: str, until: datetime, now: datetime) -> bool:
    """Take the lease once it has run out, whoever held it. One statement decides; False while it runs."""
    _make(tx, name, now)
    taken = tx.execute(
        update(Lease)
        .where(Lease.name == name, Lease.expires_at <= now)
        .values(holder=holder, expires_at=until)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def extend(tx: Session, name: str, *, holder: str, until: datetime) -> None:
    """Move the end of a lease that `holder` has; nothing happens when somebody else took it over."""
    tx.execute(
        update(Lease).where(Lease.name == name, Lease.holder == holder).values(expires_at=until)
    )


def wait_for(tx: Session, name: str, now: datetime) -> None:
    """Let one transaction at a time go on from here; the next one goes on when this one has ended.

    Call it before any other lock is taken: whoever waits must not hold what others wait for.
    """
    _make(tx, name, now)
    tx.execute(select(Lease.name).where(Lease.name == name).with_for_update())


def _make(tx: Session, name: str, now: datetime) -> None:
    insert = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    tx.execute(
        insert(Lease)
        .values(name=name, holder="", expires_at=now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
