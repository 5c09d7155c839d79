"""How PostgreSQL is upgraded while servers use it: one revision at a time, and nobody waits behind it.

Decisions:
- A transaction for each revision, not one for all: a lock that the first takes would be held until the last is done,
  with every token request waiting. An upgrade that failed half-way goes on where it was.
- Whoever waits for a table to be free makes all others wait behind it, and who holds one table and waits for another
  may be in a deadlock with requests, which take them in an order of their own. So a revision waits shortly, gives up
  before PostgreSQL looks for a victim (`deadlock_timeout`, 1 s), and tries again, as it does when it was the victim.
- What builds an index over many rows does it CONCURRENTLY, outside of a transaction, as often as it has to.
- One node at a time: the lock for that is in a transaction of its own, which a pooler leaves alone as well. Others ask
  for it now and then.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from authz.db.availability import RETRY_STATES
from authz.db.engine import Database
from authz.errors import Conflict
from authz.progress import Watch

LOCK_SECONDS = 0.5
ATTEMPTS = 60
PAUSE_SECONDS = 1.0
_IN_THE_WAY = (*RETRY_STATES, "55P03")
"""A deadlock whose victim it was, and a lock that somebody keeps."""
_TURN_SECONDS = 0.1
# The time limits of requests: an index over millions of rows takes longer, and so does waiting for another node.
_UNLIMITED = ("statement_timeout = 0", "idle_in_transaction_session_timeout = 0")


@contextmanager
def alone(database: Database) -> Iterator[None]:
    """Two nodes that start at once: the second waits, then finds nothing to do."""
    with database.engine.connect() as connection:
        # An index that is built CONCURRENTLY waits for every transaction with a snapshot: whoever has to wait ends the
        # transaction it asked in, and whoever got the lock puts a statement without a snapshot after it.
        while not connection.scalar(text("SELECT pg_try_advisory_xact_lock(4720160909)")):
            connection.rollback()
            time.sleep(_TURN_SECONDS)
        for limit in _UNLIMITED:
            connection.exec_driver_sql(f"SET LOCAL {limit}")
        yield


@contextmanager
def unhurried(database: Database) -> Iterator[Connection]:
    """A connection of its own, whose transactions take as long as they take, but do not wait long for a lock."""
    engine: Engine = database.engine.execution_options()
    event.listen(engine, "begin", _limit)
    with engine.connect() as connection:
        if database.has_pooler:
            yield connection
            return
        try:
            # For what runs outside of a transaction.
            for limit in _UNLIMITED:
                connection.exec_driver_sql(f"SET {limit}")
            connection.commit()
            yield connection
        finally:
            # It is of this session: no request gets it afterwards.
            connection.invalidate()


def run(connection: Connection, work: Callable[[], None], watch: Watch) -> None:
    """Do the work, which goes on where it was, until no lock is in its way. Raises Conflict."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
                raise
            connection.rollback()
            if attempt == ATTEMPTS:
                raise Conflict(
                    "another session keeps a table that the upgrade has to change: what was done stays, "
                    "end that session and run `authz db upgrade` again"
                ) from error
        watch.at("a table is in use, trying again")
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _limit(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    for limit in (*_UNLIMITED, f"lock_timeout = {int(LOCK_SECONDS * 1000)}"):
        connection.exec_driver_sql(f"SET LOCAL {limit}")
