"""Lists as one parameter: a statement's text does not grow with the list, and no engine's limit is met."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def among(
    tx: Session, column: InstrumentedAttribute[Any], values: Iterable[str]
) -> ColumnElement[bool]:
    """`column` is one of the values."""
    listed = sorted(set(values))
    if tx.get_bind().dialect.name == "sqlite":
        each = func.json_each(json.dumps(listed)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(literal(listed, ARRAY(Text)))
