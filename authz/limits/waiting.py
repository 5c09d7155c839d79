"""How many threads may be at something slow."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from authz.limits.refusal import limited


class Waiting:
    """How many threads are at something slow: by one who asks, by tenant and in all."""

    def __init__(self, endpoint: str, budget: str, most: tuple[int, int, int]) -> None:
        self._names = (endpoint, budget)
        self._most = most
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, *keys: str) -> Iterator[None]:
        """One of them, as a block: who asks, its tenant, and all. Raises TooManyRequests."""
        with self._lock:
            if any(self._counts[k] >= m for k, m in zip(keys, self._most, strict=True)):
                raise limited(*self._names, 5)
            self._counts.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._counts.subtract(keys)
                self._counts = +self._counts
