"""Issuing ID-JAGs (draft-ietf-oauth-identity-assertion-authz-grant §4.3): who somebody is, told to another
authorization server, for a client of ours that is known there (E12).

Owns the decision, the claims and the answer. Reads no row and never asks the network.

Decisions:
- What it may lead to is policy like any other: the MCP servers behind that authorization server are resources with
  scopes that roles hold, and `decide` says which of them the person gets (IDJAG-24, IDJAG-47).
- It stands on the grant of a sign-in: once that is revoked or over, or the person disabled, there is no new one, and
  none is good for longer than the grant (IDJAG-31, E2).
- One MCP server an assertion. Without `resource` it is the only one there (IDJAG-23).
- A refresh token as subject is not spent and not renewed (CONF-08); an old one ends nothing here, it is refused.
- `sub` is what an ID token says. Nothing else about the person is in it but what that server needs (IDJAG-37).
- `tenant` is left out: every tenant of ours is an issuer of its own (IDJAG-36).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authz.audit.events import IdJagIssued
from authz.clock import numeric_date
from authz.directory.assurance import UNKNOWN_TIME
from authz.errors import (
    InsufficientUserAuthentication,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
)
from authz.keys import ID_JAG
from authz.oauth import authorization_details, bindings, openid
from authz.oauth.asked import check_scopes, read_scopes
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Facts, Family
from authz.oauth.id_jag import TYP
from authz.oauth.params import Params
from authz.oauth.refresh import Standing, is_genuine, standing
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.targets import Target
from authz.oauth.token_types import ID_JAG_TYPE
from authz.policy import Ceiling, Decision, Reason, decide
from authz.policy.reasons import OF_AUTHENTICATION
from authz.policy.scopes import OPENID_SCOPES
from authz.policy.snapshot import Resource
from authz.urls import UrlError, canonical_resource

_ALGORITHM = "ES256"


@dataclass(frozen=True)
class IssuedIdJag:
    """What one assertion says."""

    claims: Mapping[str, Any]
    issued_at: datetime
    expires_at: datetime
    tells_scope: bool
    """What was granted is not what was asked for (IDJAG-24)."""

    def __repr__(self) -> str:
        return f"IssuedIdJag(jti={self.claims['jti']!r})"


def decide_id_jag(
    grant_type: str,  # noqa: ARG001 -- of every decision of the grant
    request: TokenRequest,
    found: SubjectToken,
    family: Family,
    facts: Facts,
    now: datetime,
) -> Outcome:
    """An assertion about the person behind this grant. Raises OAuthError."""
    configuration, client = request.configuration, request.client
    _check_grant(request, found, family, now)
    target = _target(request.params, configuration)
    client_there = target.client_id_of(client)
    if client_there is None:
        raise InvalidTarget("this client is not known there", reason="target_client_unmapped")
    resource = _resource(request.params, target)
    requested = asked = read_scopes(request.params).resource
    check_scopes(requested, resource)
    details = authorization_details.parse(request.params.find("authorization_details"), resource)
    if requested is None and details:
        requested = authorization_details.scopes_of(details, resource)
    decision = decide(
        configuration.policy,
        facts.subject(
            family.user_id, enabled=family.subject_enabled, authentication=family.authentication
        ),
        resource,
        client=client.id,
        requested=requested,
        ceilings=(
            Ceiling(Reason.TARGET_CEILING, target.scope_ceiling),
            *configuration.ceilings(client, resource, now),
        ),
        now=now,
    )
    if not decision.granted:
        raise _nothing(decision)
    standing_details = authorization_details.as_json(
        authorization_details.standing(details, resource, decision.granted)
    )
    expires_at = min(now + target.lifetime, family.expires_at)
    jti = f"jag{request.fresh.jti.removeprefix('at')}"
    claims = {
        "iss": configuration.tenant.issuer,
        "sub": family.user_id,
        "aud": target.issuer,
        "client_id": client_there,
        "jti": jti,
        "iat": numeric_date(now),
        "exp": numeric_date(expires_at),
        "resource": resource.identifier,
        "scope": " ".join(sorted(decision.granted)),
        **_about_the_sign_in(family),
        **_about_the_person(request, target, family, facts),
    }
    if standing_details is not None:
        claims["authorization_details"] = standing_details
    jkt = (request.confirmation or {}).get(bindings.JKT)
    if jkt is not None:
        claims["cnf"] = {bindings.JKT: jkt}
    agent = configuration.agents.of_client(client.id)
    issued = IdJagIssued(
        subject=family.user_id,
        client=client.id,
        agent=None if agent is None else agent.id,
        jti=jti,
        audience=target.issuer,
        client_there=client_there,
        resource=resource.identifier,
        scopes=sorted(decision.granted),
        removed={scope: str(reason) for scope, reason in decision.removed.items()},
        policy_version=decision.policy_version,
        grant_id=family.id,
    )
    answer = IssuedIdJag(claims, now, expires_at, tells_scope=decision.granted != asked)
    return Outcome(answer, events=(issued,))


def id_jag_response(answer: IssuedIdJag, configuration: TenantConfiguration) -> dict[str, Any]:
    """The token response (§4.3.4; IDJAG-26, -27). Signs, so it is called after the commit."""
    claims = answer.claims
    body: dict[str, Any] = {
        "issued_token_type": ID_JAG_TYPE,
        "access_token": configuration.keys.sign(ID_JAG, _ALGORITHM, TYP, claims, answer.issued_at),
        "token_type": "N_A",
        "expires_in": int((answer.expires_at - answer.issued_at).total_seconds()),
        "resource": claims["resource"],
    }
    if answer.tells_scope:
        body["scope"] = claims["scope"]
    if "authorization_details" in claims:
        body["authorization_details"] = claims["authorization_details"]
    return body


def _check_grant(request: TokenRequest, found: SubjectToken, family: Family, now: datetime) -> None:
    """The sign-in the subject token came from still stands, and is this client's. Raises InvalidGrant."""
    configuration = request.configuration
    if found.refresh is not None:
        if not is_genuine(configuration.refresh_key, family, found.refresh):
            raise found.refusal("refresh_forged")
        window = request.lifetimes.retry_window
        if (
            not family.refreshable
            or now >= family.idle_expires_at
            or standing(family, found.refresh, retry_window=window, now=now) is Standing.REUSED
        ):
            raise found.refusal("refresh_expired")
        bindings.check_family(
            request.client,
            family.confirmation,
            request.confirmation,
            refused="the subject token is not acceptable",
        )
        if family.consent_scopes is None:
            raise found.refusal("consent_revoked")
    elif found.claims.get("sub") != family.user_id:
        raise found.refusal("subject_token_of_other_person")
    if family.client_id != request.client.id:
        raise found.refusal("subject_token_of_other_client")
    if family.revoked_at is not None:
        raise found.refusal(f"family_revoked:{family.revoked_because}")
    if now >= family.expires_at:
        raise found.refusal("grant_expired")
    if not family.subject_enabled:
        raise found.refusal("subject_disabled")
    if not configuration.policy.stands(family.authentication):
        raise found.refusal("connection_disabled")


