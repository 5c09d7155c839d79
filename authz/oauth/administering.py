"""The door of the admin API: a live access token for the administration of exactly this tenant, and nothing else.

What its bearer may do is not read from the token. `admin.entry` decides it anew for every request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from authz.clock import Clock
from authz.errors import InvalidToken
from authz.oauth import dpop
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.introspection import is_standing
from authz.oauth.lane import Job
from authz.oauth.own_bearer import REFUSED, OwnBearer, Presented
from authz.oauth.own_tokens import OwnTokens
from authz.policy.administration import ADMIN_ID


def metadata(configuration: TenantConfiguration) -> bytes:
    """What the admin API says of itself, so that clients find whom to ask for a token (RFC 9728)."""
    resource = configuration.policy.resources[ADMIN_ID]
    document = {
        "resource": resource.identifier,
        "authorization_servers": [configuration.tenant.issuer],
        "scopes_supported": sorted(resource.scopes),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "resource_name": resource.name,
    }
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Admitted:
    """Whoever has a token for it."""

    claims: Mapping[str, Any]
    configuration: TenantConfiguration
    dpop_nonce: str | None
    """To use next time."""


class Administration:
    """One per process."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._bearer = OwnBearer(channel, tokens, clock)

    async def admit(self, presented: Presented, path: str) -> Admitted:
        """Let in whoever presents a token that stands. `path` is the request's, as it came.

        Raises OAuthError, or UnknownTenant.
        """

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            resource = configuration.policy.resources[ADMIN_ID]
            uri = f"{configuration.tenant.origin}{path}"
            claims, replays = self._bearer.read(presented, configuration, resource, uri)
            job = Job(
                configuration=configuration,
                keys=FactKeys(tokens=frozenset({claims["jti"]})),
                decide=partial(_decide, configuration, claims),
                client_id=claims["client_id"],
                is_reading=True,
            )
            return job, replays

        outcome, configuration = await self._channel.decide(presented.slug, prepared)
        return Admitted(outcome.answer, configuration, self._channel.dpop_nonce(configuration))


def _decide(
    configuration: TenantConfiguration, claims: Mapping[str, Any], facts: Facts, now: datetime
) -> Outcome:
    token = facts.find_token(configuration.tenant.id, claims["jti"])
    # The record, not the claim alone: an operator may have named an MCP server like this endpoint.
    if token is None or token.resource_id != ADMIN_ID:
        raise InvalidToken(REFUSED, reason="token_not_of_administration")
    if not is_standing(token, configuration, now):
        raise InvalidToken(REFUSED, reason="token_not_standing")
    return Outcome(claims)
