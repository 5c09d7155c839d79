"""Time as a value: pure functions take `now`, long-lived objects take a `Clock`; nothing else reads the time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime in UTC."""


def system_clock() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


def numeric_date(moment: datetime) -> int:
    """A JWT NumericDate: whole seconds since the epoch (RFC 7519 §2)."""
    return int(moment.timestamp())


def ticks_of(clock: Clock) -> Callable[[], float]:
    """Seconds that tell how much time has passed, not what time it is; a clock that a test holds tells both.

    Whoever sets the machine's clock back must not make everybody wait.
    """
    if clock is system_clock:
        return time.monotonic
    return lambda: clock().timestamp()
