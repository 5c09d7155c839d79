"""Who waits for the next entry: one look at the database for all of them, and nothing held meanwhile.

A turn numbers what is new, reads it once, and wakes whoever waits for it. Turns come as long as somebody waits, every
`EVERY_SECONDS`; whoever asks gets a turn that began after the question. Entries of the last while are kept, so a
thousand servers that are told of one revocation cost one reading.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from authz.clock import Clock
from authz.db import Database
from authz.errors import TemporarilyUnavailable, TooManyRequests
from authz.revocations.numbering import (
    MOST_AT_ONCE,
    Entry,
    head_of,
    number,
    read_after,
    read_for,
    unnumbered,
)

EVERY_SECONDS = 0.2
MOST_WAITING = 5_000
"""Readers of this process at once."""
MOST_OF_ONE = 50
"""Of those, of one client: a fleet of one server, each with a connection or two."""
MOST_TOLD = 1_000
"""Entries of one answer."""
MOST_KEPT = 20_000
"""Entries of one tenant in memory."""
_FORGOTTEN_AFTER = 600
"""Turns in which nobody asked for a tenant."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Reader:
    """Who reads: the client of some MCP servers of one tenant."""

    tenant_id: str
    client_id: str
    resource_ids: frozenset[str]


@dataclass(frozen=True)
class Page:
    """What a reader has to know behind the place it named."""

    entries: tuple[Entry, ...]
    upto: int
    """Nothing that concerns the reader is missing up to here."""
    as_of: datetime
    """Nothing that had been committed by then is missing, unless there is more."""
    has_more: bool = False


@dataclass
class _Tail:
    """The end of one tenant's feed."""

    head: int | None = None
    """None until a turn has seen where the feed is."""
    base: int = 0
    """Everything behind it is in `entries`."""
    entries: list[Entry] = field(default_factory=list)
    idle_turns: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, head: int) -> None:
        self.head = self.base = head

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.head = entry.position
        if len(self.entries) > 2 * MOST_KEPT:
            del self.entries[:MOST_KEPT]
            self.base = self.entries[0].position - 1
        self.wake()

    def wake(self) -> None:
        """Let those look who wait."""
        self.news.set()
        self.news = asyncio.Event()

    def behind(self, place: int) -> list[Entry]:
        return self.entries[bisect_right(self.entries, place, key=lambda it: it.position) :]


