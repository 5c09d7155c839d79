"""Databases of a test's own, on either engine."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from authz.db import Database
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
