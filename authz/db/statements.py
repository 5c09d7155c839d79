"""Set-based statements for the token lane: written once, rendered once per engine, executed as text.

SQLAlchemy's execution layer costs more than the database does at these rates, so the lane uses its expression
language and types only: a `Query` compiles a Core select; `Insert`, `Update`, `InsertOnce` and `Delete` are rendered
from the table. PostgreSQL takes one array per column (`unnest`), SQLite one list of rows (`executemany`), so the
number of statements does not grow with the number of requests.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Integer,
    SelectBase,
    Table,
    Text,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from authz.db.types import UTCDateTime

_POSTGRESQL: Dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
_SQLITE: Dialect = sqlite.dialect()
_DIALECTS = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}

Row = tuple[Any, ...]
Processor = Callable[[Any], Any] | None
Converters = list[tuple[int, Callable[[Any], Any]]]
"""Columns that need one, by index."""
Encoder = Callable[[Sequence[Any]], bytes]


class _Compared(ColumnElement[bool]):
    """`column` beside the list parameter `name`; what is asked of them is the subclass's."""

    inherit_cache = False

    def __init__(self, column: InstrumentedAttribute[Any], name: str) -> None:
        self.column = column.expression
        self.parameter = bindparam(name, type_=Text())


class AnyOf(_Compared):
    """`column` is one of the values of the list, on both engines."""


