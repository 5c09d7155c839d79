"""Tell the authorization server what became of tool calls, without a call ever waiting for it.

A call appends to memory and goes on. One thread writes what is there to the spool, twice a second; another sends
batches from the spool, and backs off while the authorization server is away. Nothing is dropped but the oldest, when
there is more than the bounds hold, and how many that were is logged, counted in `lost` and told with the next batch.
"""

import atexit
import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from authz.resource_server.access_token import AccessToken
from authz.resource_server.delivery import Answer, Delivery, Verdict
from authz.resource_server.messages import ToolCall
from authz.resource_server.outcome import Began, Outcome, digest_arguments, spell
from authz.resource_server.spool import MAX_BATCH, MAX_SPOOLED, Spool, abandoned, claim
from authz.resource_server.verifier import system_clock

MAX_IN_MEMORY = 10_000
WRITE_EVERY = 0.5
_LONGEST_BACK_OFF = 300.0
_LOOK_AROUND_EVERY = 60.0
_GOODBYE = 5.0

log = logging.getLogger(__name__)  # noqa: TID251 - structlog belongs to the server, not to this layer


@dataclass(frozen=True)
class Reports:
    """Report what became of calls, as `client_id` with the private key in `key`, by way of the folder `spool`.

    `every` is how many seconds an outcome waits for others at most. With `digest_arguments` each outcome carries a
    SHA-256 of the call's arguments: whoever can guess them can check the guess, so it is off unless you want that.
    """

    client_id: str
    key: str | Path
    spool: str | Path
    every: float = 5.0
    digest_arguments: bool = False
    max_spooled: int = MAX_SPOOLED


