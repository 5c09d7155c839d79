"""Reading strands in order, a page at a time, and what of them is not there any more."""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from authz.audit.chain import MAIN_STRAND
from authz.db.models import AuditEvent, AuditHead, AuditRemoval

PAGE = 500


@dataclass(frozen=True)
class Span:
    """Events of a strand that follow one another, with the hash before the first and that of the last."""

    strand: str
    first: int
    before: str
    last: int
    hash: str

    @property
    def count(self) -> int:
        """How many."""
        return self.last - self.first + 1

    @property
    def ends(self) -> Mapping[str, int | str]:
        """All but the strand."""
        return {
            "first": self.first,
            "before": self.before,
            "last": self.last,
            "hash": self.hash,
        }

    def is_within(self, other: "Span") -> bool:
        """Whether all of it is part of the other."""
        own = self.strand == other.strand
        return own and other.first <= self.first and self.last <= other.last

    def __str__(self) -> str:
        """As its digest is made."""
        return f"{self.strand} {self.first} {self.before} {self.last} {self.hash}"


@dataclass(frozen=True)
class Stored:
    """One event as it is stored."""

    tenant_id: str
    strand: str
    position: int
    at: datetime
    kind: str
    body: str
    hash: str


def strands_of(tx: Session, tenant_id: str) -> Sequence[str]:
    """All that have a head, `main` first."""
    return tx.scalars(
        select(AuditHead.strand)
        .where(AuditHead.tenant_id == tenant_id)
        .order_by(case((AuditHead.strand == MAIN_STRAND, 0), else_=1), AuditHead.strand)
    ).all()


def removed_spans(tx: Session, tenant_id: str) -> list[Span]:
    """What retention removed, in order."""
    rows = tx.execute(
        select(
            AuditRemoval.strand,
            AuditRemoval.first,
            AuditRemoval.before,
            AuditRemoval.last,
            AuditRemoval.hash,
        ).where(AuditRemoval.tenant_id == tenant_id)
    )
    # Their digest is signed: in one order, whatever the collation of the database is.
    return sorted((Span(*row) for row in rows), key=lambda it: (it.strand, it.first))


def by_strand(spans: Iterable[Span]) -> Mapping[str, Sequence[Span]]:
    """In their order; nothing for a strand that has none. Holds leave thousands: nobody reads all for each strand."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for it in spans:
        found[it.strand].append(it)
    return found


def digest_of_spans(spans: Sequence[Span]) -> str:
    """What statements name them by."""
    return hashlib.sha256("\n".join(map(str, spans)).encode()).hexdigest()


def read_span(
    tx: Session, tenant_id: str, span: Span, removed: Sequence[Span] = ()
) -> Iterator[Stored]:
    """Events of the span but for what counts as removed, in order."""
    # One that ends before it begins was written by an intruder, and would be stepped over for ever.
    gaps = sorted(
        (it.first, it.last) for it in removed if it.strand == span.strand and it.first <= it.last
    )
    firsts = [first for first, _ in gaps]
    position = span.first - 1
    while position < span.last:
        number = bisect_right(firsts, position)
        first, last = gaps[number] if number < len(gaps) else (span.last + 1, span.last)
        if first == position + 1:
            position = last
            continue
        upto = min(span.last, first - 1)
        page = read_page(tx, tenant_id, span.strand, after=position, upto=upto)
        yield from page
        # An event that should be there and is not is for the verifier to name.
        position = page[-1].position if page else upto


def read_page(
    tx: Session,
    tenant_id: str,
    strand: str,
    *,
    after: int,
    upto: int | None = None,
    limit: int = PAGE,
) -> list[Stored]:
    """The next events of a strand. By position, which has no gaps: nothing can turn up behind the reader."""
    query = (
        select(
            AuditEvent.tenant_id,
            AuditEvent.strand,
            AuditEvent.position,
            AuditEvent.at,
            AuditEvent.kind,
            AuditEvent.body,
            AuditEvent.hash,
        )
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.strand == strand,
            AuditEvent.position > after,
        )
        .order_by(AuditEvent.position)
        .limit(limit)
    )
    if upto is not None:
        query = query.where(AuditEvent.position <= upto)
    # Past the session, which would look at every row for objects of its own.
    return [Stored(*row) for row in tx.connection().execute(query)]
