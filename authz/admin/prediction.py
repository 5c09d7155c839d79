"""What a token would hold, before anybody asks for it (pure): the decision that minting makes, and what stops it.

`predict` calls `policy.decide` with the ceilings that the grants call it with, so it cannot say anything else than the
token would; it differs from minting only in that nobody is asked and nothing is stored. That people allow what they
are asked for is taken for granted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from authz.admin.sign_ins import SignIn
from authz.clients.client import Client
from authz.directory.assurance import UNKNOWN_TIME
from authz.errors import InvalidScope, UnauthorizedClient
from authz.oauth import devices, issuing
from authz.oauth.asked import check_scopes
from authz.oauth.authorization import Authorization
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.subjects import refuse_without_person
from authz.policy import OF_AUTHENTICATION, SENTENCES, Ceiling, Decision, Reason, Subject, decide
from authz.policy.scopes import PROTOCOL_SCOPES
from authz.policy.snapshot import ANY_RESOURCE, Policy, Resource

_NOT_KNOWN_YET = ("iat", "exp", "jti", "grant_id")


class Way(StrEnum):
    """How a token is asked for."""

    BROWSER = "browser"
    """A person signs in and consents."""
    DEVICE = "device"
    """A person lets another device in, which never gets what is destructive."""
    ITSELF = "itself"
    """A client on its own behalf."""


@dataclass(frozen=True)
class Case:
    """Who asks, through what, for what."""

    subject: Subject
    client: Client
    resource: Resource
    requested: frozenset[str] | None
    """None: nothing in particular, so the server's defaults."""
    way: Way = Way.BROWSER
    sign_in: SignIn | None = None


@dataclass(frozen=True)
class GrantedScope:
    """A scope the token would hold."""

    scope: str
    source: str
    """The role (and group, and inclusion chain) that brings it."""
    risk: str
    tools: list[str]
    requires: str | None
    """What it takes of the sign-in, and was met."""


@dataclass(frozen=True)
class RefusedScope:
    """A scope the token would not hold."""

    scope: str
    reason: str
    sentence: str
    requires: str | None
    """What it takes of the sign-in, where that was not met."""
    roles: list[str]
    """Those that hold it, where a role is what is missing."""


@dataclass(frozen=True)
class Obstacle:
    """Why there would be no token at all, whatever policy says."""

    reason: str
    sentence: str


@dataclass(frozen=True)
class Prediction:
    """What would come of it."""

    decision: Decision
    obstacles: Sequence[Obstacle]
    granted: Sequence[GrantedScope]
    refused: Sequence[RefusedScope]
    tools: Sequence[str]
    """All that the token opens, each once."""
    claims: Mapping[str, Any]
    """Those of the access token that are known beforehand; empty where there would be none."""

    @property
    def is_token(self) -> bool:
        """Whether a token would come of it."""
        return not self.obstacles and bool(self.granted)


def predict(configuration: TenantConfiguration, case: Case, now: datetime) -> Prediction:
    """Ask policy as the grants do."""
    policy, resource = configuration.policy, case.resource
    more: tuple[Ceiling, ...] = ()
    if case.way is Way.DEVICE:
        more = (devices.ceiling(resource),)
    decision = decide(
        policy,
        case.subject,
        resource,
        client=case.client.id,
        requested=_asked(case.requested),
        ceilings=(*more, *configuration.ceilings(case.client, resource, now)),
        now=now,
    )
    obstacles = tuple(_obstacles(case))
    granted = [_granted(decision, resource, it) for it in sorted(decision.granted)]
    is_token = granted and not obstacles
    return Prediction(
        decision=decision,
        obstacles=obstacles,
        granted=granted,
        refused=[
            _refused(policy, decision, resource, scope, reason)
            for scope, reason in sorted(decision.removed.items())
        ],
        tools=sorted({tool for it in granted for tool in it.tools}),
        claims=_claims(configuration, case, decision, now) if is_token else {},
    )


def _asked(requested: frozenset[str] | None) -> frozenset[str] | None:
    """As requests are read: what belongs to the protocol is no scope of a server."""
    return None if requested is None else (requested - PROTOCOL_SCOPES) or None


def _obstacles(case: Case) -> Iterator[Obstacle]:
    """What the endpoints ask before policy is asked."""
    client = case.client
    if not client.enabled:
        yield Obstacle("client_blocked", "this client is blocked or not approved here")
    try:
        check_scopes(_asked(case.requested), case.resource)
        if case.way is Way.DEVICE:
            devices.check_client(client)
        if case.way is Way.ITSELF:
            refuse_without_person(case.resource)
    except (InvalidScope, UnauthorizedClient) as error:
        yield Obstacle(str(error.reason), error.description)
    if case.way is Way.BROWSER and not client.may_use("authorization_code"):
        yield Obstacle("grant_not_allowed", "the client is not registered for signing people in")
    if case.way is Way.ITSELF and not client.may_use("client_credentials"):
        yield Obstacle("grant_not_allowed", "the client is not registered for client_credentials")
    if case.way is Way.ITSELF and not client.is_confidential:
        yield Obstacle("client_is_public", "the client does not authenticate")


def _granted(decision: Decision, resource: Resource, scope: str) -> GrantedScope:
    declared = resource.scopes[scope]
    return GrantedScope(
        scope,
        decision.sources[scope],
        declared.risk,
        sorted(declared.tools),
        _required(decision, scope),
    )


def _refused(
    policy: Policy, decision: Decision, resource: Resource, scope: str, reason: Reason
) -> RefusedScope:
    return RefusedScope(
        scope,
        str(reason),
        SENTENCES[reason],
        _required(decision, scope) if reason in OF_AUTHENTICATION else None,
        roles_holding(policy, resource, scope) if reason is Reason.ROLE_MISSING else [],
    )


def roles_holding(policy: Policy, resource: Resource, scope: str) -> list[str]:
    """By name: what somebody would have to hold."""
    places = (resource.id, scope), (ANY_RESOURCE, scope)
    return sorted(
        role.name for role in policy.roles.values() if any(place in role.grants for place in places)
    )


def _required(decision: Decision, scope: str) -> str | None:
    required = None if decision.conditions is None else decision.conditions.required.get(scope)
    return None if required is None else str(required)


def _claims(
    configuration: TenantConfiguration, case: Case, decision: Decision, now: datetime
) -> dict[str, Any]:
    agent = configuration.agents.of_client(case.client.id)
    sign_in = case.sign_in
    made = issuing.claims(
        Authorization(
            client_id=case.client.id,
            subject=case.subject.id,
            audience=decision.resource,
            scopes=decision.granted,
            jti="",
            grant_id="",
            issued_at=now,
            expires_at=now,
            auth_time=None if sign_in is None or _is_unknown(sign_in) else sign_in.auth_time,
            acr=None if sign_in is None else sign_in.acr,
            amr=() if sign_in is None else sign_in.amr,
            connection=configuration.policy.slug_of(
                None if sign_in is None else sign_in.connection_id
            ),
            actors=() if agent is None else (agent.id,),
            may_act=configuration.may_act(case.resource),
        ),
        configuration,
    )
    return {name: value for name, value in made.items() if name not in _NOT_KNOWN_YET}


def _is_unknown(sign_in: SignIn) -> bool:
    return sign_in.auth_time == UNKNOWN_TIME
