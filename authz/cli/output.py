"""What commands print: tables for people, JSON values for programs."""

from collections.abc import Iterable, Sequence
from datetime import datetime


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> str:
    """Aligned columns under their headings; `empty` when there are no rows."""
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        return empty
    lines.insert(0, list(headings))
    widths = [max(len(line[n]) for line in lines) for n in range(len(headings))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """One `name: value` a line, values aligned."""
    shown = [(name, cell(value)) for name, value in pairs]
    width = max(len(name) for name, _ in shown) + 1
    return "\n".join(f"{f'{name}:'.ljust(width)} {text}".rstrip() for name, text in shown)


def cell(value: object) -> str:
    """A value on one line. Control characters are escaped: a name must not steer the terminal."""
    if value is None:
        text = "-"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, datetime):
        text = value.isoformat(timespec="seconds").replace("+00:00", "Z")
    elif isinstance(value, (frozenset, list, tuple)):
        text = ", ".join(cell(item) for item in (sorted(value) if _is_set(value) else value)) or "-"
    else:
        text = str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _is_set(value: object) -> bool:
    return isinstance(value, frozenset)
