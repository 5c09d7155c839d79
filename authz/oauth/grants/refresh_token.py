"""Refreshing (OAuth 2.1 §4.3): rotation, retry, reuse, and everything that must still stand."""

from dataclasses import dataclass, replace
from datetime import datetime

from authz.audit.events import FamilyRevoked
from authz.errors import AccessDenied, InvalidGrant, InvalidScope, OAuthError
from authz.oauth import authorization_details, bindings
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.devices import DEVICE_GRANT
from authz.oauth.facts import Changes, FactKeys, Facts, Family
from authz.oauth.grants.shared import check_resource, refused, resource_of
from authz.oauth.issuing import issue
from authz.oauth.refresh import Presented, Standing, is_genuine, parse, standing
from authz.policy import Ceiling, Reason, decide
from authz.policy.scopes import PROTOCOL_SCOPES, parse_scope
from authz.policy.snapshot import Resource

REFUSED = "the refresh token is not valid for this client"
"""The one public sentence for every defect of a refresh token."""


@dataclass(frozen=True)
class RefreshTokenGrant:
    """Spend a refresh token for its successor and a new access token."""

    grant_type = "refresh_token"
    parameters = frozenset({"refresh_token", "scope", "resource", "authorization_details"})
    # A client without the grant may still hold a token: the user consented to offline_access (MCP-AS-80).
    allowed_with = frozenset({"refresh_token", "authorization_code", DEVICE_GRANT})

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The family the token names. Raises InvalidGrant when the text cannot be a refresh token."""
        presented = parse(request.params.require("refresh_token"))
        if presented is None:
            raise InvalidGrant(REFUSED, reason="refresh_malformed")
        return FactKeys(families=frozenset({presented.family_id}))

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """A genuine old token ends its family; anything less than genuine touches nothing."""
        presented = parse(request.params.require("refresh_token"))
        configuration = request.configuration
        family = (
            facts.find_family(configuration.tenant.id, presented.family_id) if presented else None
        )
        if presented is None or family is None:
            raise InvalidGrant(REFUSED, reason="refresh_unknown")
        if not is_genuine(configuration.refresh_key, family, presented):
            raise InvalidGrant(REFUSED, reason="refresh_forged")
        if family.client_id != request.client.id:
            raise InvalidGrant(REFUSED, reason="refresh_of_other_client")
        try:
            return self._decide_genuine(request, presented, family, facts, now)
        except OAuthError as error:
            return refused(
                error,
                grant_type=self.grant_type,
                client=family.client_id,
                subject=family.user_id,
                grant=family.id,
            )

    def _decide_genuine(
        self,
        request: TokenRequest,
        presented: Presented,
        family: Family,
        facts: Facts,
        now: datetime,
    ) -> Outcome:
        """The token is this client's own; whatever is wrong now is about its family."""
        configuration = request.configuration
        if family.revoked_at is not None:
            raise InvalidGrant(REFUSED, reason=f"family_revoked:{family.revoked_because}")
        if not family.refreshable:
            raise InvalidGrant(REFUSED, reason="refresh_not_granted")
        if now >= min(family.expires_at, family.idle_expires_at):
            raise InvalidGrant(REFUSED, reason="refresh_expired")
        bindings.check_family(
            request.client, family.confirmation, request.confirmation, refused=REFUSED
        )
        place = standing(family, presented, retry_window=request.lifetimes.retry_window, now=now)
        if place is Standing.REUSED:
            return _reused(family, now)
        if not family.subject_enabled:
            raise InvalidGrant(REFUSED, reason="subject_disabled")
        if family.consent_scopes is None:
            raise InvalidGrant(REFUSED, reason="consent_revoked")
        resource = resource_of(configuration.policy, family.resource_id)
        check_resource(request.params, resource)
        requested = _requested(request, family)
        details = _details(request, family, resource, requested)
        decision = decide(
            configuration.policy,
            facts.subject(
                family.user_id,
                enabled=family.subject_enabled,
                authentication=family.authentication,
            ),
            resource,
            client=request.client.id,
            requested=requested,
            ceilings=(
                *configuration.ceilings(request.client, resource, now),
                Ceiling(Reason.CONSENT_WITHHELD, family.consent_scopes),
                Ceiling(Reason.GRANT_CEILING, family.scopes),
            ),
            now=now,
        )
        if not decision.granted:
            # Not spent: when the role comes back, so does the client, without a new sign-in.
            raise AccessDenied("policy leaves no scope for this request", reason="nothing_granted")
        retry = place is Standing.RETRY
        return issue(
            request,
            family if retry else _used(request, family, now),
            decision,
            grant_type=self.grant_type,
            is_new_family=False,
            details=authorization_details.standing(details, resource, decision.granted),
            retry=retry,
            now=now,
        )


def _requested(request: TokenRequest, family: Family) -> frozenset[str]:
    """What the client asks for now: less than the grant is fine, more is refused (O21-16)."""
    text = request.params.find("scope")
    if text is None:
        return family.scopes
    try:
        asked = parse_scope(text) - (PROTOCOL_SCOPES - family.scopes)
    except ValueError:
        raise InvalidScope("scope is malformed", reason="scope_malformed") from None
    if not asked <= family.scopes:
        raise InvalidScope("scope is more than was granted", reason="scope_widened")
    return asked or family.scopes


def _details(
    request: TokenRequest, family: Family, resource: Resource, requested: frozenset[str]
) -> tuple[ToolLimit, ...]:
    held = authorization_details.of_json(family.authorization_details)
    text = request.params.find("authorization_details")
    if text is None:
        return held
    asked = authorization_details.parse(text, resource)
    return authorization_details.narrowed(asked, held, resource, requested)


def _used(request: TokenRequest, family: Family, now: datetime) -> Family:
    """Rotated, and good for another while of idleness.

    Under FAPI a token stays the family's current one: it is useless to a thief without the client's key, and rotating
    it could only lose it (FAPI 2.0 §5.3.2.1, CONF-09). One of before the client was put under FAPI is still an old one.
    """
    is_static = request.client.fapi
    return replace(
        family,
        generation=family.generation if is_static else family.generation + 1,
        rotated_at=family.rotated_at if is_static else now,
        idle_expires_at=min(now + request.lifetimes.refresh_idle, family.expires_at),
    )


def _reused(family: Family, now: datetime) -> Outcome:
    """Two parties hold this family's tokens, and nobody can tell which is which: both lose (O21-17)."""
    outcome = refused(
        InvalidGrant(REFUSED, reason="refresh_reused"),
        grant_type=RefreshTokenGrant.grant_type,
        client=family.client_id,
        subject=family.user_id,
        grant=family.id,
    )
    revoked = FamilyRevoked(
        subject=family.user_id,
        client=family.client_id,
        grant_id=family.id,
        reason="refresh_reused",
    )
    ended = replace(family, revoked_at=now, revoked_because="refresh_reused")
    return replace(outcome, changes=Changes(families=(ended,)), events=(*outcome.events, revoked))
