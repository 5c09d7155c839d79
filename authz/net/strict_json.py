"""JSON with one reading: what two parsers could understand differently is refused (pure)."""

import json
import math
import re
from typing import Any

_MAX_DEPTH = 24
_MAX_PARTS = 4096
"""Strings and brackets, or commas: many times a set of twenty keys; a bound to what reading costs (ATK-62)."""
# A string that never ends takes the rest, so that the search stays linear.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)


class NotStrict(ValueError):
    """The text is not the JSON we ask for; the message never quotes it."""


def read_object(body: bytes, *, max_parts: int = _MAX_PARTS) -> dict[str, Any]:
    """Read one JSON object: UTF-8 without BOM, unique member names, finite numbers, shallow.

    More parts only for what a known server says: somebody's groups, or a group's people, are thousands of strings.
    """
    found = _read(body, max_parts)
    if not isinstance(found, dict):
        raise NotStrict("is not a JSON object")
    return found


def read_array(body: bytes) -> list[Any]:
    """Read one JSON array, as strictly."""
    found = _read(body)
    if not isinstance(found, list):
        raise NotStrict("is not a JSON array")
    return found


def _read(body: bytes, max_parts: int = _MAX_PARTS) -> Any:
    _check_depth(body, max_parts)
    try:
        found = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except NotStrict:
        raise
    except ValueError:
        # Not chained: the original quotes the document.
        raise NotStrict("is not JSON in UTF-8 without BOM") from None
    check_text_in(found)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("has a member twice")
    return members


def _no_constant(_: str) -> float:
    raise NotStrict("has a number that is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict("has a number that is not finite")
    return number


def _check_depth(body: bytes, max_parts: int) -> None:
    # Before the parser, which would go as deep as the stack of this process allows.
    if body.count(b",") > max_parts:
        raise NotStrict("has too many parts")
    depth = 0
    for count, match in enumerate(_STRUCTURE.finditer(body)):
        if count >= max_parts:
            raise NotStrict("has too many parts")
        if match[0] in b"[{":
            depth += 1
        elif match[0] in b"]}":
            depth -= 1
        if depth > _MAX_DEPTH:
            raise NotStrict("is nested too deeply")


def check_text_in(root: Any) -> None:
    """Of JSON that was read by something else: names and values are Unicode without NUL. Raises NotStrict."""
    pending: list[Any] = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value


def _check_text(text: str) -> None:
    # PostgreSQL stores no NUL and nobody encodes half a surrogate pair: both are errors later.
    if "\x00" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise NotStrict("has text that is not Unicode")
