"""Engines: SQLite tuned for one durable writer, PostgreSQL with server-side time limits."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import Dialect, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from authz.db.availability import FateUnknown, is_lost
from authz.errors import ConfigurationError
from authz.transactions import mark_done, marked_open

CONNECT_SECONDS = 5
"""A database that does not answer is an error, not a wait."""
PATIENCE_SECONDS = 3.0
"""How long a request waits for a database that restarts or fails over; then it is told to come back."""
POOL_SECONDS = 3
"""How long a request waits for a connection that others use."""
KEPT_ALIVE: Mapping[str, int] = {
    "connect_timeout": CONNECT_SECONDS,
    # A server that vanished without a word (its machine lost power, the network was cut) is noticed
    # within seconds, not when the system's own patience of a quarter of an hour is over.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
TIME_LIMITS: Mapping[str, str] = {
    "statement_timeout": "15000",
    "idle_in_transaction_session_timeout": "30000",
}
_WAL_ATTEMPTS = 40


class Password(Protocol):
    """What a connection is opened with, where the URL does not say it."""

    def current(self) -> str:
        """The one to try, without waiting."""

    def renewed(self) -> str:
        """The one to try after that was refused; may block for some seconds."""


class _Over(Exception):
    """The end of a rehearsal."""


class Database:
    """The plain lane: `read()` and `write()` blocks around an ordinary Session."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pooler: bool = False,
        password: Password | None = None,
    ) -> None:
        self.url = make_url(url)
        self.password = password
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.has_pooler = pooler
        """A pooler in transaction mode stands between: each transaction may meet another session."""
        self.engine = (
            _sqlite_engine(url)
            if self.is_sqlite
            else _postgresql_engine(url, pool_size, password, has_pooler=pooler)
        )
        # SQLite has one writer; waiting here is fair and costs no busy-wait (p99 25 ms instead of 356 ms).
        self.writer = threading.Lock() if self.is_sqlite else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that never commits."""
        with Session(self.engine, expire_on_commit=False) as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: commits at the end of the block, rolls back on any exception.

        An OAuthError that must be recorded is therefore caught inside the block (architecture D4). Raises FateUnknown
        when the connection was lost while it committed.
        """
        if self.writer is None:
            with _transaction(self.engine) as tx:
                yield tx
            return
        immediate = self.engine.execution_options(authz_begin="IMMEDIATE")
        with self.writer, _transaction(immediate) as tx:
            yield tx

    @contextmanager
    def rehearse(self) -> Iterator[Session]:
        """As `write`, but nothing stays: what a change would do is what it does."""
        with suppress(_Over), self.write() as tx:
            yield tx
            raise _Over

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """As `read`, but every statement sees the database as the first one did: for what is compared across tables."""
        # In SQLite every transaction that reads is one.
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with Session(self.engine.execution_options(**level), expire_on_commit=False) as tx:
            yield tx

    @contextmanager
    def unhurried(self) -> Iterator[Connection]:
        """A connection of its own where each statement is a transaction and takes as long as it takes (PostgreSQL).

        Raises ConfigurationError behind a pooler, which hands each statement to another session.
        """
        if self.has_pooler:
            raise ConfigurationError(
                "this cannot be done through a pooler: run it with database.url at PostgreSQL itself and "
                "database.pooler off"
            )
        url = self.url.render_as_string(hide_password=False)
        engine = _postgresql_engine(
            url, 1, self.password, has_pooler=False, limits={"statement_timeout": "0"}
        )
        try:
            with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def pool_use(self) -> tuple[int, int]:
        """How many connections of the plain lane are in use, and how many there may be."""
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            return 0, 0
        return pool.checkedout(), pool.size() + pool._max_overflow  # noqa: SLF001 -- no other way to ask

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Session]:
    is_committing = False
    try:
        with Session(engine, expire_on_commit=False) as tx, tx.begin(), marked_open():
            yield tx
            tx.flush()
            is_committing = True
    except DBAPIError as error:
        if is_committing and is_lost(error):
            mark_done()
            raise FateUnknown from error
        raise
    mark_done()


def word_of(ask: Callable[[], str]) -> str:
    """What it answers; a password that cannot be had is a database that cannot be reached."""
    try:
        return ask()
    except ConfigurationError as error:
        raise psycopg.OperationalError(str(error)) from None


def configure_sqlite(connection: sqlite3.Connection) -> None:
    """The pragmas every connection needs; `synchronous=FULL` is what makes an answered request durable."""
    connection.execute("PRAGMA busy_timeout=10000")
    _go_over_to_wal(connection)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _go_over_to_wal(connection: sqlite3.Connection) -> None:
    """Two processes that open a new file at once: SQLite refuses one of them without waiting."""
    for attempt in range(1, _WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if attempt == _WAL_ATTEMPTS:
                raise
            time.sleep(0.05)
        else:
            return


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # BEGIN is ours: the driver's own would be DEFERRED
        configure_sqlite(connection)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # A transaction that may write takes the write lock first: upgrading a read lock fails at once
        # with SQLITE_BUSY, whatever the timeout.
        mode = connection.get_execution_options().get("authz_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _postgresql_engine(
    url: str,
    pool_size: int,
    password: Password | None,
    *,
    has_pooler: bool,
    limits: Mapping[str, str] = TIME_LIMITS,
) -> Engine:
    connect_args: dict[str, Any] = {
        **KEPT_ALIVE,
        # No session state, so a transaction-mode pooler may stand in between.
        "prepare_threshold": None,
    }
    if not has_pooler:
        connect_args["options"] = " ".join(f"-c {name}={it}" for name, it in limits.items())
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        connect_args=connect_args,
    )
    event.listen(engine, "do_connect", _connecting(password))
    event.listen(engine, "handle_error", _note_lost)
    if has_pooler:
        event.listen(engine, "begin", _limit_transaction)
    return engine


def _connecting(password: Password | None) -> Callable[..., Any]:
    def connect_patiently(
        dialect: Dialect, _: ConnectionPoolEntry, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """A database that restarts or fails over is back in seconds; nothing was sent yet, so waiting is safe."""
        until = time.monotonic() + PATIENCE_SECONDS
        # libpq does not say whether it was the password. No lock is held: the transaction has no connection yet.
        ask = None if password is None else password.current
        while True:
            try:
                word = {} if ask is None else {"password": word_of(ask)}
                return dialect.connect(*args, **{**kwargs, **word})
            except Exception as error:
                if not is_lost(error) or time.monotonic() > until:
                    raise
                ask = None if password is None else password.renewed
                time.sleep(0.1)

    return connect_patiently


def _note_lost(context: ExceptionContext) -> None:
    """A primary that became a standby goes on answering: its connections are as good as lost."""
    if is_lost(context.original_exception):
        context.is_disconnect = True


def _limit_transaction(connection: Any) -> None:
    """What a session may not be told, each transaction is."""
    connection.exec_driver_sql(
        "; ".join(f"SET LOCAL {name} = {it}" for name, it in TIME_LIMITS.items())
    )
