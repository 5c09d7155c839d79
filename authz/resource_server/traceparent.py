"""The trace that a call belongs to (W3C Trace Context), read strictly or not at all (pure)."""

import re
from typing import Any

# Version 00 alone: the authorization server joins by these very characters.
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def read_traceparent(value: Any) -> str | None:
    """`value` if it is a `traceparent` whose two ids are not all zeros.

    A caller's trace is a hint: what cannot be read is as if it had not been sent.
    """
    found = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return None
    return found[0]