class FeedHub:
    """One per process, on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tails: dict[str, _Tail] = {}
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._turn: asyncio.Task[datetime] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._looked_at: datetime | None = None
        self._is_ending = False

    @contextmanager
    def place(self, reader: Reader) -> Iterator[None]:
        """A connection that will wait, as a block. Raises TooManyRequests, TemporarilyUnavailable."""
        who = reader.tenant_id, reader.client_id
        if self._waiting[who] >= MOST_OF_ONE:
            raise TooManyRequests(
                "too many connections of this client wait",
                reason="feed_readers_per_client",
                retry_after=5,
            )
        if self._waiting.total() >= MOST_WAITING:
            raise TemporarilyUnavailable("the server is busy", reason="feed_full")
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def end_waiting(self) -> None:
        """Answer everybody who waits with what there is, and let nobody wait any more."""
        self._is_ending = True
        for tail in self._tails.values():
            tail.wake()

    async def close(self) -> None:
        """End the turns."""
        tasks = [it for it in (self._ticker, self._turn) if it is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def read(
        self, reader: Reader, after: int | None, *, wait: float, limit: int = MOST_TOLD
    ) -> Page:
        """What is behind `after`, as soon as there is something, and after `wait` seconds in any case.

        None is the beginning: everything that is not over. Raises TemporarilyUnavailable when the database does.
        """
        until = asyncio.get_running_loop().time() + wait
        tail = self._tails.setdefault(reader.tenant_id, _Tail())
        as_of = await self._look()
        while True:
            news = tail.news
            page = await self._page(tail, reader, after, as_of, limit)
            left = until - asyncio.get_running_loop().time()
            if page.entries or after is None or left <= 0 or self._is_ending:
                return page
            after = page.upto
            self._tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await news.wait()
            tail.idle_turns = 0
            as_of = self._looked_at or as_of

    def _tick(self) -> None:
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.get_running_loop().create_task(self._turns())

    async def _turns(self) -> None:
        """As long as somebody waits."""
        while self._waiting:
            await asyncio.sleep(EVERY_SECONDS)
            # What failed is logged, and what readers are told shows for how long nothing was seen.
            await asyncio.gather(self._look(), return_exceptions=True)

    async def _look(self) -> datetime:
        """The moment of a turn that begins after this call."""
        under_way = self._turn
        if under_way is not None and not under_way.done():
            # It may have read before we came.
            await asyncio.wait([under_way])
        if self._turn is None or self._turn.done():
            self._turn = asyncio.get_running_loop().create_task(self._take_turn())
        return await asyncio.shield(self._turn)

    async def _take_turn(self) -> datetime:
        at = self._clock()
        places = {tenant_id: tail.head for tenant_id, tail in self._tails.items()}
        try:
            heads, found = await asyncio.to_thread(self._read, places)
        except Exception as error:
            log.exception("revocations.turn_failed")
            raise TemporarilyUnavailable("try again shortly", reason="feed_unreadable") from error
        for tenant_id, head in heads.items():
            self._tails[tenant_id].begin(head)
        for entry in found:
            self._tails[entry.tenant_id].add(entry)
        for tenant_id, tail in list(self._tails.items()):
            tail.idle_turns += 1
            if tail.idle_turns > _FORGOTTEN_AFTER:
                del self._tails[tenant_id]
        self._looked_at = at
        return at

    def _read(self, places: dict[str, int | None]) -> tuple[dict[str, int], list[Entry]]:
        """In a thread: number, and read what is behind the places; where none is known, the head is one."""
        with self._database.read() as tx:
            new = unnumbered(tx, places)
        for tenant_id in new:
            count = MOST_AT_ONCE
            while count == MOST_AT_ONCE:
                with self._database.write() as tx:
                    count = number(tx, tenant_id)
        with self._database.read() as tx:
            heads = {it: head_of(tx, it) for it, place in places.items() if place is None}
            known = {it: place for it, place in places.items() if place is not None}
            found: list[Entry] = []
            count = MOST_AT_ONCE
            while known and count == MOST_AT_ONCE:
                some = read_after(tx, known)
                known.update((it.tenant_id, it.position) for it in some)
                found += some
                count = len(some)
        return heads, found

    async def _page(
        self, tail: _Tail, reader: Reader, after: int | None, as_of: datetime, limit: int
    ) -> Page:
        if tail.head is not None and after is not None and tail.base <= after <= tail.head:
            own = [it for it in tail.behind(after) if it.concerns(reader.resource_ids)]
            if len(own) > limit:
                return Page(tuple(own[:limit]), own[limit - 1].position, as_of, has_more=True)
            return Page(tuple(own), tail.head, as_of)
        return await asyncio.to_thread(self._page_of_rows, reader, after or 0, as_of, limit)

    def _page_of_rows(self, reader: Reader, after: int, as_of: datetime, limit: int) -> Page:
        with self._database.read() as tx:
            return page_of_rows(tx, reader, after, as_of, limit)


def page_of_rows(tx: Session, reader: Reader, after: int, as_of: datetime, limit: int) -> Page:
    """What is numbered, as the rows of this transaction have it."""
    # First, so that an entry that comes in between is told twice rather than never.
    head = head_of(tx, reader.tenant_id)
    rows = read_for(
        tx,
        reader.tenant_id,
        sorted(reader.resource_ids),
        # A place that the feed has not reached is of another database: begin anew.
        after=after if after <= head else 0,
        limit=limit + 1,
        now=as_of,
    )
    if len(rows) > limit:
        return Page(tuple(rows[:limit]), rows[limit - 1].position, as_of, has_more=True)
    return Page(tuple(rows), max([head, *(it.position for it in rows)]), as_of)
