"""Running blocking work of the plain lane once more, where the database failed and nothing of it stayed.

A deadlock, a serialization failure (every transaction on a distributed database may meet one), a connection lost
before anything was committed: the work is simply done again, as the token lane does with its batches. Work that has
committed something, or asked another server, is not: its second run would meet its own first one (a code that is
spent, an identity provider that answers once).
"""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog

from authz import transactions
from authz.db.availability import FateUnknown, is_conflict, is_lost

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 5
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.02

log = structlog.get_logger()


def again(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work. Raises what it raised when another run would not help, or could do harm."""
    began = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        with transactions.turn() as turn:
            try:
                return work(*args, **kwargs)
            except Exception as error:
                is_over = attempt == _ATTEMPTS or time.monotonic() - began > _PATIENCE_SECONDS
                if is_over or turn.is_done or not _may_help(error):
                    raise
                log.info("database.again", error=type(error).__name__, attempt=attempt)
        time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _may_help(error: Exception) -> bool:
    return not isinstance(error, FateUnknown) and (is_conflict(error) or is_lost(error))