class Reporter:
    """One per process. `report` may be called from any thread, and never waits."""

    def __init__(
        self,
        reports: Reports,
        *,
        issuer: str,
        resource: str,
        clock: Callable[[], float] = system_clock,
        write_every: float = WRITE_EVERY,
        max_in_memory: int = MAX_IN_MEMORY,
    ) -> None:
        self.clock = clock
        self._write_every = write_every
        self._max_in_memory = max_in_memory
        self.lost = 0
        """Outcomes dropped since this process began."""
        self._reports = reports
        self._delivery = Delivery(
            issuer=issuer,
            resource=resource,
            client_id=reports.client_id,
            key_file=Path(reports.key),
            clock=clock,
        )
        self._folder = Path(reports.spool)
        self._waiting: deque[Outcome] = deque()
        self._untold = 0
        self._counting = threading.Lock()
        self._starting = threading.Lock()
        self._started = False
        self._closing = threading.Event()
        self._much = threading.Event()
        self._written = threading.Event()
        self._spool: Spool | None = None
        self._threads: list[threading.Thread] = []
        self._next_look = 0.0
        self._complaint = ""

    def report(
        self,
        token: AccessToken,
        call: ToolCall,
        outcome: str,
        reason: str | None = None,
        began: Began | None = None,
    ) -> None:
        """Take down what became of a call."""
        digest = digest_arguments(call.arguments) if self._reports.digest_arguments else None
        if len(self._waiting) >= self._max_in_memory:
            with suppress(IndexError):  # the writer was quicker
                self._waiting.popleft()
                self._count_lost(1, untold=1)
        self._waiting.append(
            Outcome(
                at=self.clock() if began is None else began.at,
                token=token,
                tool=call.tool,
                outcome=outcome,
                reason=reason,
                seconds=None if began is None else time.monotonic() - began.ticks,
                traceparent=call.traceparent,
                arguments_digest=digest,
            )
        )
        if not self._started and not self._closing.is_set():
            self.start()
        if len(self._waiting) >= MAX_BATCH:
            self._much.set()

    def start(self) -> None:
        """Begin to write and send; the first outcome does so by itself."""
        with self._starting:
            if self._started:
                return
            self._started = True
            self._closing.clear()
            self._threads = [
                threading.Thread(target=work, name=f"authz-reports-{name}", daemon=True)
                for name, work in (("writer", self._write_all), ("sender", self._send_all))
            ]
            for thread in self._threads:
                thread.start()
            # For servers that are run without their lifespan.
            atexit.register(self.close)

    def close(self) -> None:
        """Write what is there, try to send it once more, and stop."""
        with self._starting:
            if not self._started:
                return
            self._started = False
            atexit.unregister(self.close)
            self._closing.set()
            self._much.set()
            self._written.set()
            until = time.monotonic() + _GOODBYE
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
            # A batch that is under way is known again by its name, so it may be cut off.
            if self._spool is not None:
                self._spool.close()
                self._spool = None

    def _count_lost(self, count: int, *, untold: int = 0) -> None:
        with self._counting:
            self.lost += count
            self._untold += untold

    def _complain(self, text: str) -> None:
        """Once, however often it is met in a row."""
        if text != self._complaint:
            log.error("%s", text)
        self._complaint = text

    # -- the writer ----------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while not self._closing.is_set():
            self._much.wait(self._write_every)
            self._much.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        spool = self._claim() if self._spool is None else self._spool
        if spool is None or not (self._waiting or self._untold):
            return
        taken: list[Outcome] = []
        with suppress(IndexError):
            while len(taken) < self._max_in_memory:
                taken.append(self._waiting.popleft())
        with self._counting:
            untold, self._untold = self._untold, 0
        try:
            dropped = spool.append([it for it in map(spell, taken) if it is not None], untold)
        except sqlite3.Error as error:
            self._complain(f"outcomes cannot be written to {spool.path}: {error}")
            # Back in front of what came meanwhile; memory has a bound of its own.
            self._waiting.extendleft(reversed(taken))
            self._count_lost(0, untold=untold)
            return
        if dropped or untold:
            self._count_lost(dropped)
            log.warning("%d outcomes were dropped unreported: too many wait", dropped + untold)
        if spool.waiting >= MAX_BATCH:
            self._written.set()

    def _claim(self) -> Spool | None:
        try:
            self._spool = claim(self._folder, limit=self._reports.max_spooled)
        except (sqlite3.Error, OSError) as error:
            self._complain(f"outcomes stay in memory, {self._folder} cannot be used: {error}")
        return self._spool

    # -- the sender ----------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        failures, pause = 0, self._reports.every
        while not self._closing.is_set():
            # Nothing shortens a pause that the other side needs.
            (self._closing if failures else self._written).wait(pause)
            self._written.clear()
            failures, pause = self._turn(failures)
        # The writer has the last word; while the other side is away, what it wrote is sent another day.
        self._threads[0].join(_GOODBYE)
        if not failures:
            self._turn(0)
        self._delivery.close()

    def _turn(self, failures: int) -> tuple[int, float]:
        """Send until nothing is left or it fails; how often in a row that was, and how long to wait now."""
        spools = self._spools()
        try:
            for spool in spools:
                while (batch := self._next_batch(spool)) is not None:
                    answer = self._delivery.send(batch)
                    if answer.verdict is Verdict.LATER:
                        return failures + 1, self._back_off(failures, answer)
                    self._settle(spool, batch, answer)
                    failures = 0
        finally:
            for spool in spools:
                if spool is not self._spool:
                    spool.close()
        return 0, self._reports.every

    def _spools(self) -> Sequence[Spool]:
        if self._spool is None:
            # The writer takes a file first: of two who open the same one at the same moment, both step back.
            return []
        own = [self._spool]
        if time.monotonic() < self._next_look or self._closing.is_set():
            return own
        self._next_look = time.monotonic() + _LOOK_AROUND_EVERY
        return [*own, *abandoned(self._folder)]

    def _next_batch(self, spool: Spool) -> str | None:
        try:
            return spool.next_batch(self._delivery.spell)
        except (sqlite3.Error, ValueError) as error:
            self._complain(f"outcomes cannot be read from {spool.path}: {error}")
            return None

    def _settle(self, spool: Spool, batch: str, answer: Answer) -> None:
        lost = 0
        if answer.verdict is Verdict.REFUSED:
            lost = len(json.loads(batch)["outcomes"])
            self._count_lost(lost)
            log.error("%d outcomes were dropped: the authorization server %s", lost, answer.because)
        try:
            spool.settle(lost=lost)
        except sqlite3.Error as error:
            self._complain(f"outcomes cannot be written to {spool.path}: {error}")

    def _back_off(self, failures: int, answer: Answer) -> float:
        longest = min(_LONGEST_BACK_OFF, float(2 ** min(failures, 10)))
        # Servers that lost the same authorization server come back at different moments.
        seed = hashlib.sha256(f"{self._folder}\n{failures}\n{id(self)}".encode()).digest()
        pause = longest * (0.5 + seed[0] / 512)
        if answer.retry_after is not None:
            pause = max(pause, min(answer.retry_after, _LONGEST_BACK_OFF))
        log.warning("outcomes wait in %s, for %.1f s: %s", self._folder, pause, answer.because)
        return pause
