"""Numbers that nobody counts as they happen: taken from where they stand when a scraper asks, or every few seconds.

The facts of the installation are read from the database at most every so often, and never waited for long: metrics are
looked at most when a database is in trouble.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from authz import __version__
from authz.admin.measuring import Measurements
from authz.db.batch import Lane
from authz.services import Services
from authz.telemetry import metrics
from authz.telemetry.exposition import shared_folder
from authz.telemetry.installation import BUILD, DATABASE_UP, Reading

log = structlog.get_logger()

DEADLINE = timedelta(seconds=2)
FRESH = timedelta(seconds=15)
_EVERY_SECONDS = 5
_COUNTERS = {
    "batches": metrics.LANE_BATCHES,
    "jobs": metrics.LANE_JOBS,
    "statements": metrics.LANE_STATEMENTS,
    "round_trips": metrics.LANE_ROUND_TRIPS,
    "reruns": metrics.LANE_RERUNS,
}


class Measuring:
    """One per process."""

    def __init__(self, services: Services, lanes: Mapping[str, Lane[Any, Any]]) -> None:
        self._services = services
        self._lanes = lanes
        self._told = {name: replace(lane.statistics) for name, lane in lanes.items()}
        self._measurements = Measurements(services.envelope, services.settings.audit.sink)
        self._look: asyncio.Future[Reading] | None = None
        self._began = float("-inf")

    def publish(self) -> None:
        """What lanes and pool of this process are at."""
        for name, lane in self._lanes.items():
            now, before = replace(lane.statistics), self._told[name]
            self._told[name] = now
            for member, counter in _COUNTERS.items():
                counter.labels(name).inc(getattr(now, member) - getattr(before, member))
            metrics.LANE_WAITING.labels(name).set(lane.waiting)
        in_use, limit = self._services.database.pool_use()
        metrics.POOL_IN_USE.set(in_use)
        metrics.POOL_SIZE.set(limit)

    async def reading(self) -> Reading:
        """The facts of the installation, fifteen seconds old at most; without them when they cannot be had in time."""
        loop = asyncio.get_running_loop()
        is_over = self._look is None or self._look.done()
        if self._look is None or (is_over and loop.time() - self._began > FRESH.total_seconds()):
            self._began = loop.time()
            self._look = asyncio.ensure_future(asyncio.to_thread(self._read))
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                return await asyncio.shield(self._look)
        except TimeoutError:
            return _reading(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Where several processes share a folder, each writes into it whether or not it is the one that is asked."""
        if shared_folder() is None:
            yield
            return
        task = asyncio.create_task(self._turns(), name="measuring")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _turns(self) -> None:
        while True:
            self.publish()
            await asyncio.sleep(_EVERY_SECONDS)

    def _read(self) -> Reading:
        try:
            with self._services.database.read() as tx:
                values = self._measurements.read(tx, self._services.clock())
        except Exception as error:  # noqa: BLE001 -- whatever it is, metrics are told, and this is one of them
            log.warning("metrics.facts_unreadable", error=type(error).__name__)
            return _reading(0)
        return Reading({**_reading(1).values, **values})


def _reading(is_up: int) -> Reading:
    return Reading({BUILD: {(__version__,): 1}, DATABASE_UP: {(): is_up}})
