"""Where identity providers tell of people who leave: verified one by one, done together.

Owns the queue in front of `receiving` and the steps before it. Crowds come all at once, so whatever waits when a
transaction has ended is done in the next one.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from authz import entropy
from authz.clock import Clock
from authz.db import Database
from authz.db.batch import Lane, Worker
from authz.db.models import Connection
from authz.db.plain_batch import PlainRunner
from authz.federation import logout_tokens, set_verification, streams
from authz.federation.connections import find_active
from authz.federation.connector import SignInRefused, Tools
from authz.federation.keys_of import KeysUnavailable, keys_for
from authz.federation.logout_tokens import LogoutRefused, RelyingParty
from authz.federation.notices import LOGOUT_TOKEN, SHARED_SIGNAL, Notice, Outcome
from authz.federation.oidc_discovery import find_provider
from authz.federation.oidc_settings import stored_settings
from authz.federation.receiving import receive, tell
from authz.federation.security_events import Action, Reaction, react
from authz.federation.set_verification import REMEMBERED, SecurityEvent, SetRefused, key_sought
from authz.federation.streams import Stream
from authz.federation.subjects import SubjectRefused, read_subject
from authz.jose import LEEWAY, JwtError, read_unverified

MAX_BATCH = 512
_LOGOUT = Reaction(Action.END, "upstream_logout")
_ATTEMPTS = 3


@dataclass(frozen=True)
class Recipient:
    """The tenant that is told."""

    tenant_id: str
    audit_key: bytes = field(repr=False)


class Moving(Exception):
    """The stream is being changed at this moment; the sender comes again."""


class SignalDesk:
    """One per process."""

    def __init__(self, database: Database, tools: Tools, clock: Clock) -> None:
        self._database = database
        self._tools = tools
        self._clock = clock
        self._streams: dict[tuple[str, str], Stream] = {}
        self.lane: Lane[Notice, Outcome] = Lane(
            [Worker(PlainRunner(database, name="signals"), self._batch)], max_batch=MAX_BATCH
        )

    async def log_out(
        self, recipient: Recipient, slug: str, token: str, received_at: datetime
    ) -> Outcome:
        """A logout token at the address of one connection. Raises LogoutRefused, KeysUnavailable."""
        connection = await asyncio.to_thread(self._find_connection, recipient.tenant_id, slug)
        if connection is None or connection.kind != "oidc":
            raise LogoutRefused("connection_unknown")
        try:
            header, claims = read_unverified(token)
        except JwtError as error:
            raise LogoutRefused(error.reason) from None
        party = _party(connection)
        # Before anything is fetched: strangers make nobody ask their provider for anything.
        if claims.get("iss") != party.issuer:
            raise LogoutRefused("jwt_iss")
        try:
            provider = await find_provider(self._tools, party.issuer)
        except SignInRefused as error:
            raise KeysUnavailable(error.reason) from error
        keys = await keys_for(self._tools.documents, provider.jwks_uri, header)
        believed = logout_tokens.verify(token, keys, party, self._clock())
        notice = Notice(
            tenant_id=recipient.tenant_id,
            connection_id=connection.id,
            source=LOGOUT_TOKEN,
            via=connection.slug,
            reference=believed.jti,
            replay_key=believed.replay_key,
            remembered_until=believed.remembered_until,
            reaction=_LOGOUT,
            subject=believed.subject,
            received_at=received_at,
            occurred_at=believed.issued_at,
            audit_key=recipient.audit_key,
        )
        outcome = await self._submit("logout_token", notice)
        if outcome is Outcome.REPEATED:
            raise LogoutRefused("logout_replayed")
        if outcome is Outcome.OFF:
            raise LogoutRefused("connection_unknown")
        return outcome

    async def push(
        self,
        recipient: Recipient,
        slug: str,
        bearer: str | None,
        token: str,
        received_at: datetime,
    ) -> Outcome:
        """A security event token that a transmitter pushed. Raises SetRefused, KeysUnavailable, Moving."""
        for _ in range(_ATTEMPTS):
            stream = await self._pushing(recipient.tenant_id, slug, bearer)
            if stream.status != streams.ACTIVE:
                raise SetRefused("access_denied", "stream_disabled")
            header = key_sought(token, stream.transmitter)
            keys = await keys_for(self._tools.documents, stream.jwks_uri, header)
            event = set_verification.verify(token, keys, stream.transmitter, self._clock())
            notice = notice_of(event, stream, recipient, received_at)
            outcome = await self._submit("push", notice)
            if outcome is Outcome.OFF:
                self._streams.pop((recipient.tenant_id, slug), None)
                raise SetRefused("access_denied", "stream_disabled")
            if outcome is not Outcome.STALE:
                return outcome
            self._streams.pop((recipient.tenant_id, slug), None)
        raise Moving

    async def _pushing(self, tenant_id: str, slug: str, bearer: str | None) -> Stream:
        """The stream of this name and token. Raises SetRefused, in one way for all that is wrong."""
        stream = self._streams.get((tenant_id, slug))
        if stream is None or not _opens(stream, bearer):
            stream = await asyncio.to_thread(self._find_stream, tenant_id, slug)
            if stream is None or not _opens(stream, bearer):
                raise SetRefused("authentication_failed", "stream_unknown")
            self._streams[tenant_id, slug] = stream
        return stream

    async def _submit(self, way: str, notice: Notice) -> Outcome:
        outcome = await self.lane.submit(notice)
        tell(way, [notice], [outcome], self._clock())
        return outcome

    def _batch(self, notices: Sequence[Notice]) -> Callable[[Session], list[Any]]:
        return lambda tx: receive(tx, notices, self._clock)

    def _find_connection(self, tenant_id: str, slug: str) -> Connection | None:
        with self._database.read() as tx:
            return find_active(tx, tenant_id, slug)

    def _find_stream(self, tenant_id: str, slug: str) -> Stream | None:
        with self._database.read() as tx:
            return streams.find(tx, tenant_id, slug)


def notice_of(
    event: SecurityEvent, stream: Stream, recipient: Recipient, received_at: datetime
) -> Notice:
    """What is to be done because of a believed event. One about nobody that can be told is done with at once."""
    reaction = react(event.kind, event.payload)
    subject = None
    if event.subject is not None:
        try:
            subject = read_subject(event.subject)
        except SubjectRefused as error:
            reaction = Reaction(Action.DISCARD, error.reason)
    elif reaction.acts:
        reaction = Reaction(Action.DISCARD, "subject_missing")
    return Notice(
        tenant_id=recipient.tenant_id,
        connection_id=stream.connection_id,
        source=SHARED_SIGNAL,
        via=stream.slug,
        reference=event.jti,
        replay_key=event.replay_key,
        remembered_until=event.issued_at + REMEMBERED + LEEWAY,
        reaction=reaction,
        subject=subject,
        received_at=received_at,
        occurred_at=event.occurred_at,
        stream=stream,
        audit_key=recipient.audit_key,
    )


def _party(connection: Connection) -> RelyingParty:
    settings = stored_settings(connection.settings)
    return RelyingParty(
        connection_id=connection.id,
        issuer=settings.issuer,
        client_id=settings.client_id,
        algorithms=settings.algorithms,
        subject_claim=settings.subject_claim,
    )


def _opens(stream: Stream, bearer: str | None) -> bool:
    return (
        stream.delivery == streams.PUSH
        and stream.secret_digest is not None
        and bearer is not None
        and entropy.equal(entropy.digest(bearer), stream.secret_digest)
    )
