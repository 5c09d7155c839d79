"""Pushed authorization requests (RFC 9126): a client hands its request over before it sends a browser.

Decisions:
- Checked whole when it is pushed, and again by the same functions at every step of the browser: policy and clients may
  change in between, and what is stored is only the parameters.
- Never stored: how the client authenticated.
- A DPoP proof with the push binds the code to its key, as `dpop_jkt` does (RFC 9449 §10.1).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from authz import entropy
from authz.clients.authentication import PARAMETERS as CREDENTIALS
from authz.errors import InvalidRequest
from authz.oauth.authorization import Outcome
from authz.oauth.authorization_request import return_address, validate
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.facts import Changes, FactKeys, Facts, Pushed
from authz.oauth.lane import Job
from authz.oauth.pushed import REQUEST_URI

LIFETIME = timedelta(minutes=9)
"""Long enough to sign in and to read a page, and less than the ten minutes of FAPI 2.0 (FAPI-02)."""
MAX_REQUEST_CHARS = 16 * 1024
"""As much as a link may hold: a public client stores it without proving anything."""


@dataclass(frozen=True)
class Reference:
    """What the client is answered."""

    request_uri: str
    dpop_nonce: str | None

    @property
    def expires_in(self) -> int:
        """In seconds."""
        return int(LIFETIME.total_seconds())

    def __repr__(self) -> str:
        return "Reference(***)"


class PushEndpoint:
    """One per process."""

    def __init__(self, channel: BackChannel) -> None:
        self._channel = channel

    async def handle(self, call: Call) -> Reference:
        """Store a request. Raises OAuthError, or UnknownTenant."""
        outcome, configuration = await self._channel.handle(call, self._prepare, takes_dpop=True)
        return Reference(outcome.answer, self._channel.dpop_nonce(configuration))

    def _prepare(self, caller: Caller) -> Job:
        configuration, client, params = caller.configuration, caller.client, caller.params
        address = return_address(client, params, configuration.tenant.issuer)
        request = validate(client, params, address, configuration.policy, pushed=True)
        if caller.jkt is not None and request.dpop_jkt not in (None, caller.jkt):
            raise InvalidRequest(
                "dpop_jkt is not the key of the DPoP proof", reason="dpop_jkt_mismatch"
            )
        stored = {n: v for n, v in params.as_dict().items() if n not in CREDENTIALS}
        stored["client_id"] = client.id
        if caller.jkt is not None:
            stored["dpop_jkt"] = caller.jkt
        query = urlencode(stored)
        if len(query) > MAX_REQUEST_CHARS:
            raise InvalidRequest("the request is too long", reason="request_too_long")
        return Job(
            configuration=configuration,
            keys=FactKeys(),
            # Drawn before the decision, so that the decision itself is pure.
            decide=partial(_decide, caller, query, f"{REQUEST_URI}{entropy.new_token('par')}"),
            client_id=client.id,
        )


def _decide(caller: Caller, query: str, request_uri: str, facts: Facts, now: datetime) -> Outcome:  # noqa: ARG001
    made = Pushed(
        digest=entropy.digest(request_uri),
        tenant_id=caller.configuration.tenant.id,
        client_id=caller.client.id,
        query=query,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return Outcome(request_uri, Changes(new_pushed=(made,)))
