"""Pages that are a list and forms below it: said as data, shown by one template."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from authz.admin.paging import DEFAULT_LIMIT, Slice, number_behind
from authz.web.console.visit import Answer, Screen, Sheet, Visit

T = TypeVar("T")


@dataclass(frozen=True)
class FormField:
    """One labelled entry of a form."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `date`, `secret` (a reference, not shown again when it was wrong), `area`, `choice` or `boxes`."""
    hint: str = ""
    value: str = ""
    choices: Sequence[tuple[str, str]] = ()
    chosen: Sequence[str] = ()
    required: bool = False
    is_kept: bool = False
    """The form says what it showed, so that nobody writes over somebody else."""


@dataclass(frozen=True)
class Form:
    """A form in a card of its own."""

    id: str
    title: str
    action: str
    fields: Sequence[FormField]
    button: str
    intro: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)
    more: Sequence[FormField] = ()
    """Seldom needed: folded away."""
    preview: str = ""
    """On a second button, which asks what the form would make."""


@dataclass(frozen=True)
class RowAct:
    """A button in a row."""

    action: str
    text: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One line of a list. A cell is a text, a moment, None or a list of texts."""

    name: str
    cells: Sequence[Any]
    url: str = ""
    status: str = ""
    acts: Sequence[RowAct] = ()


@dataclass(frozen=True)
class Listing:
    """A list with what there is to say and do about it."""

    file: str
    """Its name when it is downloaded."""
    title: str
    intro: str
    headings: Sequence[str]
    """Of the name, the status and the cells."""
    rows: Sequence[Row]
    empty: tuple[str, str]
    forms: Sequence[Form] = ()
    statuses: Sequence[tuple[str, str]] = ()
    by: tuple[str, int] | None = None
    """A heading, and which cell it is of: rows are filtered by what there is."""


def page_of(visit: Visit, rows: Sequence[T]) -> Slice[T]:
    """The part that the address asks for of a list that was read whole, in its own order. Raises Invalid."""
    after = visit.asked("after")
    begin = number_behind(after) if after else 0
    end = begin + DEFAULT_LIMIT
    return Slice(rows[begin:end], str(end) if end < len(rows) else None)


@dataclass(frozen=True)
class Part(Generic[T]):
    """A list on the page of one thing, which was read whole with it."""

    file: str
    """Its name when it is downloaded."""
    headings: Sequence[str]
    row: Callable[[T], Sequence[Any]]
    """Of the file."""
    words: Callable[[T], str]
    """What is searched."""
    by: Mapping[str, Callable[[T], str]]
    """What it is filtered by."""
    name: str = ""
    """Of its parameters, where it is not the only list of the page (`Visit.of`)."""

    def sheet(self, visit: Visit, rows: Sequence[T]) -> Sheet | None:
        """All that the address asks for, if it asks for a file."""
        if visit.of(self.name).asked("format") != "csv":
            return None
        return Sheet(self.file, self.headings, [self.row(it) for it in self._chosen(visit, rows)])

    def page(self, visit: Visit, rows: Sequence[T]) -> Slice[T]:
        """The page that the address asks for. Raises Invalid."""
        return page_of(visit.of(self.name), self._chosen(visit, rows))

    def _chosen(self, visit: Visit, rows: Sequence[T]) -> list[T]:
        asked = visit.of(self.name)
        wanted = asked.asked("q").lower()
        return [
            row
            for row in rows
            if wanted in self.words(row).lower()
            and all(asked.asked(name) in ("", value(row)) for name, value in self.by.items())
        ]


def listed(visit: Visit, listing: Listing, context: Mapping[str, Any] | None = None) -> Answer:
    """Searched, filtered, and as a page or a file. `context` is what its template shows besides."""
    wanted, status, cell = visit.asked("q").lower(), visit.asked("status"), visit.asked("by")
    rows = [
        it
        for it in listing.rows
        if wanted in _words(it).lower()
        and status in ("", it.status)
        and (listing.by is None or cell in ("", it.cells[listing.by[1]]))
    ]
    if visit.asked("format") == "csv":
        return Sheet(
            listing.file, listing.headings, [(it.name, it.status, *it.cells) for it in rows]
        )
    return Screen(
        "table.html",
        {
            "listing": listing,
            "rows": page_of(visit, rows),
            "filters": _filters(listing),
            "is_moment": lambda it: isinstance(it, datetime),
            **(context or {}),
        },
    )


def _filters(listing: Listing) -> list[tuple[str, str, Sequence[tuple[str, str]]]]:
    found: list[tuple[str, str, Sequence[tuple[str, str]]]] = []
    if listing.statuses:
        found.append(("status", "Status", listing.statuses))
    if listing.by is not None:
        heading, place = listing.by
        found.append(
            ("by", heading, [(it, it) for it in sorted({row.cells[place] for row in listing.rows})])
        )
    return found


def _words(row: Row) -> str:
    return " ".join(map(str, (row.name, row.status, *row.cells)))
