"""One turn at all transmitters that do not push: fetch, verify, do, and tell them what became of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from authz.clock import Clock
from authz.db import Database
from authz.db.availability import is_conflict
from authz.errors import ConfigurationError
from authz.federation import set_verification
from authz.federation.desk import Recipient, notice_of
from authz.federation.keys_of import Keys, KeysUnavailable, keys_for
from authz.federation.notices import Notice, Outcome
from authz.federation.polling import Answers, Page, PollFailed, ask
from authz.federation.receiving import receive, tell
from authz.federation.set_verification import SetRefused, key_sought
from authz.federation.streams import Stream
from authz.net import Documents, Network
from authz.telemetry.metrics import SIGNALS

log = structlog.get_logger()

ROUNDS = 40
LONGEST_TURN = timedelta(minutes=1)
"""Pages of one stream, and time, in one turn: other jobs wait for it, and what is left comes with the next one."""
_ATTEMPTS = 3


@dataclass(frozen=True)
class Poller:
    """One per turn. Runs in a thread and blocks."""

    database: Database
    network: Network
    documents: Documents
    resolve_secret: Callable[[str], bytes]
    clock: Clock

    def turn(self, streams: Sequence[tuple[Stream, Recipient]]) -> None:
        """All of them side by side, page after page; one that fails is logged and does not hold up the others."""
        calls = [_Call(stream, recipient) for stream, recipient in streams]
        waiting = [call for call in calls if self._has_secret(call)]
        until = self.clock() + LONGEST_TURN
        for _ in range(ROUNDS):
            if not waiting or self.clock() > until:
                break
            pages = self._ask(waiting)
            waiting = [
                call
                for call, page in zip(waiting, pages, strict=True)
                if page is not None and self._take(call, page) and page.has_more
            ]
        # What the last page brought has not been answered yet.
        self._ask([call for call in calls if call.answers], at_most=0)

    def _has_secret(self, call: "_Call") -> bool:
        try:
            secret = self.resolve_secret(call.stream.poll_token or "").decode("ascii").strip()
        except (ConfigurationError, UnicodeDecodeError) as error:
            _failed(call, "poll_token", detail=str(error))
            return False
        call.bearer = secret
        return True

    def _ask(self, calls: Sequence["_Call"], *, at_most: int | None = None) -> list[Page | None]:
        async def together() -> list[Page | PollFailed]:
            return await asyncio.gather(*(_one(self.network, call, at_most) for call in calls))

        if not calls:
            return []
        pages: list[Page | None] = []
        for call, page in zip(calls, self.network.run_blocking(together()), strict=True):
            if isinstance(page, PollFailed):
                _failed(call, page.reason)
                pages.append(None)
            else:
                call.answers = Answers()
                pages.append(page)
        return pages

    def _take(self, call: "_Call", page: Page) -> bool:
        """Do what came; whether to go on with this stream."""
        received_at = self.clock()
        notices: dict[str, Notice] = {}
        known: dict[str | None, Keys] = {}
        goes_on = bool(page.tokens)
        for jti, token in page.tokens.items():
            try:
                event = self._verified(call.stream, jti, token, known)
            except SetRefused as refused:
                call.answers.refused[jti] = refused
                SIGNALS.labels("poll", refused.code).inc()
                log.info("signal.refused", via=call.stream.slug, reason=refused.reason)
                continue
            except KeysUnavailable as error:
                # Nobody's fault that will last: neither done nor refused, so it comes again.
                if goes_on:
                    _failed(call, error.reason)
                goes_on = False
                continue
            notices[jti] = notice_of(event, call.stream, call.recipient, received_at)
        outcomes = self._done(list(notices.values()))
        for jti, outcome in zip(notices, outcomes, strict=True):
            if outcome in (Outcome.OFF, Outcome.STALE):
                goes_on = False
            else:
                call.answers.done.append(jti)
        return goes_on

    def _verified(
        self, stream: Stream, jti: str, token: str, known: dict[str | None, Keys]
    ) -> set_verification.SecurityEvent:
        header = key_sought(token, stream.transmitter)
        key_id = header.get("kid")
        name = key_id if isinstance(key_id, str) else None
        if name not in known:
            # Once a page: the keys live on the event loop, and the way there is longer than the verification.
            loaded = keys_for(self.documents, stream.jwks_uri, header)
            known[name] = self.network.run_blocking(loaded)
        event = set_verification.verify(token, known[name], stream.transmitter, self.clock())
        if event.jti != jti:
            raise SetRefused("invalid_request", "set_jti")
        return event

    def _done(self, notices: list[Notice]) -> list[Outcome]:
        if not notices:
            return []
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.database.write() as tx:
                    outcomes = receive(tx, notices, self.clock)
                break
            except Exception as error:
                if attempt == _ATTEMPTS or not is_conflict(error):
                    raise
        tell("poll", notices, outcomes, self.clock())
        return outcomes


@dataclass
class _Call:
    """One stream in this turn."""

    stream: Stream
    recipient: Recipient
    bearer: str = field(default="", repr=False)
    answers: Answers = field(default_factory=Answers)


async def _one(network: Network, call: _Call, at_most: int | None) -> Page | PollFailed:
    try:
        if at_most is None:
            return await ask(network, call.stream, call.bearer, call.answers)
        return await ask(network, call.stream, call.bearer, call.answers, at_most=at_most)
    except PollFailed as failed:
        return failed


def _failed(call: _Call, reason: str, *, detail: str | None = None) -> None:
    SIGNALS.labels("poll", "failed").inc()
    more = {} if detail is None else {"detail": detail}
    log.warning("signals.poll_failed", stream=call.stream.slug, reason=reason, **more)
