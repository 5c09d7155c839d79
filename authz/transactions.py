"""What this context has under way with the database: an open transaction, and whether anything is done for good.

The network, signing and password hashing call `forbid_inside_transaction`; `db` marks its write blocks. A
transaction that waits for a stranger's web server holds locks for as long as the stranger likes.

Work that failed because of the database may be run once more as long as nothing of it stayed: no transaction of it was
committed, and nothing left the machine. `db` and `net` call `mark_done`, `db.again` asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Turn:
    """One run of work that may be run again."""

    is_done: bool = False
    """Something of it cannot be taken back."""


_open: ContextVar[bool] = ContextVar("authz_transaction_open", default=False)
_turn: ContextVar[Turn | None] = ContextVar("authz_turn", default=None)


@contextmanager
def marked_open() -> Iterator[None]:
    """Mark the block as holding a transaction."""
    token = _open.set(True)
    try:
        yield
    finally:
        _open.reset(token)


def forbid_inside_transaction(what: str) -> None:
    """Raise RuntimeError when a transaction is open here: a programming error, never an input error."""
    if _open.get():
        raise RuntimeError(f"{what} inside a database transaction")


@contextmanager
def turn() -> Iterator[Turn]:
    """Whatever is done in the block is noted in the value."""
    made = Turn()
    token = _turn.set(made)
    try:
        yield made
    finally:
        _turn.reset(token)


def mark_done() -> None:
    """Something happened that a second run would do twice."""
    current = _turn.get()
    if current is not None:
        current.is_done = True
