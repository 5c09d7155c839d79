"""Which route an address means: matched segment by segment, as it came (pure).

A segment is decoded after the address was cut into segments, so an encoded slash belongs to a name and opens nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from authz.errors import NotFound
from authz.web.api.kit import Change, Route
from authz.web.api.problems import Refused

_MAX_CHARS = 2048
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Match:
    """The routes of an address by method, and its segments by name."""

    routes: Mapping[str, Route]
    path: Mapping[str, str]


class Addresses:
    """Of one registry."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._patterns: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            pattern = tuple(route.path.strip("/").split("/"))
            self._patterns.setdefault(pattern, {})[method_of(route)] = route
        # What is said literally goes before what anything may stand for.
        self._patterns = dict(
            sorted(self._patterns.items(), key=lambda it: [p.startswith("{") for p in it[0]])
        )

    def find(self, raw: Sequence[bytes]) -> Match:
        """Raises Refused."""
        segments = [_decoded(it) for it in raw]
        for pattern, routes in self._patterns.items():
            if len(pattern) == len(segments) and _fits(pattern, segments):
                named = zip(pattern, segments, strict=True)
                return Match(routes, {p[1:-1]: s for p, s in named if p.startswith("{")})
        raise Refused(404, "not_found", "there is nothing at this address")


def method_of(route: Route) -> str:
    """The method of a route."""
    return route.method if isinstance(route, Change) else "GET"


def number_of(what: str, text: str) -> int:
    """A segment that is a number. Raises NotFound: nothing has another name."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise NotFound(f"there is no {what} {text[:40]!r}")
    return int(text)


def address(*segments: str) -> str:
    """The way to something below the API."""
    return "/".join(quote(it, safe="") for it in segments)


def _fits(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    return all(p.startswith("{") or p == s for p, s in zip(pattern, segments, strict=True))


def _decoded(raw: bytes) -> str:
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        text = ""
    if not 1 <= len(text) <= _MAX_CHARS or "\x00" in text:
        raise Refused(404, "not_found", "there is nothing at this address")
    return text
