"""Redeeming an ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant §4.4, RFC 7523 §2.1, EMA §5).

Exactly once, in the transaction that mints. No consent and no refresh token: the identity provider has decided, and
decides again for the next one.

Decisions:
- What is refused is not spent, whoever refuses it: a `jti` is recorded after all checks and before issuing (IDJAG-66).
  Nothing came of it, so there is nothing to replay; a client that forgot its proof of a key, or asked for a scope too
  many, asks again with the same assertion, and nobody who has only a copy can spoil it.
- Whether its subject has an account is asked in the turn that decides. Only where it has none is one made, and the
  request decided once more: most assertions are about people who have been here before.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from authz.audit.events import AssertionReused, TokenIssued
from authz.directory.assurance import UNKNOWN_TIME, Authentication, acr_of
from authz.directory.users import may_act
from authz.errors import (
    AccessDenied,
    InsufficientUserAuthentication,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    SubjectUnlinked,
)
from authz.oauth import authorization_details, id_jag
from authz.oauth.asked import read_scopes
from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.bindings import JKT
from authz.oauth.facts import Approval, FactKeys, Facts, Replay
from authz.oauth.grants.shared import new_family, refused
from authz.oauth.id_jag import REFUSED, IdJag
from authz.oauth.issuing import issue
from authz.policy import Ceiling, Decision, Reason, decide
from authz.policy.reasons import OF_AUTHENTICATION
from authz.policy.snapshot import Policy, Resource
from authz.urls import UrlError, canonical_resource

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_TOKEN_LIFETIME = timedelta(minutes=15)
"""The identity provider's second thoughts are not heard before the next assertion (IDJAG-65)."""


