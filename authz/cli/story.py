"""How a story is told to people: one line a thing, in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from authz.admin.trace import Story
from authz.admin.trace_events import Entry
from authz.cli.output import cell, table

_HEADINGS = ("WHEN", "WHAT", "WHO", "CLIENT", "WHERE", "HOW", "TRACE")
_SHOWN = (
    *("method", "connection", "grant_type", "scopes", "actors", "error", "reason"),
    *("duration_ms", "jti"),
)
"""Members of a detail that say most, in this order; `--json` has all of it."""


def told(story: Story) -> str:
    """The whole table, and what is to be known about it."""
    lines = [listed(story.entries, story.names, empty="Nothing.")]
    unverified = sum(entry.verified is False for entry in story.entries)
    if unverified:
        lines.append(
            f"{unverified} of these were told by a server for which no such token is on record: "
            "they are its word alone."
        )
    if not story.is_whole:
        lines.append("The story goes on; ask about a part of it, or with --since.")
    return "\n".join(lines)


def listed(entries: Sequence[Entry], names: Mapping[str, str], *, empty: str) -> str:
    """One line a thing; `names` are the logins of people by id."""
    return table(_HEADINGS, [_row(entry, names) for entry in entries], empty=empty)


def _row(entry: Entry, names: Mapping[str, str]) -> tuple[str, ...]:
    workload = entry.detail.get("workload")
    who = names.get(entry.subject or "", entry.subject)
    if workload is not None:
        who = f"{workload['rule']} of {workload['trust']}"
    by = [names.get(it, it) for it in (entry.agent, entry.actor) if it is not None]
    what = entry.kind if entry.verified is not False else f"{entry.kind} (unverified)"
    return (
        # To the millisecond: one second holds many calls.
        entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        what,
        cell(who) + "".join(f" by {cell(it)}" for it in by),
        cell(entry.client),
        cell(entry.resource),
        _how(entry.detail),
        "-" if entry.trace is None else entry.trace.partition("-")[0][:8],
    )


def _how(detail: Mapping[str, Any]) -> str:
    parts = [] if "tool" not in detail else [cell(detail["tool"])]
    for name in _SHOWN:
        value = detail.get(name)
        if value is None or value == []:
            continue
        shown = cell(value)
        parts.append(f"{shown} ms" if name == "duration_ms" else shown)
    return ", ".join(parts) or "-"
