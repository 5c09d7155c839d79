"""Set-based statements for the token lane: written once, rendered once per engine, executed as text.

SQLAlchemy's execution layer costs more than the database does at these rates, so the lane uses its expression
language and types only: a `Query` compiles a Core select; `Insert`, `Update` and `InsertOnce` are rendered from
the table. PostgreSQL takes one array per column (`unnest`), SQLite one list of rows (`executemany`), so the number
of statements does not grow with the number of requests.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Dialect,
    SelectBase,
    Table,
    Text,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler

_POSTGRESQL: Dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
_SQLITE: Dialect = sqlite.dialect()
_DIALECTS = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}

Row = tuple[Any, ...]
Processor = Callable[[Any], Any] | None


class AnyOf(ColumnElement[bool]):
    """`column` is one of the values of the list parameter `name`, on both engines."""

    inherit_cache = False

    def __init__(self, column: InstrumentedAttribute[str], name: str) -> None:
        self.column = column.expression
        self.parameter = bindparam(name, type_=Text())


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


@dataclass(frozen=True)
class Call:
    """A statement of a phase with its values."""

    statement: "Query | Insert | Update | InsertOnce"
    values: Mapping[str, list[str]] | Sequence[Row]


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
    def _constants(self) -> dict[str, dict[str, Any]]:
        return {engine: dict(compiled.params) for engine, compiled in self._compiled.items()}

    @cached_property
    def _processors(self) -> dict[str, list[Processor]]:
        return {
            name: [c.type._cached_result_processor(it, None) for c in self.select.selected_columns]  # noqa: SLF001
            for name, it in _DIALECTS.items()
        }

    def text(self, engine: str) -> str:
        """The SQL."""
        return str(self._compiled[engine])

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
        processors = self._processors[engine]
        if not any(processors):
            return list(raw)
        return [
            tuple(
                value if convert is None else convert(value)
                for value, convert in zip(row, processors, strict=True)
            )
            for row in raw
        ]


class _Write:
    """Common to the three writes: columns, their types, and the values by column or by row."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self.table = table
        self.columns = [table.c[name] for name in columns]

    def __call__(self, rows: Sequence[Row]) -> Call:
        """The call, one tuple per row in the order of the columns."""
        return Call(self, rows)  # type: ignore[arg-type]

    @cached_property
    def _binders(self) -> dict[str, list[Processor]]:
        return {
            name: [c.type._cached_bind_processor(it) for c in self.columns]  # noqa: SLF001
            for name, it in _DIALECTS.items()
        }

    def bound(self, engine: str, rows: Sequence[Row]) -> list[list[Any]]:
        """Values as the driver takes them: a list per column on PostgreSQL, a list per row on SQLite."""
        binders = self._binders[engine]
        if engine == "postgresql":
            return [
                [row[i] if bind is None else bind(row[i]) for row in rows]
                for i, bind in enumerate(binders)
            ]
        return [
            [v if bind is None else bind(v) for v, bind in zip(row, binders, strict=True)]
            for row in rows
        ]

    def _unnest(self) -> str:
        kinds = (c.type.compile(dialect=_POSTGRESQL).split("(")[0] for c in self.columns)
        return ", ".join(
            f"%s::{'timestamptz' if kind.startswith('TIMESTAMP') else kind.lower()}[]"
            for kind in kinds
        )

    def _names(self) -> str:
        return ", ".join(c.name for c in self.columns)


class Insert(_Write):
    """Insert all rows of the batch."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, [c.name for c in table.c])

    def text(self, engine: str) -> str:
        """The SQL."""
        head = f"INSERT INTO {self.table.name} ({self._names()})"
        if engine == "postgresql":
            return f"{head} SELECT * FROM unnest({self._unnest()})"
        return f"{head} VALUES ({', '.join('?' for _ in self.columns)})"


class InsertOnce(Insert):
    """Insert what is not there yet; answers the rows of `key` that were new, so the insert itself decides."""

    def __init__(self, table: Table, key: str) -> None:
        super().__init__(table)
        self.key = key

    def text(self, engine: str) -> str:
        """The SQL."""
        return f"{super().text(engine)} ON CONFLICT DO NOTHING RETURNING {self.key}"


class Update(_Write):
    """Set columns of the rows with these keys."""

    def __init__(self, table: Table, *, keys: Sequence[str], assign: Sequence[str]) -> None:
        super().__init__(table, [*keys, *assign])
        self.keys, self.assign = keys, assign

    def bound(self, engine: str, rows: Sequence[Row]) -> list[list[Any]]:
        """As for inserts; SQLite wants the assigned values before the keys."""
        values = super().bound(engine, rows)
        if engine == "postgresql":
            return values
        return [[*row[len(self.keys) :], *row[: len(self.keys)]] for row in values]

    def text(self, engine: str) -> str:
        """The SQL."""
        if engine == "sqlite":
            assigned = ", ".join(f"{name} = ?" for name in self.assign)
            matched = " AND ".join(f"{name} = ?" for name in self.keys)
            return f"UPDATE {self.table.name} SET {assigned} WHERE {matched}"
        assigned = ", ".join(f"{name} = v.{name}" for name in self.assign)
        matched = " AND ".join(f"t.{name} = v.{name}" for name in self.keys)
        source = f"unnest({self._unnest()}) AS v({self._names()})"
        return f"UPDATE {self.table.name} t SET {assigned} FROM {source} WHERE {matched}"
