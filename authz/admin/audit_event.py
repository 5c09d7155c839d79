"""One event of the trail in full, in its place: what is before it, whether it is what was hashed, who signed it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz.admin.audit import names_of
from authz.audit.chain import GENESIS, chained
from authz.audit.events import Event
from authz.audit.reading import removed_spans
from authz.db.models import AuditCheckpoint, AuditEvent, AuditHead
from authz.errors import NotFound
from authz.jose import JwtError, read_unverified

MOST_AT_ONCE = 20_000
"""Events that are verified while somebody waits for a page."""
_CHECKPOINTS = 10


@dataclass(frozen=True)
class Placed:
    """An event, and where it stands."""

    strand: str
    position: int
    at: datetime
    kind: str
    body: Mapping[str, Any]
    hash: str
    before: str
    """The hash of the event before it; 64 zeros at the beginning."""
    is_sound: bool
    """Its text and the hash before it give its hash. That of the whole trail is for `audit.verify` to say."""
    last: int
    """The position of the last event of its strand."""
    checkpoint: int | None
    """The first signed statement that covers it; None while there is none yet."""
    names: Mapping[str, str]


def kinds() -> list[str]:
    """Of all events there are."""
    return sorted(it.kind for it in Event.__subclasses__())


def size(tx: Session, tenant_id: str) -> int:
    """How many events the trail has, by its heads."""
    query = select(func.coalesce(func.sum(AuditHead.position), 0)).where(
        AuditHead.tenant_id == tenant_id
    )
    return int(tx.scalars(query).one())


def show(tx: Session, tenant_id: str, strand: str, position: int) -> Placed:
    """Raises NotFound."""
    row = tx.get(AuditEvent, (tenant_id, strand, position))
    head = tx.get(AuditHead, (tenant_id, strand))
    if row is None or head is None:
        raise NotFound(f"there is no event {position} in the strand {strand!r} of the trail")
    previous = tx.get(AuditEvent, (tenant_id, strand, position - 1))
    before = _removed_before(tx, row) if previous is None else previous.hash
    body = json.loads(row.body)
    return Placed(
        strand=strand,
        position=position,
        at=row.at,
        kind=row.kind,
        body=body,
        hash=row.hash,
        before=before,
        is_sound=chained(before, row.body) == row.hash,
        last=head.position,
        checkpoint=_checkpoint(tx, row),
        names=names_of(tx, tenant_id, {it for it in (row.subject, row.actor) if it is not None}),
    )


def _removed_before(tx: Session, row: AuditEvent) -> str:
    """What is left of the event before, where retention removed it."""
    ends = {it.last: it.hash for it in removed_spans(tx, row.tenant_id) if it.strand == row.strand}
    return ends.get(row.position - 1, GENESIS)


def _checkpoint(tx: Session, row: AuditEvent) -> int | None:
    points = tx.scalars(
        select(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == row.tenant_id, AuditCheckpoint.at >= row.at)
        .order_by(AuditCheckpoint.position)
        .limit(_CHECKPOINTS)
    )
    for point in points:
        try:
            head = read_unverified(point.statement)[1].get("heads", {}).get(row.strand)
        except (JwtError, AttributeError):
            continue
        if isinstance(head, list) and head and isinstance(head[0], int) and head[0] >= row.position:
            return point.position
    return None
