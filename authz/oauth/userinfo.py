"""The userinfo endpoint: who signed in, told to whoever holds a token for exactly that (OpenID Connect Core §5.3).

Decisions:
- Only tokens of the built-in userinfo resource count. A token for an MCP server is refused: the server that was given
  it must not be able to ask who its callers are (OIDC-03).
- A token bound to a DPoP key needs a proof here as well, with `ath`. One bound to a certificate is refused: this
  endpoint sees no certificates.
- Whatever the token stands on is asked for again: person, client, family (ATK-59). Nothing is recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from authz.clock import Clock
from authz.errors import InsufficientScope, InvalidRequest, InvalidToken
from authz.oauth import bindings, dpop, openid
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.introspection import is_standing
from authz.oauth.lane import Job
from authz.oauth.own_tokens import OwnTokens
from authz.policy.openid import USERINFO_ID, USERINFO_PATH
from authz.policy.scopes import OPENID

REFUSED = "the access token is not valid here"
"""The one public sentence for every defect of a token."""


@dataclass(frozen=True)
class Presented:
    """A request as it arrived, without HTTP."""

    slug: str
    method: str
    authorization: tuple[str, ...]
    """Every `Authorization` header."""
    dpop: tuple[str, ...]
    """Every `DPoP` header."""

    def __repr__(self) -> str:
        return f"Presented({self.slug!r})"


class UserInfo:
    """One per process."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._tokens = tokens
        self._clock = clock

    async def handle(self, presented: Presented) -> tuple[Mapping[str, Any], str | None]:
        """The claims, and the DPoP nonce to use next time. Raises OAuthError, or UnknownTenant."""

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            return self._prepare(presented, configuration)

        outcome, configuration = await self._channel.decide(presented.slug, prepared)
        return outcome.answer, self._channel.dpop_nonce(configuration)

    def _prepare(
        self, presented: Presented, configuration: TenantConfiguration
    ) -> tuple[Job, tuple[Replay, ...]]:
        scheme, token = _token(presented.authorization)
        now = self._clock()
        claims = self._tokens.read(
            token, configuration.keys, tenant_id=configuration.tenant.id, now=now
        )
        if claims is None:
            raise InvalidToken(REFUSED, reason="token_unknown")
        resource = configuration.policy.resources[USERINFO_ID]
        if claims["aud"] != resource.identifier:
            raise InvalidToken(REFUSED, reason="token_audience")
        if bindings.token_type(claims.get("cnf")).lower() != scheme:
            raise InvalidToken(REFUSED, reason="token_scheme")
        replays = self._proved(presented, configuration, token, claims.get("cnf"), now)
        job = Job(
            configuration=configuration,
            keys=FactKeys(tokens=frozenset({claims["jti"]}), people=frozenset({claims["sub"]})),
            decide=partial(_decide, configuration, claims),
            client_id=claims["client_id"],
            is_reading=True,
        )
        return job, replays

    def _proved(
        self,
        presented: Presented,
        configuration: TenantConfiguration,
        token: str,
        confirmation: Mapping[str, str] | None,
        now: datetime,
    ) -> tuple[Replay, ...]:
        if confirmation is None:
            return ()
        if bindings.JKT not in confirmation:
            raise InvalidToken(REFUSED, reason="token_bound_to_certificate")
        if not presented.dpop:
            raise InvalidToken(REFUSED, reason="dpop_proof_missing")
        proof = dpop.read_proof(
            presented.dpop,
            method=presented.method,
            uris=(f"{configuration.tenant.issuer}{USERINFO_PATH}",),
            algorithms=dpop.ALGORITHMS,
            nonces=self._channel.nonces(configuration),
            tenant_id=configuration.tenant.id,
            now=now,
            access_token=token,
        )
        if proof.jkt != confirmation[bindings.JKT]:
            raise InvalidToken(REFUSED, reason="binding_other_key")
        return (proof.replay,)


def _decide(
    configuration: TenantConfiguration, claims: Mapping[str, Any], facts: Facts, now: datetime
) -> Outcome:
    tenant_id = configuration.tenant.id
    token = facts.find_token(tenant_id, claims["jti"])
    person = facts.find_person(tenant_id, claims["sub"])
    # The record, not the claim alone: an operator may have named an MCP server like this endpoint.
    if token is None or person is None or token.resource_id != USERINFO_ID:
        raise InvalidToken(REFUSED, reason="token_not_of_userinfo")
    if not is_standing(token, configuration, now):
        raise InvalidToken(REFUSED, reason="token_not_standing")
    scopes = frozenset(claims["scope"].split())
    if OPENID not in scopes:
        raise InsufficientScope("the access token lacks openid", reason="openid_missing")
    told = openid.person_claims(scopes, login=person.login, name=person.name)
    return Outcome({"sub": person.id, **told})


def _token(headers: tuple[str, ...]) -> tuple[str, str]:
    """Scheme in lower case and token. Raises InvalidRequest, or InvalidToken when there is none."""
    if len(headers) > 1:
        raise InvalidRequest("send one Authorization header", reason="authorization_twice")
    if not headers:
        raise InvalidToken("an access token is needed", reason="token_missing")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token:
        raise InvalidToken("an access token is needed", reason="token_missing")
    return scheme.lower(), token
