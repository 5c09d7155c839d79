"""The engine behind the endpoints: who asks, what is due, and the signed tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import Changed
from authz.clock import Clock
from authz.db import Database
from authz.errors import InsufficientScope, InvalidRequest, InvalidToken
from authz.keys import INTROSPECTION
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.introspection import SIGNING_ALGORITHM, is_standing
from authz.oauth.lane import Job
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.transmitting import events, streams
from authz.oauth.transmitting.requests import Poll
from authz.oauth.transmitting.streams import Place
from authz.policy.signals import SSF_ID
from authz.revocations.hub import FeedHub, Page, Reader

REFUSED = "the access token is not valid here"
"""The one public sentence for every defect of a token."""
LONGEST_WAIT = 20.0

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True)
class Receiver:
    """Who asks: the client of MCP servers, with a token for this."""

    configuration: TenantConfiguration
    reader: Reader

    @property
    def issuer(self) -> str:
        """Of the tenant."""
        return self.configuration.tenant.issuer


class Transmitter:
    """One per process."""

    def __init__(
        self,
        channel: BackChannel,
        tokens: OwnTokens,
        hub: FeedHub,
        database: Database,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._tokens = tokens
        self._hub = hub
        self._database = database
        self.clock = clock

    async def admit(
        self, slug: str, authorization: tuple[str, ...], scopes: frozenset[str]
    ) -> Receiver:
        """Let a receiver in whose token has one of the scopes. Raises OAuthError, or UnknownTenant."""

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            return self._prepare(configuration, authorization, scopes), ()

        outcome, configuration = await self._channel.decide(slug, prepared)
        return Receiver(configuration, outcome.answer)

    def _prepare(
        self,
        configuration: TenantConfiguration,
        authorization: tuple[str, ...],
        scopes: frozenset[str],
    ) -> Job:
        token = _bearer(authorization)
        claims = self._tokens.read(
            token, configuration.keys, tenant_id=configuration.tenant.id, now=self.clock()
        )
        if claims is None:
            raise InvalidToken(REFUSED, reason="token_unknown")
        if claims["aud"] != configuration.policy.resources[SSF_ID].identifier:
            raise InvalidToken(REFUSED, reason="token_audience")
        if "cnf" in claims:
            raise InvalidToken(REFUSED, reason="token_scheme")
        return Job(
            configuration=configuration,
            keys=FactKeys(tokens=frozenset({claims["jti"]})),
            decide=partial(_decide, configuration, claims, scopes),
            client_id=claims["client_id"],
            is_reading=True,
        )

    def change(
        self, receiver: Receiver, what: str, work: Callable[[Session, datetime], tuple[str, T]]
    ) -> T:
        """One change of a stream, told by the trail; in a thread. `work` answers the stream and what came of it."""
        now, configuration = self.clock(), receiver.configuration
        with self._database.write() as tx:
            stream_id, made = work(tx, now)
            event = Changed(
                what=what,
                target=stream_id,
                client=receiver.reader.client_id,
                actor=f"client:{receiver.reader.client_id}",
            )
            audit.record(tx, receiver.reader.tenant_id, event, key=configuration.audit_key, now=now)
            return made

    def write(self, work: Callable[[Session], T]) -> T:
        """What the trail need not know; in a thread."""
        with self._database.write() as tx:
            return work(tx)

    def read(self, work: Callable[[Session], T]) -> T:
        """In a thread."""
        with self._database.read() as tx:
            return work(tx)

    def acknowledge(self, receiver: Receiver, stream_id: str, poll: Poll) -> Place:
        """Note what has arrived; in a thread. Raises UnknownStream."""
        for jti, code in poll.refused.items():
            log.warning("event_stream.refused", stream=stream_id, jti=jti[:100], error=code)
        with self._database.write() as tx:
            row = streams.load(tx, receiver.reader, stream_id)
            if row.push_url is not None:
                raise InvalidRequest("this stream is sent, not fetched", reason="stream_is_pushed")
            streams.acknowledge(row, (*poll.acknowledged, *poll.refused))
            return streams.place_of(row)

    async def due(self, receiver: Receiver, place: Place, *, wait: float) -> Page:
        """What the feed has for the stream; at once if a verification waits. Raises TemporarilyUnavailable."""
        wait = 0.0 if place.verifications else wait
        with self._hub.place(receiver.reader):
            return await self._hub.read(receiver.reader, place.position, wait=wait)

    def move_on(self, receiver: Receiver, stream_id: str, position: int) -> None:
        """What need not be looked at again; in a thread."""
        with self._database.write() as tx:
            streams.move_on(streams.load(tx, receiver.reader, stream_id), position)

    def tokens(
        self, receiver: Receiver, place: Place, page: Page, most: int
    ) -> tuple[dict[str, str], int, bool]:
        """As `signed_tokens`, now."""
        return signed_tokens(
            receiver.configuration, receiver.reader.client_id, place, page, most, self.clock()
        )


def signed_tokens(
    configuration: TenantConfiguration,
    audience: str,
    place: Place,
    page: Page,
    most: int,
    now: datetime,
) -> tuple[dict[str, str], int, bool]:
    """Signed tokens by `jti`, the place before the first that is not acknowledged, and whether there are more."""
    said = {
        "issuer": configuration.tenant.issuer,
        "audience": audience,
        "stream_id": place.stream_id,
        "now": now,
    }
    claims = [
        events.verification_claims(jti, state, **said)  # type: ignore[arg-type]
        for jti, state in place.verifications
    ]
    position = page.upto
    for entry in page.entries:
        if not _is_due(place, entry):
            continue
        position = min(position, entry.position - 1)
        claims.append(events.claims_of(entry, **said))  # type: ignore[arg-type]
    sign = partial(configuration.keys.sign, INTROSPECTION, SIGNING_ALGORITHM, events.TYP)
    more = page.has_more or len(claims) > most
    return {it["jti"]: sign(it, now) for it in claims[:most]}, position, more


def _is_due(place: Place, entry: Any) -> bool:
    return (
        events.type_of(entry) in place.delivered
        and entry.subject not in place.removed
        and events.name_of(place.stream_id, entry) not in place.acknowledged
    )


def _decide(
    configuration: TenantConfiguration,
    claims: Mapping[str, Any],
    scopes: frozenset[str],
    facts: Facts,
    now: datetime,
) -> Outcome:
    tenant_id, client_id = configuration.tenant.id, claims["client_id"]
    token = facts.find_token(tenant_id, claims["jti"])
    # The record, not the claim alone: an operator may have named an MCP server like this endpoint.
    if token is None or token.resource_id != SSF_ID:
        raise InvalidToken(REFUSED, reason="token_not_of_ssf")
    if not is_standing(token, configuration, now):
        raise InvalidToken(REFUSED, reason="token_not_standing")
    own = configuration.policy.resources_of(client_id)
    if not own:
        raise InvalidToken(REFUSED, reason="client_of_no_server")
    if scopes.isdisjoint(claims["scope"].split()):
        lacking = " or ".join(sorted(scopes))
        raise InsufficientScope(f"the access token lacks {lacking}", reason="ssf_scope_missing")
    return Outcome(Reader(tenant_id, client_id, own))


def _bearer(headers: tuple[str, ...]) -> str:
    scheme, _, token = (headers[0] if len(headers) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("an access token is needed", reason="token_missing")
    return token
