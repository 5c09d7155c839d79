"""JSON documents of other servers, cached: client metadata, key sets, discovery documents.

Decisions: a failure is never remembered as an answer (CIMD-19); it only delays the next attempt.
Nothing expired is served when its host is down: a key that was withdrawn stays withdrawn (ATK-50).
What strangers publish and what operators configured are kept apart, so that the first cannot
push the second out. Bodies are kept beside their parsed value, because one URL may be read as
two kinds of document, and one kind's value must never be handed out as the other's.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from authz.clock import Clock
from authz.net.client import Fetched, Network
from authz.net.errors import NetworkError
from authz.net.guard import Profile
from authz.net.strict_json import NotStrict, read_object
from authz.transactions import forbid_inside_transaction

COOL_DOWN = timedelta(seconds=10)
REFRESH_INTERVAL = timedelta(seconds=30)
_OUR_OWN_LIMITS = frozenset({"busy", "over_budget"})
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+\-]+\+)?json")
_MAX_AGE = re.compile(r'max-age="?([0-9]+)"?')

_T = TypeVar("_T")


@dataclass(frozen=True)
class Document(Generic[_T]):
    """A parsed document and how long it may be used."""

    url: str
    value: _T
    fetched_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class _Terms(Generic[_T]):
    """How a caller wants a document."""

    profile: Profile
    max_bytes: int
    floor: timedelta
    ceiling: timedelta
    parse: Callable[[object], _T]


@dataclass(frozen=True)
class _Answer:
    body: bytes
    max_age: timedelta
    fetched_at: datetime

    def expires_at(self, floor: timedelta, ceiling: timedelta) -> datetime:
        return self.fetched_at + min(max(self.max_age, floor), ceiling)


@dataclass
class _Entry:
    answer: _Answer
    parse: Callable[[object], object] | None = None
    value: Any = None

    def is_fresh(self, now: datetime, floor: timedelta, ceiling: timedelta) -> bool:
        # An answer nobody accepted yet is read again by whoever asks, so that refusing it as one
        # kind of document does not keep it from those who want another kind.
        expires_at = (
            self.answer.expires_at(floor, ceiling)
            if self.parse
            else self.answer.fetched_at + COOL_DOWN
        )
        return self.answer.fetched_at <= now < expires_at


@dataclass
class _Shelf:
    """The documents of one profile; every collection is bounded."""

    entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    # By size limit too: what is too large for one caller is not for another.
    failures: OrderedDict[tuple[str, int], tuple[datetime, str]] = field(
        default_factory=OrderedDict
    )
    flights: "dict[tuple[str, int], asyncio.Task[_Answer]]" = field(default_factory=dict)


class Documents:
    """The cache; one per process, used on the network's event loop."""

    def __init__(self, network: Network, clock: Clock, *, max_entries: int = 1024) -> None:
        self._network = network
        self._clock = clock
        self._max_entries = max_entries
        self._shelves = {profile: _Shelf() for profile in Profile}

    async def load(
        self,
        url: str,
        *,
        profile: Profile,
        max_bytes: int,
        floor: timedelta,
        ceiling: timedelta,
        parse: Callable[[object], _T],
    ) -> Document[_T]:
        """Return the document, fetched at most once while it is fresh.

        Fresh is what Cache-Control says, but at least `floor` and at most `ceiling` (CIMD-18).
        `parse` gets the JSON object and raises to refuse it; a refused document is not kept. Pass
        a function, not a new lambda each time: the value is kept only for the same function.
        Raises NetworkError, or what `parse` raises.
        """
        terms = _Terms(profile, max_bytes, floor, ceiling, parse)
        return await self._load(url, terms, floor=floor, ceiling=ceiling)

    def is_fresh(self, url: str, *, profile: Profile, floor: timedelta, ceiling: timedelta) -> bool:
        """Whether `load` would answer without asking anybody. From any thread."""
        entry = self._shelves[profile].entries.get(url)
        return entry is not None and entry.is_fresh(self._clock(), floor, ceiling)

    async def refresh(
        self,
        url: str,
        *,
        profile: Profile,
        max_bytes: int,
        floor: timedelta,
        ceiling: timedelta,
        parse: Callable[[object], _T],
    ) -> Document[_T]:
        """Return the document fetched anew, unless it was fetched a moment ago.

        For a key id nobody knows: a thousand invented ids make one fetch per interval (ATK-49).
        """
        terms = _Terms(profile, max_bytes, floor, ceiling, parse)
        return await self._load(url, terms, floor=REFRESH_INTERVAL, ceiling=REFRESH_INTERVAL)

    async def _load(
        self, url: str, terms: _Terms[_T], *, floor: timedelta, ceiling: timedelta
    ) -> Document[_T]:
        shelf = self._shelves[terms.profile]
        entry = shelf.entries.get(url)
        if entry is None or not entry.is_fresh(self._clock(), floor, ceiling):
            entry = _Entry(await self._answer(shelf, url, terms))
        try:
            value = _value(url, entry, terms)
        except Exception:
            self._keep_refused(shelf, url, entry, terms)
            raise
        if entry.parse is None:
            entry.parse, entry.value = terms.parse, value
        self._keep(shelf, url, entry)
        expires_at = entry.answer.expires_at(terms.floor, terms.ceiling)
        return Document(url, value, entry.answer.fetched_at, expires_at)

    def _keep(self, shelf: _Shelf, url: str, entry: _Entry) -> None:
        shelf.entries[url] = entry
        shelf.entries.move_to_end(url)
        _bound(shelf.entries, self._max_entries)

    def _keep_refused(self, shelf: _Shelf, url: str, entry: _Entry, terms: _Terms[Any]) -> None:
        """Let a refused answer delay the next fetch without taking the place of a good one."""
        known = shelf.entries.get(url)
        if known is entry:
            return
        if known is not None and known.is_fresh(self._clock(), terms.floor, terms.ceiling):
            self._note_failure(shelf, url, terms, "refused")
        else:
            self._keep(shelf, url, entry)

    async def _answer(self, shelf: _Shelf, url: str, terms: _Terms[Any]) -> _Answer:
        """Join the fetch that is under way, or begin one."""
        forbid_inside_transaction("waiting for a document")
        flight = shelf.flights.get((url, terms.max_bytes))
        if flight is None:
            self._refuse_while_cooling(shelf, url, terms)
            flight = asyncio.create_task(self._fetch(shelf, url, terms))
            shelf.flights[url, terms.max_bytes] = flight
        # Shielded: who gives up waiting does not take the document from the others.
        return await asyncio.shield(flight)

    async def _fetch(self, shelf: _Shelf, url: str, terms: _Terms[Any]) -> _Answer:
        started_at = self._clock()
        try:
            fetched = await self._network.fetch(
                url, profile=terms.profile, max_bytes=terms.max_bytes
            )
            _check_is_json(url, fetched)
        except NetworkError as error:
            if error.reason not in _OUR_OWN_LIMITS:
                self._note_failure(shelf, url, terms, error.reason)
            raise
        finally:
            del shelf.flights[url, terms.max_bytes]
        return _Answer(fetched.body, _max_age(fetched.headers.get("cache-control", "")), started_at)

    def _note_failure(self, shelf: _Shelf, url: str, terms: _Terms[Any], reason: str) -> None:
        shelf.failures[url, terms.max_bytes] = (self._clock(), reason)
        shelf.failures.move_to_end((url, terms.max_bytes))
        _bound(shelf.failures, self._max_entries)

    def _refuse_while_cooling(self, shelf: _Shelf, url: str, terms: _Terms[Any]) -> None:
        failure = shelf.failures.get((url, terms.max_bytes))
        if failure is None:
            return
        failed_at, reason = failure
        if failed_at <= self._clock() < failed_at + COOL_DOWN:
            raise NetworkError(
                f"{url} failed a moment ago ({reason}); "
                f"the next attempt is possible {COOL_DOWN.seconds} seconds after it",
                reason="cooling_down",
            )
        del shelf.failures[url, terms.max_bytes]


