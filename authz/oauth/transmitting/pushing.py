"""Sending the events of streams to where an operator said (RFC 8935): one after the other, until one is not taken."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import Changed
from authz.clock import Clock
from authz.db import Database
from authz.db.models import EventStream, Tenant
from authz.errors import ConfigurationError
from authz.net import Network, NetworkError, Profile, strict_json
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configurations import Configurations
from authz.oauth.transmitting import streams
from authz.oauth.transmitting.events import position_of
from authz.oauth.transmitting.streams import Place
from authz.oauth.transmitting.transmitter import signed_tokens
from authz.revocations.hub import Page, Reader, page_of_rows
from authz.revocations.numbering import number, unnumbered

MOST_AT_ONCE = 100
LONGEST_TURN = timedelta(seconds=8)
"""Events of one stream, and time, in one turn: it is over before the job's lease is, also if the last request takes as
long as any may, so no two replicas send at once. What is left comes with the next turn."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=2)
"""Before a delivery that failed is tried again: twice as long each time, and never so long that a revoked token would
be over before its server hears of it."""
MOST_FAILURES = 20
"""Of deliveries in a row: after about half an hour the stream is paused."""
MEDIA_TYPE = "application/secevent+jwt"
# RFC 8935 §2.4; whatever else an answer says is its sender's text, and is not kept.
_CODES = frozenset(
    {
        *("invalid_request", "invalid_key", "invalid_issuer", "invalid_audience"),
        *("authentication_failed", "access_denied"),
    }
)
_MAX_BYTES = 16 * 1024

log = structlog.get_logger()


@dataclass(frozen=True)
class Due:
    """One stream in this turn: where to, and what, in its order."""

    configuration: TenantConfiguration
    reader: Reader
    stream_id: str
    url: str
    authorization: str
    tokens: Mapping[str, str]
    page: Page
    has_more: bool


@dataclass(frozen=True)
class Delivered:
    """How far it went, and why no further."""

    taken: tuple[str, ...]
    failure: str | None


