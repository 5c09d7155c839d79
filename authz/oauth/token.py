"""The /token pipeline. It owns every phase; a grant fills in what is particular to it."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from authz.clients.client import Client
from authz.errors import UnauthorizedClient, UnsupportedGrantType
from authz.oauth import bindings
from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Grant, TokenRequest
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.grants import GATHERING, GRANTS
from authz.oauth.grants.jwt_bearer import JwtBearerGrant
from authz.oauth.issuing import response
from authz.oauth.lane import Job
from authz.oauth.params import Params


@dataclass(frozen=True)
class Answered:
    """A successful answer, with what logs and metrics want to know."""

    body: Mapping[str, Any]
    grant_type: str
    dpop_nonce: str | None


class TokenEndpoint:
    """One per process."""

    def __init__(self, channel: BackChannel, assertions: Assertions) -> None:
        self._channel = channel
        self._assertions = assertions

    async def handle(self, call: Call) -> Answered:
        """Answer a token request. Raises OAuthError, or UnknownTenant."""
        outcome, configuration = await self._channel.handle(call, self._prepare, takes_dpop=True)
        body = response(
            outcome.answer, configuration, algorithm=self._channel.settings.keys.algorithm
        )
        return Answered(
            body, call.params.require("grant_type"), self._channel.dpop_nonce(configuration)
        )

    def _prepare(self, caller: Caller) -> Job | Awaitable[Job]:
        grant = _grant(caller.params, caller.client)
        certificate = None if caller.certificate is None else caller.certificate.thumbprint
        request = TokenRequest(
            configuration=caller.configuration,
            client=caller.client,
            params=caller.params.only(grant.parameters),
            lifetimes=self._channel.settings.tokens,
            confirmation=bindings.confirmation_of(caller.client, caller.jkt, certificate),
        )
        gathering = GATHERING.get(grant.grant_type)
        return _job(grant, request) if gathering is None else self._gathered(gathering, request)

    async def _gathered(self, grant: JwtBearerGrant, request: TokenRequest) -> Job:
        return _job(grant, await grant.gather(request, self._assertions, self._channel.submit))


def _job(grant: Grant, request: TokenRequest) -> Job:
    return Job(
        configuration=request.configuration,
        keys=grant.prepare(request),
        decide=partial(grant.decide, request),
        client_id=request.client.id,
        grant_type=grant.grant_type,
    )


def _grant(params: Params, client: Client) -> Grant:
    grant_type = params.require("grant_type")
    grant = GRANTS.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType(
            "the grant type is not supported", reason="grant_type_unsupported"
        )
    if client.grant_types.isdisjoint(grant.allowed_with):
        raise UnauthorizedClient(
            "the client is not registered for this grant type", reason="grant_type_not_allowed"
        )
    return grant
