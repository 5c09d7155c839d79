"""How far readers of the trail have come: a position per strand. Those have no gaps: nothing turns up behind a reader.

By time a reader would miss events: the one with the earlier moment may be committed later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz.db.models import AuditCursor, AuditHead

ALERTS, CHECKPOINTS = "alerts", "checkpoints"
"""Readers that are no sinks."""


@dataclass(frozen=True)
class Behind:
    """A strand with events that a reader has not read."""

    tenant_id: str
    strand: str
    position: int
    """Up to where it has."""
    last: int
    hash: str
    """Of the last event there is."""

    @property
    def count(self) -> int:
        """How many it has not."""
        return self.last - self.position


def behind(
    tx: Session,
    reader: str,
    *,
    tenants: Iterable[str] | None = None,
    after: str = "",
    limit: int | None = None,
) -> Sequence[Behind]:
    """The strands after a name in which there is something to read, in order of their names."""
    position = func.coalesce(AuditCursor.position, 0)
    query = (
        select(AuditHead.tenant_id, AuditHead.strand, position, AuditHead.position, AuditHead.hash)
        .outerjoin(AuditCursor, _of(reader))
        .where(AuditHead.position > position, AuditHead.strand > after)
        .order_by(AuditHead.tenant_id, AuditHead.strand)
        .limit(limit)
    )
    if tenants is not None:
        query = query.where(AuditHead.tenant_id.in_(list(tenants)))
    return [Behind(*row) for row in tx.execute(query)]


def lag(tx: Session, reader: str) -> Mapping[str, int]:
    """How many events a reader has not read, by tenant."""
    position = func.coalesce(AuditCursor.position, 0)
    rows = tx.execute(
        select(AuditHead.tenant_id, func.sum(AuditHead.position - position))
        .outerjoin(AuditCursor, _of(reader))
        .where(AuditHead.position > position)
        .group_by(AuditHead.tenant_id)
    )
    return {tenant_id: int(count) for tenant_id, count in rows}


def move(tx: Session, reader: str, it: Behind, position: int) -> bool:
    """Go on to a position; False when somebody else moved this cursor meanwhile, and nothing is changed."""
    insert = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    key = {"tenant_id": it.tenant_id, "reader": reader, "strand": it.strand}
    if it.position == 0:
        tx.execute(
            insert(AuditCursor)
            .values(**key, position=0)
            .on_conflict_do_nothing(index_elements=list(key))
        )
    moved = tx.execute(
        update(AuditCursor)
        .where(*(getattr(AuditCursor, name) == value for name, value in key.items()))
        .where(AuditCursor.position == it.position)
        .values(position=position)
    )
    return bool(moved.rowcount == 1)  # type: ignore[attr-defined]


def move_to_end(tx: Session, reader: str) -> None:
    """Begin a reader that wants nothing of what there is already."""
    for it in behind(tx, reader):
        move(tx, reader, it, it.last)


def _of(reader: str) -> ColumnElement[bool]:
    return and_(
        AuditCursor.tenant_id == AuditHead.tenant_id,
        AuditCursor.strand == AuditHead.strand,
        AuditCursor.reader == reader,
    )
