"""What a failure of the database means: is it worth another try, was anything done, and may somebody simply come back?

Three answers, told apart by SQLSTATE (PostgreSQL) or result code (SQLite), never by the text of a message:

    is_conflict     undone by the database, and right again a moment later
    is_lost         the connection is gone, or this server may not be written to any more: another connection may do
    is_unavailable  either, or the database has no room, no time or no connection for it: 503 with Retry-After

Everything else is a fault of ours, and stays a 500.
"""

import sqlite3

import psycopg
from psycopg.errors import CheckViolation
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

RETRY_STATES = ("40001", "40P01")
"""Serialization failure, deadlock."""
_LOST_STATES = ("08", "57P0", "25006")
"""The connection failed; the server is going down or coming up; it became a standby."""
_BUSY_STATES = ("53", "55P03", "57014", "58")
"""No room or connections left, a lock or a statement that took too long, a failing disk."""
_BUSY_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
    }
)
_LOCK_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class LaneFull(Exception):
    """More requests wait than the lane takes; the client should come back shortly."""


class FateUnknown(Exception):
    """The connection was lost while COMMIT was answered: the transaction may be durable, or not."""


FAILURES = (LaneFull, FateUnknown, DBAPIError, PoolTimeout, psycopg.Error, sqlite3.Error)
"""What the database and the queues in front of it raise."""


def is_conflict(error: BaseException) -> bool:
    """Nothing of the transaction stayed, and the same may succeed when it is run again."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return _code(cause) in _LOCK_CODES
    return isinstance(cause, psycopg.Error) and (
        cause.sqlstate in RETRY_STATES or _is_of_a_new_partition(cause)
    )


def is_lost(error: BaseException) -> bool:
    """Nothing more can be done with this connection."""
    cause = _cause(error)
    if not isinstance(cause, psycopg.Error):
        return False
    if cause.sqlstate is None:
        return isinstance(cause, psycopg.OperationalError)
    return cause.sqlstate.startswith(_LOST_STATES)


def is_unavailable(error: BaseException) -> bool:
    """The request was good, and may simply be sent again."""
    if isinstance(error, (LaneFull, FateUnknown, PoolTimeout)):
        return True
    if is_conflict(error) or is_lost(error):
        return True
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return _code(cause) in _BUSY_CODES
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state is not None and state.startswith(_BUSY_STATES)


def _is_of_a_new_partition(error: psycopg.Error) -> bool:
    """The row went to the default partition while the one it belongs to was being made. A CHECK has a name."""
    return isinstance(error, CheckViolation) and error.diag.constraint_name is None


def _cause(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _code(error: sqlite3.Error) -> int | None:
    """Without the extension: a full disk is met in many places."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
