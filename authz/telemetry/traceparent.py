"""The trace a request belongs to, as W3C Trace Context says it: read strictly, or not at all.

A caller's trace is a hint that joins records of several servers, never a reason to refuse anybody: what cannot be read
is as if it had not been sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# Version 00 alone: nobody knows what a later one means, and two spellings of one trace would not join.
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class TraceParent:
    """Which trace, and which span of it asked."""

    trace_id: str
    span_id: str
    is_sampled: bool = field(default=False, compare=False)
    """Whether the caller keeps it. Its business: whoever joins records asks for the ids."""

    def __str__(self) -> str:
        return f"{self.trace_id}-{self.span_id}"


def read_traceparent(text: str) -> TraceParent | None:
    """None for anything but a `traceparent` whose two ids are not all zeros."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return None
    return TraceParent(found[1], found[2], bool(int(found[3], 16) & 1))


def only_traceparent(headers: Sequence[str]) -> TraceParent | None:
    """Of a request's headers: two of them are none, because nobody says which one counts."""
    return read_traceparent(headers[0]) if len(headers) == 1 else None
