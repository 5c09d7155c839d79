"""How many attempts a key has left: a token bucket per key, in memory, with a bound on keys.

Per process, because a shared counter would be a row a stranger can write. With several processes an attacker gets
that many times the budget, which argon2 and the size of the budget allow for.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

MAX_KEYS = 50_000


class Throttle:
    """`burst` attempts at once, then one per `every`."""

    def __init__(self, *, burst: int, every: timedelta) -> None:
        self._burst = burst
        self._every = every.total_seconds()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, key: str, now: datetime) -> int:
        """Take one attempt. Answers 0, or the seconds until there is one again."""
        present = now.timestamp()
        with self._lock:
            left, at = self._buckets.pop(key, (float(self._burst), present))
            left = min(float(self._burst), left + (present - at) / self._every)
            taken = left >= 1
            self._buckets[key] = (left - 1 if taken else left, present)
            if len(self._buckets) > MAX_KEYS:
                # The key that was quiet longest; an attacker who floods keys resets only old ones.
                self._buckets.popitem(last=False)
        return 0 if taken else max(1, int((1 - left) * self._every + 0.999))

    def refund(self, key: str) -> None:
        """Forget a key's attempts: it proved itself."""
        with self._lock:
            self._buckets.pop(key, None)
