"""Lists as one parameter: a statement's text does not grow with the list, and no engine's limit is met."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeEngine, UserDefinedType

from authz.db.models import Base
from authz.db.statements import array_text, encoder_of

_POSTGRESQL = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


def among(
    tx: Session, column: InstrumentedAttribute[Any], values: Iterable[str]
) -> ColumnElement[bool]:
    """`column` is one of the values."""
    listed = sorted(set(values))
    if _is_sqlite(tx):
        each = func.json_each(json.dumps(listed)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == func.any(_array(array_text(listed), Text()))


def insert_all(tx: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows; each has the same columns. One array a column: the driver would send row after row."""
    if not rows:
        return
    table = model.__table__
    if _is_sqlite(tx):
        tx.connection().execute(insert(table), rows)  # type: ignore[arg-type]
        return
    names = list(rows[0])
    tx.connection().execute(insert(table).from_select(names, _unnested(model, rows)))  # type: ignore[arg-type]


def insert_once(
    tx: Session, model: type[Base], rows: Sequence[dict[str, Any]], key: InstrumentedAttribute[str]
) -> set[str]:
    """Insert those that are not there yet; answers their keys, so the insert itself decides.

    Waits for a transaction that is inserting one of them. In the order of the rows, so give all the same one.
    """
    if not rows:
        return set()
    table, column = model.__table__, key.expression
    connection = tx.connection()
    if _is_sqlite(tx):
        one = sqlite.insert(table).on_conflict_do_nothing().returning(column)  # type: ignore[arg-type]
        return set(connection.execute(one, rows).scalars())
    many = postgresql.insert(table).from_select(list(rows[0]), _unnested(model, rows))  # type: ignore[arg-type]
    return set(connection.execute(many.on_conflict_do_nothing().returning(column)).scalars())


def _unnested(model: type[Base], rows: Sequence[dict[str, Any]]) -> Any:
    columns = model.__table__.c
    names = list(rows[0])
    arrays = []
    for name in names:
        kind = columns[name].type
        encode = encoder_of(kind, kind._cached_bind_processor(_POSTGRESQL))  # noqa: SLF001
        arrays.append(_array(encode([row[name] for row in rows]), kind))
    return select(func.unnest(*arrays).table_valued(*names).render_derived())


class _Array(UserDefinedType[Any]):
    """An array that is spelled already: the driver would look at every character of every element.

    A parameter of this type, not text with a cast around it, which the planner could not look into.
    """

    cache_ok = True
    render_bind_cast = True

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def get_col_spec(self, **_: Any) -> str:
        """Its name in SQL."""
        return f"{self.spec}[]"


def _array(text: bytes, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    spec = kind.compile(dialect=_POSTGRESQL).partition("(")[0]
    return literal(text.decode(), _Array("TIMESTAMPTZ" if spec.startswith("TIMESTAMP") else spec))


def _is_sqlite(tx: Session) -> bool:
    return tx.get_bind().dialect.name == "sqlite"
