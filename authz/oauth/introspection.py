"""Introspection (RFC 7662, RFC 9701): whether a token is good right now, for whom it concerns.

Decisions:
- An access token is active to the MCP server it is for, which asks with the client its operator named
  (`authz resources client`), and to the client it was issued to. To anybody else it is an unknown string (INT-03).
- A refresh token is active to its own client alone; codes, ID tokens and assertions never are (INT-04).
- Nothing is recorded: a server that asks about each call would drown the trail, and nothing changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from authz.clients.trust import Verdict
from authz.clock import Clock, numeric_date
from authz.errors import InvalidClient
from authz.keys import INTROSPECTION
from authz.oauth import bindings
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts, IssuedToken
from authz.oauth.lane import Job
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.refresh import Presented, Standing, is_genuine, parse, standing
from authz.oauth.workload_trust import is_workload

JWT_TYP = "token-introspection+jwt"
SIGNING_ALGORITHM = "ES256"
INACTIVE: Mapping[str, Any] = {"active": False}
_CLAIMS = (
    "iss",
    "sub",
    "aud",
    "client_id",
    "scope",
    "iat",
    "exp",
    "jti",
    "grant_id",
    "tenant",
    "policy_version",
    "status",
    "auth_time",
    "acr",
    "amr",
    "connection",
    "act",
    "may_act",
    "cnf",
    "authorization_details",
    "mcp_tools",
)


@dataclass(frozen=True)
class Introspected:
    """The answer, and what a signed one needs to know."""

    body: Mapping[str, Any]
    caller: str
    configuration: TenantConfiguration


class Introspection:
    """One per process."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._tokens = tokens
        self._clock = clock

    async def handle(self, call: Call) -> Introspected:
        """Answer an authenticated caller. Raises OAuthError, or UnknownTenant."""
        outcome, configuration = await self._channel.handle(call, self._prepare)
        body, caller = outcome.answer
        return Introspected(body, caller, configuration)

    async def sign(self, answer: Introspected) -> str:
        """The answer as a JWT (RFC 9701 §5): never mistaken for an access token, whatever reads it (INT-06).

        Raises SignerUnavailable.
        """
        now = self._clock()
        claims = {
            "iss": answer.configuration.tenant.issuer,
            "aud": answer.caller,
            "iat": numeric_date(now),
            "token_introspection": dict(answer.body),
        }
        keys = answer.configuration.keys
        return await keys.aside(
            (INTROSPECTION,),
            now,
            partial(keys.sign, INTROSPECTION, SIGNING_ALGORITHM, JWT_TYP, claims, now),
        )

    def _prepare(self, caller: Caller) -> Job:
        if not caller.client.is_confidential:
            # A name is no authentication (INT-01), and everybody knows the names of public clients.
            raise InvalidClient("client authentication failed", reason="client_is_public")
        token = caller.params.require("token")
        job = partial(
            Job,
            configuration=caller.configuration,
            client_id=caller.client.id,
            is_reading=True,
        )
        presented = parse(token)
        if presented is not None:
            return job(
                keys=FactKeys(families=frozenset({presented.family_id})),
                decide=partial(self._decide_refresh, caller, presented),
            )
        configuration = caller.configuration
        claims = self._tokens.read(
            token, configuration.keys, tenant_id=configuration.tenant.id, now=self._clock()
        )
        if claims is None:
            return job(keys=FactKeys(), decide=partial(_inactive, caller))
        return job(
            keys=FactKeys(tokens=frozenset({claims["jti"]})),
            decide=partial(_decide_access, caller, claims),
        )

    def _decide_refresh(
        self, caller: Caller, presented: Presented, facts: Facts, now: datetime
    ) -> Outcome:
        configuration = caller.configuration
        family = facts.find_family(configuration.tenant.id, presented.family_id)
        if (
            family is None
            or not is_genuine(configuration.refresh_key, family, presented)
            or family.client_id != caller.client.id
            or family.revoked_at is not None
            or not family.refreshable
            or now >= min(family.expires_at, family.idle_expires_at)
            or not family.subject_enabled
            or family.consent_scopes is None
        ):
            return _inactive(caller)
        window = self._channel.settings.tokens.retry_window
        if standing(family, presented, retry_window=window, now=now) is not Standing.CURRENT:
            return _inactive(caller)
        body: dict[str, Any] = {
            "active": True,
            "iss": configuration.tenant.issuer,
            "sub": family.user_id,
            "client_id": family.client_id,
            "scope": " ".join(sorted(family.scopes)),
            "exp": numeric_date(min(family.expires_at, family.idle_expires_at)),
            "grant_id": family.id,
        }
        if family.confirmation is not None:
            body["cnf"] = family.confirmation
        if family.authorization_details is not None:
            body["authorization_details"] = family.authorization_details
        return Outcome((body, caller.client.id))


def is_standing(token: IssuedToken, configuration: TenantConfiguration, now: datetime) -> bool:
    """Whether everything an access token stands on still does (ATK-59): asked by everyone who is asked about one."""
    if token.revoked_at is not None or now >= token.expires_at:
        return False
    policy = configuration.policy
    resource = policy.resources.get(token.resource_id)
    if resource is None or not resource.enabled:
        return False
    agent = configuration.agents.of_client(token.client_id)
    if agent is not None and not agent.is_live(now):
        return False
    if is_workload(token.subject):
        # It stands on its rule, and on nothing else that has a row.
        rule = configuration.workloads.by_id.get(token.subject)
        return rule is not None and resource.identifier in rule.resources
    if token.connection_id is not None and not policy.is_enabled(token.connection_id):
        return False
    if token.client_status not in ("active", "known"):
        return False
    if (
        token.client_kind == "cimd"
        and configuration.trust.judge(token.client_id) is not Verdict.ADMITTED
    ):
        return False
    if token.subject == token.client_id:
        return True
    return token.family_id is not None and token.family_revoked_at is None and token.subject_enabled


def _decide_access(
    caller: Caller, claims: Mapping[str, Any], facts: Facts, now: datetime
) -> Outcome:
    configuration = caller.configuration
    token = facts.find_token(configuration.tenant.id, claims["jti"])
    if token is None or not is_standing(token, configuration, now):
        return _inactive(caller)
    resource = configuration.policy.resources[token.resource_id]
    if caller.client.id not in (token.client_id, resource.client_id):
        return _inactive(caller)
    body = {name: claims[name] for name in _CLAIMS if name in claims}
    kind = bindings.token_type(claims.get("cnf"))
    return Outcome(({"active": True, "token_type": kind, **body}, caller.client.id))


def _inactive(caller: Caller, *_: object) -> Outcome:
    return Outcome((INACTIVE, caller.client.id))
