"""How often something may happen: the counting itself."""

from datetime import timedelta
from math import ceil

MAX_KEYS = 8192
_MINUTE = timedelta(minutes=1)
_ROUNDING = 1e-6


class Bucket:
    """`burst` at once, then one per `every`; a burst of 0 is no limit.

    One number per key: the moment at which its account is even again. A moment that has passed is the same as no entry,
    so nothing is lost when a key that was quiet is dropped. No lock: threads that meet here can lose one count.
    """

    def __init__(self, *, burst: int, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._room = (burst - 1) * self._every + _ROUNDING
        self._is_off = burst == 0
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    @classmethod
    def per_minute(cls, count: int) -> "Bucket":
        """`count` in a minute, all of them at once if they like."""
        return cls(burst=count, every=_MINUTE / max(1, count))

    def wait(self, key: str, now: float) -> int:
        """0, or the seconds until there is one. Takes nothing."""
        even_at = self._young.get(key) or self._old.get(key)
        if even_at is None or even_at - now <= self._room or self._is_off:
            return 0
        return max(1, ceil(even_at - now - self._room))

    def take(self, key: str, now: float) -> int:
        """Take one. Answers 0, or the seconds until there is one."""
        if self._is_off:
            return 0
        even_at = self._young.get(key) or self._old.get(key) or now
        if even_at < now:
            even_at = now
        elif even_at - now > self._room:
            return max(1, ceil(even_at - now - self._room))
        self._keep(key, even_at + self._every)
        return 0

    def give_back(self, key: str) -> None:
        """One was not needed."""
        even_at = self._young.get(key) or self._old.get(key)
        if even_at is not None:
            self._keep(key, even_at - self._every)

    def forget(self, key: str) -> None:
        """Its account is even."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _keep(self, key: str, even_at: float) -> None:
        self._young[key] = even_at
        if len(self._young) >= MAX_KEYS:
            # A key survives as long as fewer others were seen since: to be forgotten, one has to come from thousands
            # of addresses, and then a budget of one address is not what holds.
            self._old, self._young = self._young, {}
