"""Threads that ask a key store, or a secret store: so many at a time, and nobody waits for one that hangs.

A library of a module may never come back. The threads of the standard pool are joined when the process ends, and would
keep it for ever; these are left behind.
"""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class Busy(Exception):
    """As many are asking as may."""


class AskingThreads:
    """One set per process; each is started when it is first needed."""

    def __init__(self, most: int, *, name: str = "signing") -> None:
        self._most = most
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._under_way = 0
        self._threads: set[threading.Thread] = set()

    @property
    def is_here(self) -> bool:
        """Whether this code runs in one of them."""
        return threading.current_thread() in self._threads

    def submit(self, work: Callable[[], _T]) -> "Future[_T]":
        """Begin now. Raises Busy: what would have to wait for a store that hangs is told at once."""
        future: Future[_T] = Future()
        context = contextvars.copy_context()
        with self._lock:
            if self._under_way >= self._most:
                raise Busy
            self._under_way += 1
            if self._under_way > len(self._threads):
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.add(thread)
                thread.start()
        self._work.put(lambda: self._do(future, context, work))
        return future

    def close(self) -> None:
        """Those that have nothing to do end."""
        for _ in self._threads:
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # with all it holds, until the next one

    def _do(
        self, future: "Future[_T]", context: contextvars.Context, work: Callable[[], _T]
    ) -> None:
        result: _T | None = None
        failure: BaseException | None = None
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 -- it is for whoever waits
            failure = error
        with self._lock:
            self._under_way -= 1
        if not future.set_running_or_notify_cancel():
            return  # nobody waits any more
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # what the work answered
