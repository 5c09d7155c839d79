"""Whose turn a job is: each takes a lease, so replicas do not repeat it.

A lease is held for a minute and renewed while its job runs, an hour at most, so another process takes over from one
that was killed, or that hangs. A job that is done moves its lease to its next turn; a process that ends gives its lease
back.

A job that fails is logged and tried again at its next turn; it never stops the server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter

import structlog

from authz import entropy
from authz.admin.audit_alerts import AlertReader
from authz.audit.delivery import Delivery
from authz.audit.sinks import Way, open_sink
from authz.db.leases import acquire, extend
from authz.jobs import JOBS, Job
from authz.services import Services
from authz.telemetry.metrics import JOB_LAST_SUCCESS, JOB_RUNS, JOB_SECONDS

log = structlog.get_logger()

_TICK = timedelta(seconds=15)
_HELD_FOR = timedelta(minutes=1)
_RENEWED_EVERY = timedelta(seconds=20)
_LONGEST = timedelta(hours=1)
"""Of a job. One that hangs is another process's turn after that."""
_LAST_JOB_SECONDS = 10.0
"""How long the end of the process waits for the job that is under way."""
_FOLLOW = timedelta(seconds=2)


def followers(services: Services, holder: str) -> dict[str, Callable[[], int]]:
    """What reads the audit trail as it grows: a turn of each sink of the configuration, and of the alert rules."""
    way = Way(services.network, services.secrets.resolve, services.clock)
    found: dict[str, Callable[[], int]] = {
        f"audit-sink:{it.name}": Delivery(
            it, open_sink(it, way), services.database, services.clock, holder
        ).turn
        for it in services.settings.audit.sink
    }
    if rules := services.settings.audit.alert:
        reader = AlertReader(
            rules, services.database, services.configurations, services.clock, holder
        )
        found["audit-alerts"] = reader.turn
    return found


class JobRunner:
    """One per process, on the event loop; the work itself is in a thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._holder = entropy.new_id("proc")
        self._under_way: asyncio.Task[bool] | None = None
        self._name = ""
        self._followed: set[asyncio.Task[int]] = set()
        self._is_ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take turns while the block runs."""
        tasks = [asyncio.create_task(self._turns(), name="jobs")]
        # A loop each: one that is slow or down holds up nobody.
        tasks += [
            asyncio.create_task(self._follow(name, turn), name=name)
            for name, turn in followers(self._services, self._holder).items()
        ]
        try:
            yield
        finally:
            self._is_ending = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._ended()
            if self._followed:
                await asyncio.wait(self._followed, timeout=_LAST_JOB_SECONDS)

    async def _follow(self, name: str, turn: Callable[[], int]) -> None:
        while True:
            await asyncio.sleep(_FOLLOW.total_seconds())
            work = asyncio.create_task(asyncio.to_thread(turn))
            self._followed.add(work)
            work.add_done_callback(self._followed.discard)
            try:
                await asyncio.shield(work)
            except Exception:
                log.exception("job.failed", job=name)

    async def _turns(self) -> None:
        while True:
            await asyncio.sleep(_TICK.total_seconds())
            for name, job in JOBS.items():
                self._name = name
                self._under_way = asyncio.create_task(asyncio.to_thread(self.turn, name, job))
                await self._renewing(self._under_way)

    async def _renewing(self, work: "asyncio.Task[bool]") -> None:
        until = perf_counter() + _LONGEST.total_seconds()
        while perf_counter() < until:
            done, _ = await asyncio.wait({work}, timeout=_RENEWED_EVERY.total_seconds())
            if done:
                return
            await asyncio.to_thread(self._extend, _HELD_FOR)
        log.error("job.hangs", job=self._name)
        # Its lease runs out. This process takes no other turn: what holds up one would hold up the next.
        await asyncio.wait({work})

    async def _ended(self) -> None:
        """The job under way is finished; if that takes too long, whoever comes next may do it over."""
        if self._under_way is None or self._under_way.done():
            return
        done, _ = await asyncio.wait({self._under_way}, timeout=_LAST_JOB_SECONDS)
        if not done:
            log.warning("job.interrupted", job=self._name)
            await asyncio.to_thread(self._extend, timedelta(0))

    def turn(self, name: str, job: Job) -> bool:
        """Run the job if it is due and nobody has done it this time; whether it was run."""
        now, began = self._services.clock(), perf_counter()
        try:
            with self._services.database.write() as tx:
                until = now + _HELD_FOR
                if self._is_ending or not acquire(
                    tx, name, holder=self._holder, until=until, now=now
                ):
                    return False
            try:
                job.run(self._services, now)
            finally:
                with self._services.database.write() as tx:
                    extend(tx, name, holder=self._holder, until=now + job.every)
        except Exception:
            log.exception("job.failed", job=name)
            JOB_RUNS.labels(name, "failed").inc()
        else:
            JOB_RUNS.labels(name, "done").inc()
            JOB_LAST_SUCCESS.labels(name).set(now.timestamp())
        JOB_SECONDS.labels(name).observe(perf_counter() - began)
        return True

    def _extend(self, by: timedelta) -> None:
        until = self._services.clock() + by
        try:
            with self._services.database.write() as tx:
                extend(tx, self._name, holder=self._holder, until=until)
        except Exception:
            # The lease runs out by itself.
            log.exception("job.lease_lost", job=self._name)
