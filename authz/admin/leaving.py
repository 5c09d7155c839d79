"""Ending somebody's access by hand, and how long the end of access takes here: the offboarding clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from math import ceil

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.db.models import Departure, User
from authz.directory import leaving, users
from authz.directory.leaving import Ended, Signal
from authz.policy.administration import Permission

SOURCE = "operator"


@dataclass(frozen=True)
class EndedAccess:
    """What an operator ended."""

    id: str
    login: str
    status: str
    sessions: int
    grants: int
    codes: int
    tokens: int


@dataclass(frozen=True)
class SourceLine:
    """The clock of one kind of signal; seconds from its arrival to the end of the last credential."""

    source: str
    events: int
    p50: float
    p99: float
    worst: float
    sessions: int
    grants: int
    codes: int
    tokens: int


@dataclass(frozen=True)
class DepartureLine:
    """One end of somebody's access."""

    user_id: str
    source: str
    because: str
    signalled_at: datetime
    seconds: float
    sessions: int
    grants: int
    tokens: int


@dataclass(frozen=True)
class Report:
    """The clock since a moment."""

    since: datetime
    sources: list[SourceLine]
    slowest: list[DepartureLine]


def end_access(
    tx: Session, operator: Operator, tenant_id: str, reference: str, *, disable: bool = False
) -> EndedAccess:
    """Every session, grant, code and token of a person. They may sign in again, unless the account is disabled too."""
    operator.must(Permission.PEOPLE_CUT)
    row = users.load(tx, tenant_id, reference)
    because = "user_disabled" if disable else "access_ended"
    if disable:
        row.status, row.updated_at = "disabled", operator.now
    ended = end(tx, operator, row, because)
    values = {"status": row.status, **_counted(ended)}
    operator.changed(
        tx, tenant_id, "user.end_access", row.id, values, subject=row.id, also=ended.events
    )
    return EndedAccess(row.id, row.login, row.status, **_counted(ended))


def end(tx: Session, operator: Operator, row: User, because: str) -> Ended:
    """The same for other operations, which record it together with what they do themselves."""
    signal = Signal(source=SOURCE, because=because, received_at=operator.now, actor=operator.name)
    return leaving.end_access(tx, row, signal, operator.now)


def report(tx: Session, tenant_id: str, since: datetime, *, slowest: int = 10) -> Report:
    """How long it took, by source, and the slowest of all."""
    rows = tx.scalars(
        select(Departure)
        .where(Departure.tenant_id == tenant_id, Departure.ended_at >= since)
        .order_by(Departure.ended_at)
        .execution_options(yield_per=1000)
    )
    by_source: dict[str, _Tally] = {}
    seen: list[DepartureLine] = []
    for row in rows:
        by_source.setdefault(row.source, _Tally([], [0, 0, 0, 0])).add(row)
        # What is kept stays as long as what is asked for, whatever the table holds.
        seen.append(_line(row))
        if len(seen) > 2 * slowest + 100:
            seen = _slowest(seen, slowest)
    sources = [tally.line(source) for source, tally in sorted(by_source.items())]
    return Report(since, sources, _slowest(seen, slowest))


def percentile(ordered: list[float], part: float) -> float:
    """The value that `part` of all do not exceed (nearest rank)."""
    return ordered[max(0, ceil(part * len(ordered)) - 1)]


@dataclass
class _Tally:
    seconds: list[float]
    counts: list[int]

    def add(self, row: Departure) -> None:
        self.seconds.append((row.ended_at - row.signalled_at).total_seconds())
        found = (row.sessions, row.families, row.codes, row.tokens)
        self.counts = [a + b for a, b in zip(self.counts, found, strict=True)]

    def line(self, source: str) -> SourceLine:
        ordered = sorted(self.seconds)
        p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
        return SourceLine(source, len(ordered), p50, p99, ordered[-1], *self.counts)


def _slowest(lines: Iterable[DepartureLine], count: int) -> list[DepartureLine]:
    return nlargest(count, lines, key=lambda line: line.seconds)


def _line(row: Departure) -> DepartureLine:
    return DepartureLine(
        user_id=row.user_id,
        source=row.source,
        because=row.because,
        signalled_at=row.signalled_at,
        seconds=(row.ended_at - row.signalled_at).total_seconds(),
        sessions=row.sessions,
        grants=row.families,
        tokens=row.tokens,
    )


def _counted(ended: Ended) -> dict[str, int]:
    return {
        "sessions": ended.sessions,
        "grants": ended.families,
        "codes": ended.codes,
        "tokens": ended.tokens,
    }
