"""How much may be under way: one lane per profile, so that strangers never starve operators."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from authz.net.errors import NetworkError

_QUEUE_FACTOR = 8
_REMEMBERED_HOSTS = 4096
_RESOLVER_THREADS = 8


@dataclass
class _Host:
    slots: asyncio.Semaphore
    users: int = 0


class Lane:
    """The slots, budget and resolver threads of one profile (CIMD-17, ATK-48)."""

    def __init__(self, *, at_once: int, at_once_per_host: int, per_minute: int | None) -> None:
        self.threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        self._slots = asyncio.Semaphore(at_once)
        self._most = at_once * _QUEUE_FACTOR
        self._entered = 0
        self._at_once_per_host = at_once_per_host
        self._hosts: dict[str, _Host] = {}
        self._per_minute = per_minute
        self._spent: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Hold one fetch to `host`; waits for a place, refuses when too many wait already."""
        if self._entered >= self._most:
            raise NetworkError(f"too many requests are waiting to reach {host}", reason="busy")
        place = self._hosts.get(host)
        if place is not None and place.users >= self._at_once_per_host * _QUEUE_FACTOR:
            # Otherwise one slow host would fill the queue that all hosts share (ATK-48).
            raise NetworkError(f"too many requests are waiting for {host}", reason="busy")
        self._spend(host)
        place = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._at_once_per_host)))
        self._entered += 1
        place.users += 1
        try:
            # The host's place first: a slow host keeps its own queue, not everybody's slots.
            async with place.slots, self._slots:
                yield
        finally:
            self._entered -= 1
            place.users -= 1
            if not place.users:
                del self._hosts[host]

    def _spend(self, host: str) -> None:
        if self._per_minute is None:
            return
        now = time.monotonic()
        since, count = self._spent.pop(host, (now, 0))
        if now - since >= 60:
            since, count = now, 0
        self._spent[host] = (since, min(count + 1, self._per_minute))
        if len(self._spent) > _REMEMBERED_HOSTS:
            self._spent.popitem(last=False)
        if count >= self._per_minute:
            raise NetworkError(
                f"{host} was asked {count} times within a minute", reason="over_budget"
            )