def _check_is_json(url: str, fetched: Fetched) -> None:
    if fetched.status != 200:
        raise NetworkError(f"{url} answered {fetched.status}", reason="status")
    media_type = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON_TYPE.fullmatch(media_type):
        raise NetworkError(f"{url} is not served as JSON", reason="content_type")


def _value(url: str, entry: _Entry, terms: _Terms[_T]) -> _T:
    if len(entry.answer.body) > terms.max_bytes:
        raise NetworkError(f"{url} is over {terms.max_bytes} bytes", reason="too_large")
    if entry.parse == terms.parse:
        value: _T = entry.value
        return value
    try:
        found = read_object(entry.answer.body)
    except NotStrict as error:
        raise NetworkError(f"{url} {error}", reason="json") from error
    return terms.parse(found)


def _max_age(cache_control: str) -> timedelta:
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if not {"no-store", "no-cache"}.isdisjoint(directives):
        return timedelta(0)
    found = [match[1] for directive in directives if (match := _MAX_AGE.fullmatch(directive))]
    # Of contradictions the shortest; ten digits are three centuries, and ceilings are days.
    return timedelta(seconds=min(int(digits[:10]) for digits in found)) if found else timedelta(0)


def _bound(entries: OrderedDict[Any, Any], most: int) -> None:
    while len(entries) > most:
        entries.popitem(last=False)
