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


def seconds_of(clock: Clock) -> Callable[[], float]:
    """The same clock in seconds since the epoch; the machine's own without making a datetime of it each time."""
    if clock is system_clock:
        return time.time
    return lambda: clock().timestamp()