def _target(params: Params, configuration: TenantConfiguration) -> Target:
    audience = params.find("audience")
    if audience is None:
        raise InvalidRequest("audience is missing", reason="audience_missing")
    target = configuration.targets.find(audience)
    if target is None:
        raise InvalidTarget(
            "no authorization server of this name is known here", reason="target_unknown"
        )
    return target


def _resource(params: Params, target: Target) -> Resource:
    """The MCP server there. Raises InvalidTarget (IDJAG-22, -23)."""
    asked = params.find("resource")
    if asked is None:
        if target.settings.resource_required or len(target.resources) != 1:
            raise InvalidTarget("resource is missing", reason="resource_missing")
        return next(iter(target.resources.values()))
    try:
        resource = target.resources.get(canonical_resource(asked))
    except UrlError:
        raise InvalidTarget("resource is malformed", reason="resource_malformed") from None
    if resource is None:
        raise InvalidTarget(
            "the resource does not belong to that authorization server",
            reason="target_resource_unknown",
        )
    return resource


def _about_the_sign_in(family: Family) -> dict[str, Any]:
    """IDJAG-15, from the sign-in itself."""
    made: dict[str, Any] = {}
    if family.auth_time != UNKNOWN_TIME:
        made["auth_time"] = numeric_date(family.auth_time)
    if family.acr is not None:
        made["acr"] = family.acr
    if family.amr:
        made["amr"] = list(family.amr)
    return made


def _about_the_person(
    request: TokenRequest, target: Target, family: Family, facts: Facts
) -> dict[str, Any]:
    person = facts.find_person(request.configuration.tenant.id, family.user_id)
    if not target.settings.tells_email or person is None:
        return {}
    told = openid.person_claims(OPENID_SCOPES, login=person.login, name=person.name)
    return {name: value for name, value in told.items() if name.startswith("email")}


def _nothing(decision: Decision) -> OAuthError:
    reasons = set(decision.removed.values())
    if reasons and reasons <= OF_AUTHENTICATION | {Reason.SCOPE_UNKNOWN}:
        # Only where another sign-in could succeed; else the ordinary error wins (IDJAG-39).
        return InsufficientUserAuthentication(
            "the sign-in does not do for this authorization server", reason="sign_in_insufficient"
        )
    return InvalidScope("policy leaves none of these scopes", reason="nothing_granted")
