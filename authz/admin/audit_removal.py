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

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from authz.admin import audit_holds
from authz.admin.audit_export import hash_at
from authz.audit.chain import GENESIS
from authz.audit.reading import Span, digest_of_spans, removed_spans, strands_of
from authz.db import Database
from authz.db.lists import among
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
    spans = [
        span
        for strand in sorted(strands_of(tx, tenant_id))
        for span in _spans(tx, tenant_id, strand, gone, held, readers, before)
    ]
    added = sum(it.count for it in spans) - sum(it.count for it in gone)
    return Plan(tenant_id, before, held, spans, added) if added > 0 else None


def store(tx: Session, it: Plan) -> None:
    """What counts as removed; its checkpoint is stored in the same transaction."""
    tx.execute(delete(AuditRemoval).where(AuditRemoval.tenant_id == it.tenant_id))
    for span in it.spans:
        tx.add(AuditRemoval(tenant_id=it.tenant_id, strand=span.strand, **span.ends))
    tx.flush()


def purge(database: Database, tenant_id: str) -> int:
    """Delete what counts as removed, a bounded number in each transaction."""
    with database.read() as tx:
        spans = removed_spans(tx, tenant_id)
    count = 0
    for span in spans:
        own = (AuditEvent.tenant_id == tenant_id, AuditEvent.strand == span.strand)
        within = AuditEvent.position.between(span.first, span.last)
        while True:
            with database.write() as tx:
                lowest = tx.scalar(select(func.min(AuditEvent.position)).where(*own, within))
                if lowest is None:
                    break
                upto = min(span.last, lowest + AT_ONCE - 1)
                some = AuditEvent.position.between(lowest, upto)
                removed = tx.execute(delete(AuditEvent).where(*own, some))
                count += int(removed.rowcount)  # type: ignore[attr-defined]
    return count


def _spans(
    tx: Session,
    tenant_id: str,
    strand: str,
    gone: Sequence[Span],
    held: frozenset[str],
    readers: Iterable[str],
    before: datetime,
) -> list[Span]:
    already = max((it.last for it in gone if it.strand == strand), default=0)
    last = max(already, _last(tx, tenant_id, strand, readers, before))
    kept = _kept(tx, tenant_id, strand, held, last)
    spans, first = [], 1
    for position in [*kept, last + 1]:
        if position > first:
            end = position - 1
            start = GENESIS if first == 1 else hash_at(tx, tenant_id, strand, first - 1, gone)
            spans.append(Span(strand, first, start, end, hash_at(tx, tenant_id, strand, end, gone)))
        first = position + 1
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


def _kept(
    tx: Session, tenant_id: str, strand: str, held: frozenset[str], last: int
) -> Sequence[int]:
    """The events up to there that are about somebody held, or were done by them."""
    if not held:
        return []
    names = {f"{way}{it}" for it in held for way in ("", "console:", "api:")}
    return tx.scalars(
        select(AuditEvent.position)
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.strand == strand,
            AuditEvent.position <= last,
            or_(among(tx, AuditEvent.subject, held), among(tx, AuditEvent.actor, names)),
        )
        .order_by(AuditEvent.position)
    ).all()
