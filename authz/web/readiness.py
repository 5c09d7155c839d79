"""Whether this process can answer: cheap, and bounded in time whatever the database does.

Decisions:
- The reason is one word. The address is open to whoever reaches the server, and an error of a driver names hosts.
- One look at a time, in a thread of its own: while a database hangs, probes that come every few seconds must not take
  the threads and connections that requests wait for. A look that hangs is given up after 20 s, three times, so that the
  next one may find the database where it is by then; the driver's own limits end each of them (`db.engine`).
- After the first success the migrations are not looked at again: a database that a newer version has upgraded
  meanwhile still serves this one.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from authz.db import Database, migrate
from authz.errors import ConfigurationError

DEADLINE = timedelta(seconds=2)
_FRESH_SECONDS = 1.0
_GIVEN_UP_SECONDS = 20.0
_THREADS = 3


class Readiness:
    """One per process."""

    def __init__(self, database: Database, *, deadline: timedelta = DEADLINE) -> None:
        self.was_ready = False
        """Once it was, start-up is over."""
        self._database = database
        self._deadline = deadline.total_seconds()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="readiness")
        self._look: asyncio.Future[str | None] | None = None
        self._began = 0.0
        self._ended = 0.0

    async def problem(self) -> str | None:
        """Why not, in one word; None when ready."""
        loop = asyncio.get_running_loop()
        if self._is_over(loop.time()):
            self._began = loop.time()
            self._look = loop.run_in_executor(self._threads, self._answer)
            self._look.add_done_callback(lambda _: self._note_end(loop.time()))
        if self._look is None:
            return "starting"
        try:
            async with asyncio.timeout(self._deadline):
                found = await asyncio.shield(self._look)
        except TimeoutError:
            return "database_timeout"
        self.was_ready |= found is None
        return found

    def close(self) -> None:
        """Let go of the threads; the interpreter waits at its end for one that hangs, as long as the driver lets it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_over(self, now: float) -> bool:
        if self._look is None:
            return True
        if self._look.done():
            return now - self._ended > _FRESH_SECONDS
        return now - self._began > _GIVEN_UP_SECONDS

    def _note_end(self, now: float) -> None:
        self._ended = now

    def _answer(self) -> str | None:
        try:
            if not self.was_ready:
                migrate.check(self._database)
            with self._database.read() as tx:
                tx.execute(text("SELECT 1"))
        except ConfigurationError:
            return "migrations"
        except PoolTimeout:
            return "database_busy"
        except (SQLAlchemyError, OSError):
            return "database_unreachable"
        return None
