"""Checks more than one grant makes, and the family that more than one begins."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from authz.audit.events import FamilyRevoked, TokenRefused
from authz.clients.client import Client
from authz.errors import InvalidTarget, OAuthError
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.facts import Approval, Changes, Code, Family
from authz.oauth.params import Params
from authz.policy.snapshot import Policy, Resource
from authz.urls import UrlError, canonical_resource


def refused(
    error: OAuthError,
    *,
    grant_type: str,
    client: str,
    subject: str | None,
    grant: str | None,
    assertion: Mapping[str, str] | None = None,
    credential: str | None = None,
) -> Outcome:
    """The outcome of a refusal whose person is known, so that the trail can be searched by them."""
    event = TokenRefused(
        subject=subject,
        client=client,
        grant_type=grant_type,
        error=error.code,
        reason=error.reason,
        grant_id=grant,
        assertion=assertion,
        credential=credential,
    )
    return Outcome(error, events=(event,))


def resource_of(policy: Policy, resource_id: str) -> Resource:
    """The resource an earlier authorization was for. Raises InvalidTarget once it is gone or disabled."""
    resource = policy.resources.get(resource_id)
    if resource is None or not resource.enabled:
        raise InvalidTarget("the resource is not available", reason="resource_gone")
    return resource


def check_resource(params: Params, resource: Resource) -> None:
    """A `resource` at the token endpoint may only repeat what was authorized (RFC 8707 §2.2, MCP-AS-65)."""
    asked = params.find("resource")
    if asked is None:
        return
    try:
        canonical = canonical_resource(asked)
    except UrlError:
        raise InvalidTarget("resource is malformed", reason="resource_malformed") from None
    if canonical != resource.canonical:
        raise InvalidTarget(
            "resource is not the one that was authorized", reason="resource_not_authorized"
        )


def new_family(
    request: TokenRequest,
    *,
    user_id: str,
    resource_id: str,
    scopes: frozenset[str],
    offline_access: bool,
    signed_in: Code | Approval,
    authorization_details: list[dict[str, Any]] | None = None,
    token_until: datetime | None = None,
    now: datetime,
) -> Family:
    """The token family that a person's authorization begins, bound to the key this request proved.

    It never outlives the session an identity provider gave the person (OIDC-08). With `token_until` it is one access
    token's that ends then, and is never refreshed.
    """
    lifetimes = request.lifetimes
    expires_at = token_until or now + lifetimes.refresh_absolute
    if signed_in.upstream_expires_at is not None:
        expires_at = min(expires_at, signed_in.upstream_expires_at)
    is_refreshable = token_until is None and is_refresh_granted(
        request.client, offline_access=offline_access
    )
    return Family(
        id=request.fresh.family_id,
        tenant_id=request.configuration.tenant.id,
        client_id=request.client.id,
        user_id=user_id,
        resource_id=resource_id,
        scopes=scopes,
        refreshable=is_refreshable,
        salt=request.fresh.salt,
        generation=1,
        rotated_at=now,
        auth_time=signed_in.auth_time,
        acr=signed_in.acr,
        amr=signed_in.amr,
        connection_id=signed_in.connection_id,
        session_digest=signed_in.session_digest,
        signed_in_at=signed_in.signed_in_at,
        confirmation=None if request.confirmation is None else dict(request.confirmation),
        authorization_details=authorization_details,
        created_at=now,
        idle_expires_at=token_until or min(now + lifetimes.refresh_idle, expires_at),
        expires_at=expires_at,
        revoked_at=None,
        revoked_because=None,
    )


def replayed(outcome: Outcome, family: Family | None, *, because: str, now: datetime) -> Outcome:
    """A refusal to redeem something twice, which ends what the first redemption made (O21-08)."""
    if family is None or family.revoked_at is not None:
        return outcome
    ended = replace(family, revoked_at=now, revoked_because=because)
    revoked = FamilyRevoked(
        subject=family.user_id, client=family.client_id, grant_id=family.id, reason=because
    )
    return replace(outcome, changes=Changes(families=(ended,)), events=(*outcome.events, revoked))


def is_refresh_granted(client: Client, *, offline_access: bool) -> bool:
    """Registered for the grant, or the user consented to `offline_access` (MCP-AS-80)."""
    return client.may_use("refresh_token") or offline_access