@compiles(AnyOf, "postgresql")
def _any_of_postgresql(element: AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    # Named by hand: the dialect would cast the parameter to a plain string first.
    return f"{column} = ANY(%({element.parameter.key})s::text[])"


@compiles(AnyOf, "sqlite")
def _any_of_sqlite(element: AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.parameter, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"


class AfterAllOf(_Compared):
    """`column` is after every moment in the list, each spelled by `spelled_moment`."""


def spelled_moment(moment: datetime) -> str:
    """As the column is stored on SQLite."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@compiles(AfterAllOf, "postgresql")
def _after_all_of_postgresql(element: AfterAllOf, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} > ALL(%({element.parameter.key})s::text[]::timestamptz[])"


@compiles(AfterAllOf, "sqlite")
def _after_all_of_sqlite(element: AfterAllOf, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.parameter, **options)
    return f"{column} > (SELECT max(value) FROM json_each({values}))"


class AnyRowOf(ColumnElement[bool]):
    """The columns are those of one of the rows in the list parameter `name`, each spelled by `spelled_row`.

    Several lists, one for each column, would ask for every combination of their values.
    """

    inherit_cache = False

    def __init__(self, columns: Sequence[InstrumentedAttribute[str]], name: str) -> None:
        self.columns = [column.expression for column in columns]
        self.parameter = bindparam(name, type_=Text())


def spelled_row(*values: str) -> str:
    """One row as one text."""
    return json.dumps(values)


@compiles(AnyRowOf, "postgresql")
def _any_row_of_postgresql(element: AnyRowOf, compiler: SQLCompiler, **options: Any) -> str:
    columns = ", ".join(compiler.process(column, **options) for column in element.columns)
    members = ", ".join(f"given.spelled::json ->> {n}" for n in range(len(element.columns)))
    given = f"unnest(%({element.parameter.key})s::text[]) AS given(spelled)"
    return f"({columns}) IN (SELECT {members} FROM {given})"


@compiles(AnyRowOf, "sqlite")
def _any_row_of_sqlite(element: AnyRowOf, compiler: SQLCompiler, **options: Any) -> str:
    columns = ", ".join(compiler.process(column, **options) for column in element.columns)
    members = ", ".join(f"json_extract(value, '$[{n}]')" for n in range(len(element.columns)))
    values = compiler.process(element.parameter, **options)
    return f"({columns}) IN (SELECT {members} FROM json_each({values}))"


@dataclass(frozen=True)
class Call:
    """A statement of a phase with its values."""

    statement: "Query | Insert | InsertDerived | Update | InsertOnce | Delete"
    values: Any
    """Of a query: lists by parameter. Of a write: rows."""

    def encoded(self) -> list[bytes]:
        """The values of `statement.wire_text`, as PostgreSQL reads them."""
        return self.statement.wire_values(self.values)

    def bound(self) -> list[list[Any]]:
        """Of a write: the values of each row, as SQLite takes them."""
        assert not isinstance(self.statement, Query)  # noqa: S101
        return self.statement.bound(self.values)


class Query:
    """A select whose parameters are lists of text."""

    def __init__(self, select: SelectBase) -> None:
        self.select = select

    def __call__(self, **lists: Iterable[str]) -> Call:
        """The call; lists are sorted, so that locks are taken in one order everywhere."""
        return Call(self, {name: sorted(set(values)) for name, values in lists.items()})

    @cached_property
    def _compiled(self) -> dict[str, Any]:
        return {name: self.select.compile(dialect=it) for name, it in _DIALECTS.items()}

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {engine: str(compiled) for engine, compiled in self._compiled.items()}

    @cached_property
    def _constants(self) -> dict[str, dict[str, Any]]:
        return {engine: dict(compiled.params) for engine, compiled in self._compiled.items()}

    @cached_property
    def _converters(self) -> dict[str, Converters]:
        return {
            name: [
                (index, convert)
                for index, column in enumerate(self.select.selected_columns)
                if (convert := column.type._cached_result_processor(it, None)) is not None  # noqa: SLF001
            ]
            for name, it in _DIALECTS.items()
        }

    def text(self, engine: str) -> str:
        """The SQL."""
        return self._texts[engine]

    def parameters(self, engine: str, values: Any) -> Any:
        """What the driver takes: the lists, and the constants written in the select."""
        constants = self._constants[engine]
        if engine == "postgresql":
            return {**constants, **values}
        names = self._compiled[engine].positiontup
        return tuple(
            json.dumps(values[name]) if name in values else constants[name] for name in names
        )

    def rows(self, engine: str, raw: Iterable[Row]) -> list[Row]:
        """Python values of the driver's rows."""
        return _converted(self._converters[engine], raw)

    @cached_property
    def _wire(self) -> tuple[bytes, list[str]]:
        # Constants become part of the text, so the only parameters are the lists.
        options = {"literal_binds": True}
        compiled = str(self.select.compile(dialect=_POSTGRESQL, compile_kwargs=options))
        names: list[str] = []

        def numbered(found: re.Match[str]) -> str:
            if found[1] not in names:
                names.append(found[1])
            return f"${names.index(found[1]) + 1}"

        text = re.sub(r"%\((\w+)\)s", numbered, compiled).replace("%%", "%")
        return text.encode(), names

    @cached_property
    def wire_text(self) -> bytes:
        """The SQL as PostgreSQL takes it, with numbered parameters."""
        return self._wire[0]

    def wire_values(self, values: Mapping[str, list[str]]) -> list[bytes]:
        """One array a parameter."""
        return [array_text(values[name]) for name in self._wire[1]]

    @cached_property
    def _wire_converters(self) -> Converters:
        # The session's time zone is UTC, so times arrive as they should be.
        columns = list(self.select.selected_columns)
        return [
            (index, convert)
            for index, convert in self._converters["postgresql"]
            if not isinstance(columns[index].type, UTCDateTime)
        ]

    def wire_rows(self, raw: list[Row]) -> list[Row]:
        """Python values of rows in PostgreSQL's binary format."""
        return _converted(self._wire_converters, raw)


def _converted(converters: Converters, raw: Iterable[Row]) -> list[Row]:
    if not converters:
        return list(raw)
    converted = []
    for row in raw:
        values = list(row)
        for index, convert in converters:
            if values[index] is not None:
                values[index] = convert(values[index])
        converted.append(tuple(values))
    return converted


class _Write(ABC):
    """Common to the three writes: columns, their types, and the values by column or by row."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self.table = table
        self.columns = [table.c[name] for name in columns]

    def __call__(self, rows: Sequence[Row]) -> Call:
        """The call, one tuple per row in the order of the columns."""
        return Call(self, rows)  # type: ignore[arg-type]

    def text(self, engine: str) -> str:
        """The SQL, with `?` for the values of a row, or `$1`, `$2`… for the columns."""
        return self._texts[engine]

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {name: self._render(name) for name in _DIALECTS}

    @abstractmethod
    def _render(self, engine: str) -> str: ...

    @cached_property
    def wire_text(self) -> bytes:
        """The SQL as PostgreSQL takes it."""
        return self.text("postgresql").encode()

    @cached_property
    def _encoders(self) -> list[Encoder]:
        return [encoder_of(c.type, bind) for c, bind in self._bound_columns(_POSTGRESQL)]

    def wire_values(self, rows: Sequence[Row]) -> list[bytes]:
        """One array a column."""
        columns = zip(*rows, strict=True)
        return [encode(it) for encode, it in zip(self._encoders, columns, strict=True)]

    @staticmethod
    def wire_rows(raw: list[Row]) -> list[Row]:
        """What RETURNING answered: text, which needs no conversion."""
        return raw

    @cached_property
    def _binders(self) -> list[Processor]:
        return [bind for _, bind in self._bound_columns(_SQLITE)]

    def bound(self, rows: Sequence[Row]) -> list[list[Any]]:
        """One list of values a row, as SQLite takes them."""
        binders = self._binders
        return [
            [v if bind is None else bind(v) for v, bind in zip(row, binders, strict=True)]
            for row in rows
        ]

    def _bound_columns(self, dialect: Dialect) -> list[tuple[Column[Any], Processor]]:
        return [(c, c.type._cached_bind_processor(dialect)) for c in self.columns]  # noqa: SLF001

    def _unnest(self) -> str:
        kinds = (c.type.compile(dialect=_POSTGRESQL).split("(")[0] for c in self.columns)
        return ", ".join(
            f"${number}::{'timestamptz' if kind.startswith('TIMESTAMP') else kind.lower()}[]"
            for number, kind in enumerate(kinds, 1)
        )

    def _names(self) -> str:
        return ", ".join(c.name for c in self.columns)


class Insert(_Write):
    """Insert all rows of the batch."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, [c.name for c in table.c])

    def row(self, values: Mapping[str, Any]) -> Row:
        """One row, from the value of each column by its name. Raises KeyError where one is missing."""
        return tuple(values[column.name] for column in self.columns)

    def _render(self, engine: str) -> str:
        head = f"INSERT INTO {self.table.name} ({self._names()})"
        if engine == "postgresql":
            return f"{head} SELECT * FROM unnest({self._unnest()})"
        return f"{head} VALUES ({', '.join('?' for _ in self.columns)})"


class InsertOnce(Insert):
    """Insert what is not there yet; answers the rows of `key` that were new, so the insert itself decides."""

    def __init__(self, table: Table, key: str) -> None:
        super().__init__(table)
        self.key = key

    def _render(self, engine: str) -> str:
        return f"{super()._render(engine)} ON CONFLICT DO NOTHING RETURNING {self.key}"


class InsertDerived(_Write):
    """Insert rows of which the database knows some columns: `derived` and `source` are SQL over the given, `v.NAME`."""

    def __init__(
        self, table: Table, given: Sequence[str], derived: Mapping[str, str], source: str
    ) -> None:
        super().__init__(table, given)
        self.derived, self.source = derived, source

    def _render(self, engine: str) -> str:
        names = [c.name for c in self.columns]
        if engine == "postgresql":
            rows = f"unnest({self._unnest()}) AS v({self._names()})"
        else:
            rows = f"(SELECT {', '.join(f'? AS {name}' for name in names)}) AS v"
        values = ", ".join([*(f"v.{name}" for name in names), *self.derived.values()])
        head = f"INSERT INTO {self.table.name} ({', '.join([*names, *self.derived])})"
        return f"{head} SELECT {values} FROM {rows} {self.source}"


class Update(_Write):
    """Set columns of the rows with these keys."""

    def __init__(self, table: Table, *, keys: Sequence[str], assign: Sequence[str]) -> None:
        super().__init__(table, [*keys, *assign])
        self.keys, self.assign = keys, assign

    def bound(self, rows: Sequence[Row]) -> list[list[Any]]:
        """As for inserts, but the assigned values stand before the keys."""
        values = super().bound(rows)
        return [[*row[len(self.keys) :], *row[: len(self.keys)]] for row in values]

    def _render(self, engine: str) -> str:
        if engine == "sqlite":
            assigned = ", ".join(f"{name} = ?" for name in self.assign)
            matched = " AND ".join(f"{name} = ?" for name in self.keys)
            return f"UPDATE {self.table.name} SET {assigned} WHERE {matched}"
        assigned = ", ".join(f"{name} = v.{name}" for name in self.assign)
        matched = " AND ".join(f"t.{name} = v.{name}" for name in self.keys)
        source = f"unnest({self._unnest()}) AS v({self._names()})"
        return f"UPDATE {self.table.name} t SET {assigned} FROM {source} WHERE {matched}"


class Delete(_Write):
    """Delete the rows with these keys."""

    def __init__(self, table: Table, keys: Sequence[str]) -> None:
        super().__init__(table, keys)

    def _render(self, engine: str) -> str:
        if engine == "sqlite":
            matched = " AND ".join(f"{c.name} = ?" for c in self.columns)
            return f"DELETE FROM {self.table.name} WHERE {matched}"
        matched = " AND ".join(f"t.{c.name} = v.{c.name}" for c in self.columns)
        source = f"unnest({self._unnest()}) AS v({self._names()})"
        return f"DELETE FROM {self.table.name} t USING {source} WHERE {matched}"


def encoder_of(kind: TypeEngine[Any], bind: Processor) -> Encoder:
    """How the values of one column become one array."""
    if isinstance(kind, UTCDateTime):
        return _moments
    if isinstance(kind, Boolean):
        return lambda values: array_text([None if v is None else "ft"[v] for v in values])
    if isinstance(kind, Integer):
        return lambda values: array_text([None if v is None else str(v) for v in values])
    if bind is None:
        return array_text
    return lambda values: array_text([bind(v) for v in values])


def _moments(values: Sequence[datetime | None]) -> bytes:
    # Most rows of a batch carry the same few moments.
    texts: dict[datetime | None, str | None] = {None: None}
    for value in set(values):
        if value is not None:
            if value.tzinfo is None:
                raise ValueError(f"a naive datetime cannot be stored: {value!r}")
            texts[value] = value.isoformat()
    return array_text([texts[value] for value in values])


def array_text(values: Sequence[str | None]) -> bytes:
    """A PostgreSQL array in text format. Every element is quoted, so none can be taken for syntax or NULL."""
    if not values:
        return b"{}"
    # All at once, with NUL, which PostgreSQL does not store, standing for the borders meanwhile.
    joined = "\x00".join(["" if value is None else value for value in values])
    if joined.count("\x00") != len(values) - 1:
        raise ValueError("PostgreSQL does not store NUL in text")
    elements = joined.replace("\\", "\\\\").replace('"', '\\"')
    if None not in values:
        return ('{"' + elements.replace("\x00", '","') + '"}').encode()
    quoted = zip(values, elements.split("\x00"), strict=True)
    return ("{" + ",".join(["NULL" if v is None else f'"{e}"' for v, e in quoted]) + "}").encode()
