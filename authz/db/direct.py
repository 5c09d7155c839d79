"""Statements of `db.statements` in a session, for what the plain lane does all day.

Rendered once per engine and handed to the driver as text. What the expression language does for a statement each time
it is executed costs several times as much.
"""

import re
from functools import cache

from sqlalchemy.orm import Session

from authz.db.statements import Call, Query, Row

_PLACE = re.compile(r"\$[0-9]+")


def fetch(tx: Session, call: Call) -> list[Row]:
    """The rows of a query."""
    query = call.statement
    assert isinstance(query, Query)  # what is written has no rows to fetch here  # noqa: S101
    engine = tx.get_bind().dialect.name
    found = tx.connection().exec_driver_sql(
        query.text(engine), query.parameters(engine, call.values)
    )
    return query.rows(engine, (tuple(row) for row in found))


def write(tx: Session, *calls: Call) -> None:
    """Do all of them: in one round trip where the engine lets one statement hold many.

    They do not see each other's rows, and constraints hold when all are done.
    """
    connection = tx.connection()
    if tx.get_bind().dialect.name == "sqlite":
        for call in calls:
            # A list of rows is one `executemany`.
            if rows := [tuple(row) for row in call.bound()]:
                connection.exec_driver_sql(call.statement.text("sqlite"), rows)
        return
    texts = tuple(call.statement.text("postgresql") for call in calls)
    values = [array.decode() for call in calls for array in call.encoded()]
    connection.exec_driver_sql(_together(texts), tuple(values))


@cache
def _together(texts: tuple[str, ...]) -> str:
    *before, last = (_PLACE.sub("%s", text.replace("%", "%%")) for text in texts)
    named = ", ".join(f"write_{number} AS ({text})" for number, text in enumerate(before))
    return f"WITH {named} {last}" if named else last
