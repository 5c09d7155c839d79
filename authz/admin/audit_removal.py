"""Removing old events so that the rest can still be checked: what goes is named by a signed checkpoint before it goes.

Decisions:
- What is left of events is where they were, and the hashes at both ends: the chain is checked over them.
- Nothing goes that a legal hold keeps, that no checkpoint covers, or that a sink of the configuration has not taken.
- Named first, deleted afterwards, in steps, and again at the next turn: an end in between leaves nothing unexplained.
- Whole partitions are dropped where nothing in them stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session, aliased

from authz.admin import audit_holds
from authz.admin.audit_export import hash_at
from authz.audit.chain import GENESIS
from authz.audit.reading import Span, by_strand, digest_of_spans, removed_spans, strands_of
from authz.db import Database
from authz.db.lists import among, insert_all
from authz.db.models import AuditCursor, AuditEvent, AuditHead, AuditRemoval, Tenant

AT_ONCE = 2000


@dataclass(frozen=True)
class Plan:
    """What counts as removed from now on."""

    tenant_id: str
    before: datetime
    held: frozenset[str]
    spans: Sequence[Span]
    added: int
    """How many events more than until now."""

    @property
    def digest(self) -> str:
        """What the checkpoint names."""
        return digest_of_spans(self.spans)


def plan(tx: Session, tenant_id: str, readers: Iterable[str], now: datetime) -> Plan | None:
    """None when nothing more may go."""
    days = tx.scalar(select(Tenant.audit_days).where(Tenant.id == tenant_id))
    holds = audit_holds.active(tx, tenant_id, now)
    if days is None or None in holds:
        return None
    held = frozenset(it for it in holds if it is not None)
    before = now - timedelta(days=days)
    gone = removed_spans(tx, tenant_id)
    own = by_strand(gone)
    spans = [
        span
        for strand in sorted(strands_of(tx, tenant_id))
        for span in _spans(tx, tenant_id, strand, own.get(strand, []), held, readers, before)
    ]
    added = sum(it.count for it in spans) - sum(it.count for it in gone)
    return Plan(tenant_id, before, held, spans, added) if added > 0 else None


def store(tx: Session, it: Plan) -> None:
    """What counts as removed; its checkpoint is stored in the same transaction.

    A hold leaves many spans, most of which stay as they are: of each strand only what is from the first other one on
    is written.
    """
    before, after = by_strand(removed_spans(tx, it.tenant_id)), by_strand(it.spans)
    made: list[dict[str, Any]] = []
    for strand in sorted({*before, *after}):
        old, new = before.get(strand, []), after.get(strand, [])
        same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        same = min(len(old), len(new)) if same is None else same
        if same < len(old):
            own = (AuditRemoval.tenant_id == it.tenant_id, AuditRemoval.strand == strand)
            tx.execute(delete(AuditRemoval).where(*own, AuditRemoval.first >= old[same].first))
        made += [{"tenant_id": it.tenant_id, "strand": strand, **span.ends} for span in new[same:]]
    insert_all(tx, AuditRemoval, made)


def purge(database: Database, tenant_id: str) -> int:
    """Delete what counts as removed, a bounded number in each transaction."""
    with database.read() as tx:
        waiting = _still_there(tx, tenant_id)
    count = 0
    for strand, first, last in waiting:
        own = (AuditEvent.tenant_id == tenant_id, AuditEvent.strand == strand)
        within = AuditEvent.position.between(first, last)
        while True:
            with database.write() as tx:
                lowest = tx.scalar(select(func.min(AuditEvent.position)).where(*own, within))
                if lowest is None:
                    break
                upto = min(last, lowest + AT_ONCE - 1)
                some = AuditEvent.position.between(lowest, upto)
                removed = tx.execute(delete(AuditEvent).where(*own, some))
                count += int(removed.rowcount)  # type: ignore[attr-defined]
    return count


def _still_there(tx: Session, tenant_id: str) -> Sequence[tuple[str, int, int]]:
    """Strand, first and last of those that count as removed and are not: most of them went at an earlier turn."""
    event = (
        select(AuditEvent.position)
        .where(
            AuditEvent.tenant_id == AuditRemoval.tenant_id,
            AuditEvent.strand == AuditRemoval.strand,
            AuditEvent.position.between(AuditRemoval.first, AuditRemoval.last),
        )
        .exists()
    )
    rows = tx.execute(
        select(AuditRemoval.strand, AuditRemoval.first, AuditRemoval.last)
        .where(AuditRemoval.tenant_id == tenant_id, event)
        .order_by(AuditRemoval.strand, AuditRemoval.first)
    )
    return [(row.strand, row.first, row.last) for row in rows]


def _spans(
    tx: Session,
    tenant_id: str,
    strand: str,
    gone: Sequence[Span],
    held: frozenset[str],
    readers: Iterable[str],
    before: datetime,
) -> list[Span]:
    last = max(
        max((it.last for it in gone), default=0), _last(tx, tenant_id, strand, readers, before)
    )
    ends = {it.last: it.hash for it in gone}
    spans, first, start = [], 1, GENESIS
    for it in _kept(tx, tenant_id, strand, held, last):
        if it.position > first:
            end = it.position - 1
            spans.append(Span(strand, first, start, end, ends.get(end, it.before)))
        first, start = it.position + 1, ends.get(it.position, it.hash)
    if last >= first:
        spans.append(Span(strand, first, start, last, hash_at(tx, tenant_id, strand, last, gone)))
    return spans


def _last(
    tx: Session, tenant_id: str, strand: str, readers: Iterable[str], before: datetime
) -> int:
    own = (AuditEvent.tenant_id == tenant_id, AuditEvent.strand == strand)
    younger = tx.scalar(select(func.min(AuditEvent.position)).where(*own, AuditEvent.at >= before))
    head = tx.get_one(AuditHead, (tenant_id, strand)).position
    last = head if younger is None else younger - 1
    for reader in readers:
        read = tx.get(AuditCursor, (tenant_id, reader, strand))
        last = min(last, 0 if read is None else read.position)
    return last


@dataclass(frozen=True)
class _Kept:
    position: int
    hash: str
    before: str
    """The hash of the event before it, if that is still there."""


def _kept(
    tx: Session, tenant_id: str, strand: str, held: frozenset[str], last: int
) -> Sequence[_Kept]:
    """The events up to there that are about somebody held, or were done by them."""
    if not held:
        return []
    names = {f"{way}{it}" for it in held for way in ("", "console:", "api:")}
    previous = aliased(AuditEvent)
    rows = tx.execute(
        select(
            AuditEvent.position,
            AuditEvent.hash,
            # A trail somebody cut in the middle: the verifier is to say where.
            func.coalesce(previous.hash, GENESIS),
        )
        .outerjoin(
            previous,
            (previous.tenant_id == AuditEvent.tenant_id)
            & (previous.strand == AuditEvent.strand)
            & (previous.position == AuditEvent.position - 1),
        )
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.strand == strand,
            AuditEvent.position <= last,
            or_(among(tx, AuditEvent.subject, held), among(tx, AuditEvent.actor, names)),
        )
        .order_by(AuditEvent.position)
    )
    return [_Kept(*row) for row in rows]
