"""Very many rows, quickly: COPY on PostgreSQL, one prepared statement on SQLite, values rendered as the server does."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Dialect, Table, make_url
from sqlalchemy.dialects import postgresql, sqlite

Row = Sequence[Any]


def spelled(moment: datetime) -> str:
    """A moment in UTC as both engines read it."""
    return moment.isoformat(timespec="microseconds")


class Shape:
    """Rows of one table that differ in a few columns only."""

    def __init__(
        self, table: Table, dialect: Dialect, varying: Sequence[str], constant: Mapping[str, Any]
    ) -> None:
        self.table = table.name
        self.names = [column.name for column in table.columns]
        if unknown := {*varying, *constant} - set(self.names):
            raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
        self._row = []
        for column in table.columns:
            render = column.type.dialect_impl(dialect).bind_processor(dialect)
            value = constant.get(column.name)
            value = value if render is None else render(value)
            # Spelled once here instead of once a row.
            self._row.append(spelled(value) if isinstance(value, datetime) else value)
        self._places = [self.names.index(name) for name in varying]

    def row(self, *values: Any) -> Row:
        """One row; `values` in the order of `varying`, as the database has them."""
        made = self._row.copy()
        for place, value in zip(self._places, values, strict=True):
            made[place] = value
        return made


class Bulk:
    """Writes rows; `finish` leaves the database as one that has lived with them."""

    dialect: Dialect

    def write(self, shape: Shape, rows: Iterable[Row]) -> None:
        """Add them in one transaction."""
        raise NotImplementedError

    def finish(self) -> None:
        """Statistics are up to date and nothing is left to write later, in somebody's measurement."""
        raise NotImplementedError


class _Postgres(Bulk):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.dialect = postgresql.psycopg.dialect()
        self._connection = connection

    def write(self, shape: Shape, rows: Iterable[Row]) -> None:
        columns = ", ".join(shape.names)
        statement = f"COPY {shape.table} ({columns}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def finish(self) -> None:
        self._connection.execute("VACUUM (ANALYZE)")
        self._connection.execute("CHECKPOINT")


class _Sqlite(Bulk):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.dialect = sqlite.dialect()
        self._connection = connection

    def write(self, shape: Shape, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" for _ in shape.names)
        columns = ", ".join(shape.names)
        with self._connection:
            self._connection.executemany(
                f"INSERT INTO {shape.table} ({columns}) VALUES ({marks})", rows
            )

    def finish(self) -> None:
        self._connection.execute("ANALYZE")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def bulk(database_url: str) -> Iterator[Bulk]:
    """For an SQLAlchemy URL of either engine."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        libpq = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(libpq, autocommit=True) as connection:
            yield _Postgres(connection)
        return
    connection = sqlite3.connect(str(url.database))
    try:
        # The file is thrown away if the machine fails now; the server opens it with settings of its own.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        yield _Sqlite(connection)
    finally:
        connection.close()
