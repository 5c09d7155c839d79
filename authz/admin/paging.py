"""Lists too long for one answer: a slice, and where the next one begins (keyset, so every page costs the same)."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from authz.db.types import UTCDateTime
from authz.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_MAX_CURSOR_CHARS = 4096
_MAX_DIGITS = 18


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
    values = [_value(text, it) for text, it in zip(key, columns, strict=True)]
    # In the type of its column: an engine without moments would compare a moment with the text of one.
    typed = [literal(value, it.type) for value, it in zip(values, columns, strict=True)]
    ours, theirs = tuple_(*columns), tuple_(*typed)
    return [ours < theirs if descending else ours > theirs]


def _value(
    text: str, column: InstrumentedAttribute[str] | InstrumentedAttribute[datetime]
) -> str | datetime:
    if not isinstance(column.type, UTCDateTime):
        return text
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid(_NOT_OURS)


def number_behind(cursor: str) -> int:
    """The number behind which a list of numbered things goes on. Raises Invalid."""
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > _MAX_DIGITS:
        raise Invalid(_NOT_OURS)
    return int(cursor)


_NOT_OURS = "the cursor is not one that a page of this list gave; begin without one"


def _read(cursor: str, parts: int | None) -> list[str]:
    if len(cursor) > _MAX_CURSOR_CHARS:
        raise Invalid(_NOT_OURS)
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise Invalid(_NOT_OURS) from None
    if not isinstance(found, list) or len(found) != (len(found) if parts is None else parts):
        raise Invalid(_NOT_OURS)
    if not all(isinstance(it, str) and "\x00" not in it for it in found):
        raise Invalid(_NOT_OURS)
    return found


def sliced(rows: Sequence[T], limit: int, cursors: Sequence[str]) -> Slice[T]:
    """Of one row more than was asked for; `cursors` are the places behind each."""
    if len(rows) <= limit:
        return Slice(rows, None)
    return Slice(rows[:limit], cursors[limit - 1])


def part_of(
    rows: Iterable[T], key: Callable[[T], tuple[str, ...]], *, after: str | None, limit: int
) -> Slice[T]:
    """Of a list that is small enough to be read whole: in the order of the key. Raises Invalid."""
    check_limit(limit)
    ordered = sorted(rows, key=key)
    if after is not None:
        size = len(key(ordered[0])) if ordered else None
        place = tuple(_read(after, size))
        ordered = [it for it in ordered if key(it) > place]
    return sliced(ordered[: limit + 1], limit, [cursor_of(*key(it)) for it in ordered[:limit]])


def holding(rows: Iterable[T], text: str) -> list[T]:
    """Those of which a member holds the text, however it is capitalised."""
    wanted = text.casefold()
    return [it for it in rows if any(wanted in said.casefold() for said in _texts(it))]


def _texts(row: object) -> Iterator[str]:
    for value in vars(row).values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, tuple, frozenset)):
            yield from (it for it in value if isinstance(it, str))
