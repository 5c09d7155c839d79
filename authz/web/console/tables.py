"""Pages that are a list and forms below it: said as data, shown by one template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from authz.web.console.visit import Answer, Screen, Sheet, Visit


@dataclass(frozen=True)
class FormField:
    """One labelled entry of a form."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `secret` (a reference, not shown again when it was wrong), `area`, `choice` or `boxes`."""
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


def listed(visit: Visit, listing: Listing, context: Mapping[str, Any] | None = None) -> Answer:
    """Searched, filtered, and as a page or a file. `context` is what its template shows besides."""
    wanted, status = visit.asked("q").lower(), visit.asked("status")
    rows = [it for it in listing.rows if wanted in _words(it).lower() and status in ("", it.status)]
    if visit.asked("format") == "csv":
        return Sheet(
            listing.file, listing.headings, [(it.name, it.status, *it.cells) for it in rows]
        )
    return Screen(
        "table.html",
        {
            "listing": listing,
            "rows": rows,
            "is_moment": lambda it: isinstance(it, datetime),
            **(context or {}),
        },
    )


def _words(row: Row) -> str:
    return " ".join(map(str, (row.name, row.status, *row.cells)))
