"""Checks more than one grant makes."""

from authz.audit.events import TokenRefused
from authz.clients.client import Client
from authz.errors import InvalidTarget, OAuthError
from authz.oauth.authorization import Outcome
from authz.oauth.params import Params
from authz.policy.snapshot import Policy, Resource
from authz.urls import UrlError, canonical_resource


def refused(
    error: OAuthError, *, grant_type: str, client: str, subject: str, grant: str | None
) -> Outcome:
    """The outcome of a refusal whose person is known, so that the trail can be searched by them."""
    event = TokenRefused(
        subject=subject,
        client=client,
        grant_type=grant_type,
        error=error.code,
        reason=error.reason,
        grant_id=grant,
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


def is_refresh_granted(client: Client, *, offline_access: bool) -> bool:
    """Registered for the grant, or the user consented to `offline_access` (MCP-AS-80)."""
    return client.may_use("refresh_token") or offline_access
