"""The userinfo endpoint: who signed in, told to whoever holds a token for exactly that (OpenID Connect Core §5.3).

Decisions:
- Only tokens of the built-in userinfo resource count. A token for an MCP server is refused: the server that was given
  it must not be able to ask who its callers are (OIDC-03).
- Whatever the token stands on is asked for again: person, client, family (ATK-59). Nothing is recorded.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from authz.clock import Clock
from authz.errors import InsufficientScope, InvalidToken
from authz.oauth import openid
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.introspection import is_standing
from authz.oauth.lane import Job
from authz.oauth.own_bearer import REFUSED, OwnBearer, Presented
from authz.oauth.own_tokens import OwnTokens
from authz.policy.openid import USERINFO_ID, USERINFO_PATH
from authz.policy.scopes import OPENID

__all__ = ["REFUSED", "Presented", "UserInfo"]


class UserInfo:
    """One per process."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._bearer = OwnBearer(channel, tokens, clock)

    async def handle(self, presented: Presented) -> tuple[Mapping[str, Any], str | None]:
        """The claims, and the DPoP nonce to use next time. Raises OAuthError, or UnknownTenant."""

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            return self._prepare(presented, configuration)

        outcome, configuration = await self._channel.decide(presented.slug, prepared)
        return outcome.answer, self._channel.dpop_nonce(configuration)

    def _prepare(
        self, presented: Presented, configuration: TenantConfiguration
    ) -> tuple[Job, tuple[Replay, ...]]:
        resource = configuration.policy.resources[USERINFO_ID]
        uri = f"{configuration.tenant.issuer}{USERINFO_PATH}"
        claims, replays = self._bearer.read(presented, configuration, resource, uri)
        job = Job(
            configuration=configuration,
            keys=FactKeys(tokens=frozenset({claims["jti"]}), people=frozenset({claims["sub"]})),
            decide=partial(_decide, configuration, claims),
            client_id=claims["client_id"],
            is_reading=True,
        )
        return job, replays


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
