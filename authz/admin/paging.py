"""Lists too long for one answer: a slice, and where the next one begins (keyset, so every page costs the same)."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from authz.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_MAX_CURSOR_CHARS = 4096


@dataclass(frozen=True)
class Slice(Generic[T]):
    """Some rows of a list."""

    rows: Sequence[T]
    next: str | None
    """Where to go on; None at the end. Opaque, and of no use but here: every query filters by tenant all the same."""


def check_limit(limit: int) -> int:
    """Raises Invalid."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit {limit} is not between 1 and {MAX_LIMIT}")
    return limit


def cursor_of(*key: str | datetime) -> str:
    """The place behind a row."""
    parts = [it.isoformat() if isinstance(it, datetime) else it for it in key]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def behind(
    cursor: str | None,
    *columns: InstrumentedAttribute[str] | InstrumentedAttribute[datetime],
    descending: bool = False,
) -> list[ColumnElement[bool]]:
    """The condition for what comes after a cursor, or none. Raises Invalid for one that was not made here."""
    if cursor is None:
        return []
    key = _read(cursor, len(columns))
    try:
        values = [
            datetime.fromisoformat(text) if column.type.python_type is datetime else text
            for text, column in zip(key, columns, strict=True)
        ]
    except ValueError:
        raise Invalid(_NOT_OURS) from None
    ours, theirs = tuple_(*columns), tuple_(*values)
    return [ours < theirs if descending else ours > theirs]


_NOT_OURS = "the cursor is not one that a page of this list gave; begin without one"


def _read(cursor: str, parts: int) -> list[str]:
    if len(cursor) > _MAX_CURSOR_CHARS:
        raise Invalid(_NOT_OURS)
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise Invalid(_NOT_OURS) from None
    if not isinstance(found, list) or len(found) != parts:
        raise Invalid(_NOT_OURS)
    if not all(isinstance(it, str) and "\x00" not in it for it in found):
        raise Invalid(_NOT_OURS)
    return found


def sliced(rows: Sequence[T], limit: int, cursors: Sequence[str]) -> Slice[T]:
    """Of one row more than was asked for; `cursors` are the places behind each."""
    if len(rows) <= limit:
        return Slice(rows, None)
    return Slice(rows[:limit], cursors[limit - 1])
