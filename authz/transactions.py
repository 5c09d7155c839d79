"""Whether this context holds a database transaction, so that nothing slow can happen inside one.

The network, signing and password hashing call `forbid_inside_transaction`; `db` marks its write blocks. A
transaction that waits for a stranger's web server holds locks for as long as the stranger likes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_open: ContextVar[bool] = ContextVar("authz_transaction_open", default=False)


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
