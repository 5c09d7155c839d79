"""Signing what the heads of a tenant's strands are (`audit.checkpoints`): read, sign outside of a transaction, keep."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz.audit import cursors
from authz.audit.checkpoints import Checkpoint, next_checkpoint
from authz.audit.cursors import CHECKPOINTS
from authz.audit.verification import CHECKPOINT_TYP
from authz.db import Database
from authz.db.models import AuditCheckpoint
from authz.errors import Conflict
from authz.keys import AUDIT, PURPOSES, KeyRing


@dataclass(frozen=True)
class Written:
    """One that was signed and kept."""

    position: int
    strands: int
    statement: str


def write(
    database: Database, ring: KeyRing, tenant_id: str, *, issuer: str, now: datetime
) -> Iterator[Written]:
    """As many as it takes to name every strand once. None when nothing was recorded since the last.

    Raises Conflict when somebody else writes them meanwhile.
    """
    after: str | None = ""
    while after is not None:
        with database.read() as tx:
            point = next_checkpoint(tx, tenant_id, issuer=issuer, now=now, after=after)
        if point is None:
            return
        statement = sign(ring, point, now)
        with database.write() as tx:
            store(tx, tenant_id, point, statement, now)
        yield Written(point.position, len(point.moved), statement)
        after = point.next


def sign(ring: KeyRing, checkpoint: Checkpoint, now: datetime) -> str:
    """The statement, signed with the tenant's audit key; outside of a transaction: the key may be remote."""
    return ring.sign(AUDIT, PURPOSES[AUDIT][0], CHECKPOINT_TYP, checkpoint.claims, now)


def store(
    tx: Session, tenant_id: str, checkpoint: Checkpoint, statement: str, now: datetime
) -> None:
    """Keep a signed statement. Raises Conflict when another one was written meanwhile.

    Not an event of the trail itself: it would move the heads, and the next checkpoint would be about this one.
    """
    insert = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    key = {"tenant_id": tenant_id, "position": checkpoint.position}
    made = tx.scalar(
        insert(AuditCheckpoint)
        .values(**key, at=now, statement=statement)
        .on_conflict_do_nothing(index_elements=list(key))
        .returning(AuditCheckpoint.position)
    )
    if made is None:
        raise Conflict(f"checkpoint {checkpoint.position} was written meanwhile; nothing to do")
    for it in checkpoint.moved:
        cursors.move(tx, CHECKPOINTS, it, it.last)
