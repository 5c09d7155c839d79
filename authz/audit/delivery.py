"""Telling the trail to a sink: by whoever of the replicas has its lease, in order, until it is not taken.

A reader beside the server's work: no request waits for it, and a sink that is down keeps its place in the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit import cursors
from authz.audit.cursors import Behind
from authz.audit.formats.told import Told
from authz.audit.reading import Stored, read_page
from authz.audit.sinks import NotTaken, Sink
from authz.clock import Clock
from authz.db import Database
from authz.db.leases import acquire, extend
from authz.db.models import AuditSink as SinkRow
from authz.db.models import Tenant
from authz.settings import AuditSink
from authz.telemetry.metrics import AUDIT_DELIVERED, AUDIT_FAILURES

LONGEST_TURN, LEASE = timedelta(seconds=20), timedelta(seconds=60)
"""A turn ends long before its lease does, also when the last delivery takes as long as any may."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=2)
"""Before a delivery that failed is tried again: twice as long each time."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Delivery:
    """One sink of the configuration, in one process."""

    settings: AuditSink
    sink: Sink
    database: Database
    clock: Clock
    holder: str

    def turn(self) -> int:
        """Tell what there is to tell, for as long as a turn may be; how many events were taken. Blocks."""
        name, now = f"audit-sink:{self.settings.name}", self.clock()
        with self.database.write() as tx:
            if not acquire(tx, name, holder=self.holder, until=now + LEASE, now=now):
                return 0
            row = begin(tx, self.settings.name, from_start=self.settings.from_start, now=now)
            is_waiting = row.retry_at is not None and row.retry_at > now
        try:
            taken = 0 if is_waiting else self._deliver(now + LONGEST_TURN)
        finally:
            with self.database.write() as tx:
                extend(tx, name, holder=self.holder, until=self.clock())
        return taken

    def _deliver(self, until: datetime) -> int:
        """Until every strand was read to where it went when it was looked at.

        Not until nothing waits: while grants are issued something always does, and a page of ten events costs what one
        of a thousand does.
        """
        taken, is_more = 0, True
        while is_more:
            with self.database.read() as tx:
                waiting = self._behind(tx)
            is_more = False
            for it in waiting:
                with self.database.read() as tx:
                    page = read_page(tx, it.tenant_id, it.strand, after=it.position, upto=it.last)
                wanted = [Told(event) for event in page if self._wants(event)]
                try:
                    if wanted:
                        self.sink.send(wanted)
                except NotTaken as error:
                    self._put_off(error.reason)
                    return taken
                self._move(it, page, len(wanted))
                taken += len(wanted)
                is_more = is_more or (bool(page) and page[-1].position < it.last)
                if self.clock() >= until:
                    return taken
        return taken

    def _behind(self, tx: Session) -> Sequence[Behind]:
        tenants = tenants_of(tx, self.settings.tenants)
        return cursors.behind(tx, self.settings.name, tenants=tenants)

    def _wants(self, event: Stored) -> bool:
        kinds = self.settings.kinds
        return not kinds or is_of(event.kind, kinds)

    def _move(self, it: Behind, page: Sequence[Stored], count: int) -> None:
        # Nothing there: retention was here first, or somebody cut the trail, which `authz audit verify` tells.
        position = page[-1].position if page else it.last
        with self.database.write() as tx:
            cursors.move(tx, self.settings.name, it, position)
            row = tx.get_one(SinkRow, self.settings.name)
            row.failures, row.last_failure, row.retry_at = 0, None, None
            if count:
                row.delivered_at = self.clock()
        AUDIT_DELIVERED.labels(self.settings.name).inc(count)

    def _put_off(self, reason: str) -> None:
        AUDIT_FAILURES.labels(self.settings.name).inc()
        with self.database.write() as tx:
            row = tx.get_one(SinkRow, self.settings.name)
            row.failures += 1
            row.last_failure = reason
            row.retry_at = self.clock() + pause_after(row.failures)
            failures = row.failures
        log.warning("audit.sink_failed", sink=self.settings.name, reason=reason, failures=failures)


def begin(tx: Session, name: str, *, from_start: bool, now: datetime) -> SinkRow:
    """The row of a reader; one that is new begins with what comes from now on, unless it wants all."""
    row = tx.get(SinkRow, name)
    if row is None:
        if not from_start:
            cursors.move_to_end(tx, name)
        row = SinkRow(name=name, started_at=now, failures=0)
        tx.add(row)
        tx.flush()
    return row


def lag_of(tx: Session, settings: AuditSink) -> int:
    """How many events it has not been asked to take."""
    by_tenant = cursors.lag(tx, settings.name)
    tenants = tenants_of(tx, settings.tenants)
    return sum(count for it, count in by_tenant.items() if tenants is None or it in tenants)


def tenants_of(tx: Session, slugs: Iterable[str]) -> Sequence[str] | None:
    """Their ids; None for all."""
    wanted = list(slugs)
    if not wanted:
        return None
    return tx.scalars(select(Tenant.id).where(Tenant.slug.in_(wanted))).all()


@lru_cache(maxsize=1024)
def is_of(kind: str, patterns: tuple[str, ...]) -> bool:
    """Whether a kind of event is one of these: `token.refused`, `login.*`, `*`."""
    return any(fnmatchcase(kind, it) for it in patterns)


def pause_after(failures: int) -> timedelta:
    """Until the next try."""
    return min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)
