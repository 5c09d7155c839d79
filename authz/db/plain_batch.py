"""Batches of the plain lane: the queue of `db.batch` in front of functions of a session.

For work that comes in crowds but needs what only a session has. The function gets the whole batch, and everything it
does is one transaction.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.orm import Session

from authz.db.availability import is_conflict, is_lost
from authz.db.batch import LaneStatistics
from authz.db.engine import Database

Work = Callable[[Session], list[Any]]


class PlainRunner:
    """A thread of its own with a session for each batch."""

    def __init__(self, database: Database, *, name: str) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, program: Work, statistics: LaneStatistics) -> list[Any]:
        """Hand the batch to the thread."""
        statistics.round_trips += 1
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, program)

    def _run(self, program: Work) -> list[Any]:
        with self._database.write() as tx:
            return program(tx)

    def is_retryable(self, error: Exception) -> bool:
        """Undone by the database, or lost before it was committed; `FateUnknown` is neither."""
        return is_conflict(error) or is_lost(error)

    async def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
