"""Redeeming an authorization code (OAuth 2.1 §4.1.3)."""

from dataclasses import dataclass, replace
from datetime import datetime

from authz import entropy
from authz.errors import AccessDenied, InvalidGrant, InvalidRequest, OAuthError
from authz.oauth import authorization_details, bindings, openid, pkce
from authz.oauth.authorization import IdTokenRequest, Outcome, TokenRequest
from authz.oauth.facts import Changes, Code, FactKeys, Facts
from authz.oauth.grants.shared import (
    check_resource,
    new_family,
    refused,
    replayed,
    resource_of,
)
from authz.oauth.issuing import issue
from authz.policy import Ceiling, Reason, decide
from authz.policy.snapshot import Resource

REFUSED = "the authorization code is not valid for this client"
"""The one public sentence for every defect of a code; the reason tells them apart."""


@dataclass(frozen=True)
class AuthorizationCodeGrant:
    """One code, once, by the client it was made for, with the verifier of its challenge."""

    grant_type = "authorization_code"
    parameters = frozenset({"code", "redirect_uri", "code_verifier", "resource"})
    allowed_with = frozenset({"authorization_code"})

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The code by its digest. Raises InvalidRequest for missing or malformed parameters."""
        code = request.params.require("code")
        verifier = request.params.require("code_verifier")
        if not pkce.is_verifier(verifier):
            raise InvalidRequest("code_verifier is malformed", reason="verifier_malformed")
        return FactKeys(codes=frozenset({entropy.digest(code)}))

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """Guards in the order an attacker meets them; a replay by the rightful client ends its family."""
        code = facts.find_code(
            request.configuration.tenant.id, entropy.digest(request.params.require("code"))
        )
        if code is None:
            raise InvalidGrant(REFUSED, reason="code_unknown")
        if code.client_id != request.client.id:
            raise InvalidGrant(REFUSED, reason="code_of_other_client")
        if not pkce.matches(request.params.require("code_verifier"), code.code_challenge):
            raise InvalidGrant(REFUSED, reason="pkce_mismatch")
        bindings.check_code(code.dpop_jkt, request.confirmation, refused=REFUSED)
        try:
            return self._decide_own(request, code, facts, now)
        except OAuthError as error:
            return self._refused(error, code)

    def _refused(self, error: OAuthError, code: Code) -> Outcome:
        return refused(
            error,
            grant_type=self.grant_type,
            client=code.client_id,
            subject=code.user_id,
            grant=code.family_id,
        )

    def _decide_own(
        self, request: TokenRequest, code: Code, facts: Facts, now: datetime
    ) -> Outcome:
        """The code is this client's own and the verifier is right; what is wrong now is about the code."""
        redirect_uri = request.params.find("redirect_uri")
        # Absence is allowed (OAuth 2.1 dropped the parameter), a different value is not (CONF-14).
        if redirect_uri is not None and redirect_uri != code.redirect_uri:
            raise InvalidGrant(REFUSED, reason="redirect_uri_mismatch")
        if code.spent_at is not None:
            # Everything else was right, so this is the client or who stole from it: end what was issued
            # (O21-08). A replay with a wrong verifier never comes here and cannot end anything.
            return self._replayed(code, facts, now)
        if now >= code.expires_at:
            raise InvalidGrant(REFUSED, reason="code_expired")
        resource = resource_of(request.configuration.policy, code.resource_id)
        check_resource(request.params, resource)
        if not code.subject_enabled:
            raise InvalidGrant(REFUSED, reason="subject_disabled")
        if not code.consent_stands:
            raise InvalidGrant(REFUSED, reason="consent_revoked")
        decision = decide(
            request.configuration.policy,
            facts.subject(
                code.user_id, enabled=code.subject_enabled, authentication=code.authentication
            ),
            resource,
            client=request.client.id,
            requested=code.requested,
            ceilings=(
                *request.configuration.ceilings(request.client, resource, now),
                Ceiling(Reason.CONSENT_WITHHELD, code.scopes),
            ),
            now=now,
        )
        if not decision.granted:
            # Spent all the same: the answer to this code has been given.
            error = AccessDenied(
                "policy leaves no scope for this request", reason="nothing_granted"
            )
            spent = replace(code, spent_at=now)
            return replace(self._refused(error, code), changes=Changes(codes=(spent,)))
        details = authorization_details.of_json(code.authorization_details)
        family = new_family(
            request,
            user_id=code.user_id,
            resource_id=code.resource_id,
            scopes=decision.granted,
            offline_access=code.offline_access,
            signed_in=code,
            authorization_details=authorization_details.as_json(
                authorization_details.standing(details, resource, decision.granted)
            ),
            now=now,
        )
        return issue(
            request,
            family,
            decision,
            grant_type=self.grant_type,
            is_new_family=True,
            changes=Changes(codes=(replace(code, spent_at=now, family_id=family.id),)),
            id_token=_id_token(request, code, resource),
            now=now,
        )

    def _replayed(self, code: Code, facts: Facts, now: datetime) -> Outcome:
        outcome = self._refused(InvalidGrant(REFUSED, reason="code_spent"), code)
        family = facts.find_family(code.tenant_id, code.family_id) if code.family_id else None
        return replayed(outcome, family, because="code_replayed", now=now)


def _id_token(request: TokenRequest, code: Code, resource: Resource) -> IdTokenRequest | None:
    if code.openid is None:
        return None
    # Where the access token opens the userinfo endpoint, that is where to ask (Core §5.4).
    person = (
        {}
        if resource.is_builtin
        else openid.person_claims(code.openid, login=code.login, name=code.name)
    )
    return IdTokenRequest(openid.algorithm_of(request.client), code.nonce, person)
