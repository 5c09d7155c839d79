"""The way out of a process, so that nobody who asked is left without an answer.

SIGTERM begins it. First the process only says that it is leaving: `/health/ready` turns to 503, and every answer closes
its connection, so a balancer sends the next request elsewhere. After `server.drain` listening ends, requests under way
are finished, and then what runs beside them (jobs, lanes, the trail) comes to its end in the application's lifespan.
A second SIGTERM, and Ctrl-C, do not wait.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import FrameType

import structlog

log = structlog.get_logger()


class Drain:
    """One per process."""

    def __init__(self) -> None:
        self.is_on = False
        """The process is on its way out."""
        self.is_over = False
        """Nobody is listened to any more; what streams, ends."""
        self._ends: list[Callable[[], None]] = []

    def at_end(self, end: Callable[[], None]) -> None:
        """Call it on the event loop when listening ends: what waits for news waits no longer."""
        self._ends.append(end)

    @asynccontextmanager
    async def on_sigterm(self, wait: timedelta) -> AsyncIterator[None]:
        """While the block runs SIGTERM drains first, then goes on to whom it went before."""
        before = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return
        leave = before
        loop = asyncio.get_running_loop()

        def end() -> None:
            self.is_over = True
            for each in self._ends:
                each()
            leave(signal.SIGTERM, None)

        def begin(_: int, __: FrameType | None) -> None:
            if self.is_on or not wait:
                self.is_on = True
                loop.call_soon_threadsafe(end)
                return
            self.is_on = True
            loop.call_soon_threadsafe(loop.call_later, wait.total_seconds(), end)

        signal.signal(signal.SIGTERM, begin)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGTERM) is begin:
                signal.signal(signal.SIGTERM, before)
