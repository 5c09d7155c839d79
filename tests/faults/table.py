"""The table of docs/faults.md, from what the tests measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.load import Measured


@dataclass(frozen=True)
class Row:
    """One fault."""

    fault: str
    measured: Measured
    note: str = ""


ROWS: list[Row] = []
_HEAD = "| Fault | Refreshes | 503 + Retry-After | No answer | Other errors | Longest silence | Tries after it |"


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [_HEAD, "|---|---|---|---|---|---|---|"]
    for row in rows:
        it = row.measured
        name = f"{row.fault} ({row.note})" if row.note else row.fault
        lines.append(
            f"| {name} | {it.refreshes} | {it.unavailable} | {it.unanswered} | {it.failed} "
            f"| {it.longest_gap:.1f} s | {it.most_tries_after} |"
        )
    return "\n".join(lines)
