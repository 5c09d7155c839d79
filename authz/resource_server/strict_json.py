"""JSON with one meaning: UTF-8, no duplicate members, finite numbers.

Two parsers that disagree on a duplicate member let an attacker show one value to the check and another
to the server behind it, so such a text is refused (RFC 8259 section 4 leaves the choice to each parser).
"""

import json
import math
from typing import Any


def loads(data: bytes) -> Any:
    """Parse `data`; raises ValueError for anything with more than one reading."""
    try:
        # json.loads(bytes) would guess UTF-16 and UTF-32.
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice")
    return members


def _finite(text: str) -> float:
    value = float(text)
    # 1e999 is infinity for this parser, an error or a large number for others.
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