@dataclass(frozen=True)
class JwtBearerGrant:
    """One assertion of a trusted issuer about a person, for one access token at one MCP server."""

    grant_type = JWT_BEARER
    parameters = frozenset({"assertion", "scope", "resource", "authorization_details"})
    allowed_with = frozenset({JWT_BEARER})

    async def gather(self, request: TokenRequest, assertions: Assertions) -> TokenRequest:
        """Verify the assertion. Raises OAuthError."""
        text = request.params.require("assertion")
        found = await assertions.redeemable(request.configuration, request.client, text)
        return replace(request, assertion=found)

    def cure(
        self, request: TokenRequest, assertions: Assertions
    ) -> Callable[[], Awaitable[None]] | None:
        """An account for the subject, where the connection makes or takes over one."""
        return partial(assertions.link, request.configuration, _assertion(request))

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The subject's account, and the assertion's one use."""
        found = _assertion(request)
        is_single_use = (
            found.trust.settings.assertion_reuse == "deny" or not request.client.is_confidential
        )
        refusal = InvalidGrant(REFUSED, reason="id_jag_replayed") if is_single_use else None
        replay = Replay(found.replay_key, found.remembered_until, refusal, spent_by_refusal=False)
        return FactKeys(
            identities=frozenset({(found.trust.connection_id, found.subject)}), replays=(replay,)
        )

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """Whose it is, for which server, and what of it policy leaves."""
        found = _assertion(request)
        identity = facts.find_identity(
            request.configuration.tenant.id, found.trust.connection_id, found.subject
        )
        if identity is None:
            raise SubjectUnlinked(REFUSED, reason="subject_unlinked")
        try:
            # Also one that was made before access was cut off, and presented after.
            if not may_act(identity.user_status, identity.cut_at, found.issued_at):
                raise InvalidGrant(REFUSED, reason="subject_disabled")
            outcome = _granted(self.grant_type, request, found, identity.user_id, facts, now)
        except OAuthError as error:
            return refused(
                error,
                grant_type=self.grant_type,
                client=request.client.id,
                subject=identity.user_id,
                grant=None,
                assertion=found.as_json(),
            )
        events = tuple(
            replace(event, assertion=found.as_json()) if isinstance(event, TokenIssued) else event
            for event in outcome.events
        )
        if found.trust.settings.assertion_reuse != "deny" and not _is_first(found, facts):
            reused = AssertionReused(
                subject=identity.user_id, client=request.client.id, trust=found.trust.slug
            )
            events = (*events, reused)
        return replace(outcome, events=events)


def _assertion(request: TokenRequest) -> IdJag:
    if request.assertion is None:
        raise InvalidRequest("assertion is missing", reason="assertion_missing")
    return request.assertion


def _is_first(found: IdJag, facts: Facts) -> bool:
    return facts.claim(Replay(found.replay_key, found.remembered_until, None))


def _granted(
    grant_type: str,
    request: TokenRequest,
    found: IdJag,
    user_id: str,
    facts: Facts,
    now: datetime,
) -> Outcome:
    _check_binding(request, found)
    policy, trust = request.configuration.policy, found.trust
    resource = _resource(request, found, policy)
    requested = _requested(request, found)
    details = _details(request, found, resource, requested)
    if requested is None and details:
        requested = authorization_details.scopes_of(details, resource)
    acr = acr_of(found.acr, found.amr)
    signed_in = Approval(
        user_id=user_id,
        scopes=frozenset(),
        auth_time=found.auth_time or UNKNOWN_TIME,
        acr=acr,
        amr=found.amr,
        connection_id=trust.connection_id,
        session_digest=None,
        # What is cut off later is what was asserted before, also by a clock that is ahead of ours.
        signed_in_at=min(found.issued_at, now),
        upstream_expires_at=None,
    )
    subject = facts.subject(
        user_id,
        enabled=True,
        authentication=Authentication(signed_in.auth_time, acr, trust.connection_id),
    )
    mapped = policy.mapped_groups(trust.connection_id, found.claims)
    if not mapped <= subject.groups:
        subject = replace(subject, groups=subject.groups | mapped)
    decision = decide(
        policy,
        subject,
        resource,
        client=request.client.id,
        requested=requested,
        ceilings=(
            *request.configuration.ceilings(request.client, resource, now),
            Ceiling(Reason.ASSERTION_CEILING, found.scopes),
            Ceiling(Reason.TRUST_CEILING, trust.scope_ceiling),
        ),
        now=now,
    )
    if not decision.granted:
        raise _nothing(decision)
    until = now + min(request.lifetimes.access_token, MAX_TOKEN_LIFETIME)
    family = new_family(
        request,
        user_id=user_id,
        resource_id=resource.id,
        scopes=decision.granted,
        offline_access=False,
        signed_in=signed_in,
        authorization_details=authorization_details.as_json(
            authorization_details.standing(details, resource, decision.granted)
        ),
        token_until=until,
        now=now,
    )
    return issue(
        request,
        family,
        decision,
        grant_type=grant_type,
        is_new_family=True,
        tells_resource=True,
        now=now,
    )


def _check_binding(request: TokenRequest, found: IdJag) -> None:
    """A grant bound to a key is good with a proof of that key alone (IDJAG-72)."""
    if found.jkt is None:
        return
    proved = (request.confirmation or {}).get(JKT)
    if proved is None:
        raise InvalidGrant(REFUSED, reason="binding_proof_missing")
    if proved != found.jkt:
        raise InvalidGrant(REFUSED, reason="binding_other_key")


def _resource(request: TokenRequest, found: IdJag, policy: Policy) -> Resource:
    asked = request.params.find("resource")
    try:
        canonical = None if asked is None else canonical_resource(asked)
        entry = found.trust.resources
    except UrlError:
        raise InvalidTarget("resource is malformed", reason="resource_malformed") from None
    for named in found.resources:
        known = policy.find_resource(named)
        # One stranger fails the whole: the issuer thinks we stand for servers that are not ours (IDJAG-57).
        if known is None or not known.enabled:
            raise InvalidTarget("the resource is not registered here", reason="resource_unknown")
    chosen = policy.find_resource(id_jag.chosen_resource(found, canonical, entry=entry))
    if chosen is None or not chosen.enabled:
        raise InvalidTarget("the resource is not registered here", reason="resource_unknown")
    return chosen


def _requested(request: TokenRequest, found: IdJag) -> frozenset[str] | None:
    asked = read_scopes(request.params).resource
    if asked is None:
        return found.scopes
    if found.trust.settings.strict_subset and not (found.scopes or frozenset()) <= asked:
        raise InvalidGrant(REFUSED, reason="id_jag_scope_not_subset")
    return asked


def _details(
    request: TokenRequest, found: IdJag, resource: Resource, requested: frozenset[str] | None
) -> tuple[ToolLimit, ...]:
    text = request.params.find("authorization_details")
    asked = authorization_details.parse(text, resource)
    if found.authorization_details is None:
        return asked
    held = authorization_details.parse(json.dumps(found.authorization_details), resource)
    if text is None:
        return held
    return authorization_details.narrowed(
        asked, held, resource, requested or frozenset(resource.scopes)
    )


def _nothing(decision: Decision) -> OAuthError:
    reasons = set(decision.removed.values())
    if not reasons or reasons <= {Reason.SCOPE_UNKNOWN, Reason.ASSERTION_CEILING}:
        return InvalidScope("the assertion holds none of these scopes", reason="scope_not_asserted")
    if reasons <= OF_AUTHENTICATION | {Reason.SCOPE_UNKNOWN, Reason.ASSERTION_CEILING}:
        return InsufficientUserAuthentication(
            "the sign-in behind the assertion does not do for this", reason="sign_in_insufficient"
        )
    return AccessDenied("policy leaves no scope for this request", reason="nothing_granted")