@dataclass(frozen=True)
class Pusher:
    """One per turn. Runs in a thread and blocks."""

    database: Database
    configurations: Configurations
    network: Network
    resolve_secret: Callable[[str], bytes]
    clock: Clock

    def turn(self) -> None:
        """All streams that are due, side by side; one that fails does not hold up the others."""
        due = self._due()
        if not due:
            return
        # Before the loop: a store of secrets may be slow.
        words = [self._word(it) for it in due]

        async def together() -> list[Delivered]:
            return await asyncio.gather(
                *(self._deliver(it, word) for it, word in zip(due, words, strict=True))
            )

        for it, delivered in zip(due, self.network.run_blocking(together()), strict=True):
            self._note(it, delivered)

    def _due(self) -> list[Due]:
        now = self.clock()
        with self.database.read() as tx:
            rows = tx.execute(
                select(EventStream.id, EventStream.tenant_id, Tenant.slug)
                .join(Tenant, Tenant.id == EventStream.tenant_id)
                .where(
                    EventStream.push_url.is_not(None),
                    EventStream.status == "enabled",
                    or_(EventStream.retry_at.is_(None), EventStream.retry_at <= now),
                )
                .order_by(EventStream.id)
            ).all()
        # Readers that wait have what is new numbered; here nobody waits.
        self._number({row.tenant_id for row in rows})
        found = (self._due_of(row.id, row.slug, now) for row in rows)
        return [it for it in found if it is not None]

    def _number(self, tenant_ids: set[str]) -> None:
        with self.database.read() as tx:
            waiting = unnumbered(tx, tenant_ids) if tenant_ids else []
        for tenant_id in waiting:
            with self.database.write() as tx:
                number(tx, tenant_id)

    def _due_of(self, stream_id: str, slug: str, now: datetime) -> Due | None:
        with self.database.read() as tx:
            configuration = self.configurations.find(tx, slug)
            row = tx.get(EventStream, stream_id)
            if configuration is None or row is None or row.push_url is None:
                return None
            own = configuration.policy.resources_of(row.client_id)
            if not own:
                return None  # the client of no server any more
            reader = Reader(row.tenant_id, row.client_id, own)
            place = streams.place_of(row)
            page = page_of_rows(tx, reader, place.position, now, MOST_AT_ONCE)
            url, authorization = row.push_url, row.push_authorization or ""
        tokens, position, more = _signed(configuration, reader, place, page, now)
        if not tokens:
            if position > place.position:
                with self.database.write() as tx:
                    streams.move_on(streams.load(tx, reader, stream_id), position)
            return None
        return Due(configuration, reader, stream_id, url, authorization, tokens, page, more)

    def _word(self, due: Due) -> str | None:
        try:
            return self.resolve_secret(due.authorization).decode("ascii").strip()
        except (ConfigurationError, UnicodeDecodeError):
            return None

    async def _deliver(self, due: Due, secret: str | None) -> Delivered:
        taken: list[str] = []
        if secret is None:
            return Delivered((), "push_authorization")
        until = self.clock() + LONGEST_TURN
        for jti, token in due.tokens.items():
            failure = await self._send(due.url, secret, token)
            if failure is not None:
                return Delivered(tuple(taken), failure)
            taken.append(jti)
            if self.clock() > until:
                break
        return Delivered(tuple(taken), None)

    async def _send(self, url: str, secret: str, token: str) -> str | None:
        """Why it was not taken; None when it was."""
        try:
            answer = await self.network.fetch(
                url,
                profile=Profile.OPERATOR,
                max_bytes=_MAX_BYTES,
                method="POST",
                headers={"Authorization": f"Bearer {secret}", "Content-Type": MEDIA_TYPE},
                content=token.encode(),
            )
        except NetworkError as error:
            return f"push_{error.reason}"
        return None if answer.status == 202 else failure_of(answer.status, answer.body)

    def _note(self, due: Due, delivered: Delivered) -> None:
        now = self.clock()
        with self.database.write() as tx:
            try:
                row = streams.load(tx, due.reader, due.stream_id)
            except streams.UnknownStream:
                return  # removed meanwhile
            streams.acknowledge(row, delivered.taken)
            streams.move_on(row, _upto(due, delivered))
            if delivered.taken:
                row.delivered_at, row.failures = now, 0
            if delivered.failure is None:
                row.last_failure, row.retry_at = None, None
                return
            row.failures += 1
            row.last_failure, row.retry_at = delivered.failure, now + pause_after(row.failures)
            log.warning("event_stream.push_failed", stream=row.id, reason=delivered.failure)
            if row.failures >= MOST_FAILURES and row.status == "enabled":
                _pause(tx, row, due, now)


def _signed(
    configuration: TenantConfiguration, reader: Reader, place: Place, page: Page, now: datetime
) -> tuple[Mapping[str, str], int, bool]:
    return signed_tokens(configuration, reader.client_id, place, page, MOST_AT_ONCE, now)


def _upto(due: Due, delivered: Delivered) -> int:
    """The place before the first that was not taken: they were sent in order."""
    if len(delivered.taken) == len(due.tokens) and not due.has_more:
        return due.page.upto
    places = [position_of(due.stream_id, jti) or 0 for jti in delivered.taken]
    return max(places, default=0)


def _pause(tx: Session, row: EventStream, due: Due, now: datetime) -> None:
    row.status, row.updated_at = "paused", now
    row.reason = f"{row.failures} deliveries in a row failed: {row.last_failure}"
    event = Changed(
        what="event_stream.status",
        target=row.id,
        values={"status": "paused", "because": row.last_failure},
        client=row.client_id,
        actor="job:push-events",
    )
    audit.record(tx, row.tenant_id, event, key=due.configuration.audit_key, now=now)


def pause_after(failures: int) -> timedelta:
    """Until the next try."""
    return min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)


def failure_of(status: int, body: bytes) -> str:
    """What an answer other than 202 says, as a slug (RFC 8935 §2.3)."""
    if status == 400:
        try:
            code = strict_json.read_object(body).get("err")
        except strict_json.NotStrict:
            code = None
        if isinstance(code, str) and code in _CODES:
            return f"push_refused_{code}"
    return f"push_status_{status}"
