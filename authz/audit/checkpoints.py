"""What is to be signed about the heads of a tenant's strands, and when; the signing itself is the caller's."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit import cursors
from authz.audit.cursors import CHECKPOINTS, Behind
from authz.db.models import AuditCheckpoint

MOST_STRANDS = 80
"""In one statement, which is a JWT of bounded length; the others are in the next ones, written at once."""


@dataclass(frozen=True)
class Checkpoint:
    """What is to be signed: outside of a transaction, because the key may be remote."""

    position: int
    claims: dict[str, Any]
    moved: tuple[Behind, ...] = field(default=(), repr=False)

    @property
    def next(self) -> str | None:
        """The name after which the next one begins; None when it names all that are left."""
        return self.moved[-1].strand if len(self.moved) == MOST_STRANDS else None


@dataclass(frozen=True)
class Pace:
    """When the next one is due: some time after the last, or as soon as many events are not covered by one."""

    every: timedelta
    events: int

    def is_due(self, newest: datetime | None, uncovered: int, now: datetime) -> bool:
        """Pure. `newest` is the moment of the last checkpoint."""
        if not uncovered:
            return False
        return newest is None or uncovered >= self.events or now >= newest + self.every


def due(tx: Session, pace: Pace, now: datetime) -> list[str]:
    """The tenants that get one now."""
    uncovered = cursors.lag(tx, CHECKPOINTS)
    found = []
    for tenant_id, count in sorted(uncovered.items()):
        newest = newest_of(tx, tenant_id)
        if pace.is_due(None if newest is None else newest.at, count, now):
            found.append(tenant_id)
    return found


def next_checkpoint(
    tx: Session,
    tenant_id: str,
    *,
    issuer: str,
    now: datetime,
    after: str = "",
    removed: str | None = None,
) -> Checkpoint | None:
    """The next statement, about strands after a name; None when nothing was recorded there since the last one.

    `removed` is the digest of what retention is about to remove, and has removed before.
    """
    moved = cursors.behind(tx, CHECKPOINTS, tenants=[tenant_id], after=after, limit=MOST_STRANDS)
    if not moved and removed is None:
        return None
    newest = newest_of(tx, tenant_id)
    position = 1 if newest is None else newest.position + 1
    also: Mapping[str, Any] = {} if removed is None else {"removed": removed}
    claims = {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "position": position,
        "previous": "" if newest is None else digest_of(newest.statement),
        "heads": {it.strand: [it.last, it.hash] for it in moved},
        **also,
    }
    return Checkpoint(position, claims, tuple(moved))


def newest_of(tx: Session, tenant_id: str) -> AuditCheckpoint | None:
    """The last one of a tenant."""
    return tx.scalars(
        select(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == tenant_id)
        .order_by(AuditCheckpoint.position.desc())
        .limit(1)
    ).one_or_none()


def digest_of(statement: str) -> str:
    """As the next statement names it."""
    return hashlib.sha256(statement.encode()).hexdigest()
