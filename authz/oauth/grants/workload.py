"""A workload's token for an access token of its own (SEP-1933, RFC 7523 §2.1): no client, no person, no refresh token.

Decisions:
- The one grant that takes no client authentication, so what leads here is narrow (`is_presented`): this grant type, an
  assertion whose `typ` workloads have, and no other credential. Everything else goes the way of clients.
- `resource` is required: a token for whatever server happens to be the default is not what a program asked for.
- A scope asked for and not held is `invalid_scope`; when nothing was asked for and nothing is left, `access_denied`
  (WIF-04, CONF-03).
- Genuine tokens that no rule knows are in the log and not in the trail: half the world has a token of GitHub's, and
  could fill it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from authz.audit.events import AssertionReused, Event, TokenIssued, TokenRefused
from authz.clients.authentication import PARAMETERS
from authz.errors import (
    AccessDenied,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
)
from authz.jose import JwtError, read_unverified
from authz.oauth import authorization_details, workload
from authz.oauth.asked import check_scopes, read_registered, read_scopes, refuse_disabled
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.oauth.issuing import Grounds, mint
from authz.oauth.params import Params
from authz.oauth.subjects import refuse_without_person
from authz.oauth.workload import REFUSED, Workload
from authz.policy import decide
from authz.policy.snapshot import Policy, Resource

MAX_TOKEN_LIFETIME = timedelta(minutes=15)
"""The platform's second thoughts are not heard before the next token."""


def is_presented(params: Params, authorization: str | None) -> bool:
    """Whether a request comes from a workload: from the shape of it alone, before anything is believed (WIF-05)."""
    assertion = params.find("assertion")
    if params.find("grant_type") != JWT_BEARER or assertion is None or authorization is not None:
        return False
    if any(params.find(name) is not None for name in PARAMETERS):
        return False
    try:
        header, _ = read_unverified(assertion)
    except JwtError:
        return False
    return workload.is_typ(header)


@dataclass(frozen=True)
class WorkloadGrant:
    """One token of a workload platform for one access token at one MCP server."""

    grant_type = JWT_BEARER
    parameters = frozenset({"assertion", "scope", "resource", "authorization_details"})
    allowed_with = frozenset[str]()
    """No client is registered for it."""

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The one use of the token, where it has one."""
        return FactKeys(replays=(_replay(_found(request)),))

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """What its rule and policy leave."""
        found, policy = _found(request), request.configuration.policy
        resource = _resource(request, found, policy)
        asked = read_scopes(request.params).resource
        check_scopes(asked, resource)
        details = authorization_details.parse(
            request.params.find("authorization_details"), resource
        )
        requested = asked
        if requested is None and details:
            requested = authorization_details.scopes_of(details, resource)
        decision = decide(
            policy,
            workload.subject_of(found.id, found.rule, policy, of=found.trust.slug),
            resource,
            client=found.id,
            requested=requested,
            ceilings=request.configuration.ceilings(request.client, resource, now),
            now=now,
        )
        if not decision.granted and asked is not None:
            raise InvalidScope(
                "the workload may have none of these scopes", reason="scope_not_held"
            )
        if not decision.granted:
            raise AccessDenied("policy leaves no scope for this request", reason="nothing_granted")
        grounds = Grounds(
            grant_id=request.fresh.family_id,
            client_id=found.id,
            subject=found.id,
            resource_id=resource.id,
            expires_at=now + min(request.lifetimes.access_token, MAX_TOKEN_LIFETIME),
            authorization_details=authorization_details.as_json(
                authorization_details.standing(details, resource, decision.granted)
            ),
        )
        outcome = mint(request, grounds, decision, grant_type=self.grant_type, now=now)
        return replace(outcome, events=_told(found, outcome.events, facts))


def refusal(request: TokenRequest, error: OAuthError) -> Event:
    """How the trail tells of a workload that was refused."""
    found = _found(request)
    return TokenRefused(
        subject=found.id,
        client=found.id,
        grant_type=JWT_BEARER,
        error=error.code,
        reason=error.reason,
        workload=found.as_json(),
    )


def _found(request: TokenRequest) -> Workload:
    if request.workload is None:
        raise InvalidRequest("assertion is missing", reason="assertion_missing")
    return request.workload


def _replay(found: Workload) -> Replay:
    refused = InvalidGrant(REFUSED, reason="workload_replayed")
    is_single_use = found.trust.settings.is_single_use
    return Replay(found.replay_key, found.remembered_until, refused if is_single_use else None)


def _resource(request: TokenRequest, found: Workload, policy: Policy) -> Resource:
    """The one server the token is for. Every reason why a server takes no workload is a guard in here."""
    if request.params.find("resource") is None:
        raise InvalidTarget("resource is missing", reason="resource_missing")
    resource = read_registered(request.params, policy)
    if resource.identifier not in found.rule.resources:
        # As if it did not exist: what else is registered here is none of its business.
        raise InvalidTarget("the resource is not registered here", reason="workload_resource")
    refuse_disabled(resource)
    refuse_without_person(resource)
    return resource


def _told(found: Workload, events: tuple[Event, ...], facts: Facts) -> tuple[Event, ...]:
    told = tuple(
        replace(event, workload=found.as_json()) if isinstance(event, TokenIssued) else event
        for event in events
    )
    if found.trust.settings.is_single_use or facts.claim(_replay(found)):
        return told
    return (*told, AssertionReused(subject=found.id, client=found.id, trust=found.trust.slug))
