"""Databases of a test's own, on either engine."""

import atexit
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from authz.db import Database, migrate
from tests.support.postgres import URL_VARIABLE, scratch_database


@contextmanager
def fresh_url(engine: str, folder: Path, name: str) -> Iterator[str]:
    """The URL of an empty database; `name` is unique among the tests that run at once."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'own.db'}"
        return
    with scratch_database(os.environ[URL_VARIABLE], name) as url:
        yield url


@contextmanager
def migrated_url(engine: str, folder: Path, name: str) -> Iterator[str]:
    """The same with the tables at head: a copy, where migrating anew would take a second for every test."""
    if engine == "sqlite":
        url = f"sqlite:///{folder / 'own.db'}"
        begin(url)
        yield url
        return
    with scratch_database(os.environ[URL_VARIABLE], name, _template(engine)) as url:
        yield url


def begin(url: str) -> None:
    """An SQLite database that is not there yet begins with the tables at head."""
    if not url.startswith("sqlite"):
        return  # unread: one of PostgreSQL may name several hosts
    file = Path(str(make_url(url).database))
    if not file.exists():
        shutil.copyfile(_template("sqlite"), file)


@functools.cache
def _template(engine: str) -> str:
    """The file, or the name of the database, that this process migrates once. Nobody is connected to it."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    name = f"authz_template_{os.getpid()}"
    database = Database(stack.enter_context(fresh_url(engine, folder, name)))
    migrate.upgrade(database)
    database.close()
    return str(folder / "own.db") if engine == "sqlite" else name


@contextmanager
def held_up(database: Database, table: str) -> Iterator[None]:
    """While this block runs no batch of the token lane that touches the table gets to its end."""
    if database.writer is not None:
        with database.writer:
            yield
        return
    with connected(database) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def connected(database: Database) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection beside the server's, in a transaction that ends with the block."""
    dsn = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn) as connection:
        yield connection


def until_somebody_waits(database: Database) -> None:
    """Until a transaction waits for what another one holds (PostgreSQL)."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        with database.read() as tx:
            if tx.connection().exec_driver_sql(waiting).scalar():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
