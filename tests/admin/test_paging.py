"""Lists in parts: together they are the list, and a cursor is one of ours or refused (pure)."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.admin.paging import behind, cursor_of, holding, part_of
from authz.db.models import TokenFamily
from authz.errors import Invalid

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=8)


@dataclass(frozen=True)
class Row:
    name: str
    id: str
    tags: tuple[str, ...] = ()
    count: int = 0


def key(row):
    return row.name, row.id


@given(st.sets(st.tuples(TEXTS, TEXTS), max_size=20), st.integers(1, 7))
def test_parts_are_the_list(names, limit):
    rows = [Row(*it) for it in names]
    found, after = [], None
    while True:
        part = part_of(rows, key, after=after, limit=limit)
        assert len(part.rows) <= limit
        found += part.rows
        after = part.next
        if after is None:
            break
        assert len(part.rows) == limit
    assert found == sorted(rows, key=key)


def is_answered(ask):
    try:
        ask()
    except Invalid as error:
        return "cursor" in str(error)
    return True


@given(st.text(max_size=60))
def test_a_cursor_that_was_not_made_here_is_refused_or_is_a_place(cursor):
    """Whatever it is, it is no error of ours."""
    for ask in (
        lambda: part_of([Row("a", "b")], key, after=cursor, limit=1),
        lambda: behind(cursor, TokenFamily.created_at, TokenFamily.id),
    ):
        assert is_answered(ask)


@pytest.mark.parametrize(
    "key_",
    [
        ("x", "y"),
        ("2026-01-01T00:00:00", "y"),
        ("0001-01-01T00:00:00+23:00", "y"),
        ("9999-12-31T23:59:59-23:00", "y"),
        ("2026-01-01T00:00:00+00:00",),
        ("2026-01-01T00:00:00+00:00", "y", "z"),
    ],
)
def test_a_place_in_another_list_is_none_in_this_one(key_):
    with pytest.raises(Invalid, match="cursor"):
        behind(cursor_of(*key_), TokenFamily.created_at, TokenFamily.id)


def test_what_holds_a_text_holds_it_however_it_is_spelled():
    rows = [Row("Straße", "1"), Row("x", "2", ("ROAD",)), Row("y", "3", count=5)]
    assert [it.id for it in holding(rows, "STRASSE")] == ["1"]
    assert [it.id for it in holding(rows, "road")] == ["2"]
    assert holding(rows, "5") == []
