"""Revocation (RFC 7009): a client gives back what it holds.

Decisions:
- The answer is always 200: to a token that is unknown, dead or another client's as to one that has just ended, so
  that nobody learns what a string is (REV-01, REV-02).
- A refresh token ends its whole family and with it the access tokens; an access token ends alone (REV-03).
- `token_type_hint` is not read: a token says itself what it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from authz.audit.events import FamilyRevoked, TokenRevoked
from authz.clock import Clock
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.facts import Changes, FactKeys, Facts
from authz.oauth.lane import Job
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.refresh import Presented, is_genuine, parse

BY_CLIENT = "revoked_by_client"
_NOTHING = Outcome(None)


class Revocation:
    """One per process."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._tokens = tokens
        self._clock = clock

    async def handle(self, call: Call) -> None:
        """Revoke. Raises OAuthError for a caller that is not who it says, or UnknownTenant."""
        await self._channel.handle(call, self._prepare, may_fetch=False)

    def _prepare(self, caller: Caller) -> Job:
        token, configuration = caller.params.require("token"), caller.configuration
        job = partial(Job, configuration=configuration, client_id=caller.client.id)
        presented = parse(token)
        if presented is not None:
            return job(
                keys=FactKeys(families=frozenset({presented.family_id})),
                decide=partial(_decide_refresh, caller, presented),
            )
        claims = self._tokens.read(
            token, configuration.keys, tenant_id=configuration.tenant.id, now=self._clock()
        )
        if claims is None:
            return job(keys=FactKeys(), decide=lambda _facts, _now: _NOTHING, is_reading=True)
        return job(
            keys=FactKeys(tokens=frozenset({claims["jti"]})),
            decide=partial(_decide_access, caller, claims),
        )


def _decide_refresh(caller: Caller, presented: Presented, facts: Facts, now: datetime) -> Outcome:
    """Any genuine token of the family will do: a client that lost the newest one must be able to end it."""
    configuration = caller.configuration
    family = facts.find_family(configuration.tenant.id, presented.family_id)
    if (
        family is None
        or not is_genuine(configuration.refresh_key, family, presented)
        or family.client_id != caller.client.id
        or family.revoked_at is not None
    ):
        return _NOTHING
    ended = replace(family, revoked_at=now, revoked_because=BY_CLIENT)
    event = FamilyRevoked(
        subject=family.user_id, client=family.client_id, grant_id=family.id, reason=BY_CLIENT
    )
    return Outcome(None, Changes(families=(ended,)), (event,))


def _decide_access(
    caller: Caller, claims: Mapping[str, Any], facts: Facts, now: datetime
) -> Outcome:
    token = facts.find_token(caller.configuration.tenant.id, claims["jti"])
    if (
        token is None
        or token.client_id != caller.client.id
        or token.revoked_at is not None
        or now >= token.expires_at
    ):
        return _NOTHING
    event = TokenRevoked(
        subject=token.subject, client=token.client_id, jti=token.jti, reason=BY_CLIENT
    )
    return Outcome(None, Changes(revoked_tokens=(replace(token, revoked_at=now),)), (event,))
