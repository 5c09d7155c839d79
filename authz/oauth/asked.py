"""What a request asks for: the resource (RFC 8707) and the scopes (RFC 6749 §3.3). Pure.

One reading for every endpoint that takes them, so that a parameter never means two things.
"""

from dataclasses import dataclass

from authz.errors import InvalidScope, InvalidTarget
from authz.oauth.params import Params
from authz.policy.openid import USERINFO_ID
from authz.policy.scopes import (
    OFFLINE_ACCESS,
    OPENID,
    OPENID_SCOPES,
    PROTOCOL_SCOPES,
    parse_scope,
)
from authz.policy.snapshot import Policy, Resource
from authz.urls import UrlError, canonical_resource


@dataclass(frozen=True)
class AskedScopes:
    """A `scope` parameter, sorted by whose the scopes are."""

    resource: frozenset[str] | None
    """Scopes of the MCP server; None when none were named (its defaults apply)."""
    protocol: frozenset[str]
    """`offline_access` and OpenID's."""

    @property
    def offline_access(self) -> bool:
        """Whether a refresh token is asked for (MCP-AS-81)."""
        return OFFLINE_ACCESS in self.protocol

    @property
    def openid(self) -> frozenset[str]:
        """What is asked about the person; nothing without `openid` (OIDC-01)."""
        return self.protocol & OPENID_SCOPES if OPENID in self.protocol else frozenset()


def read_resource(params: Params, policy: Policy) -> Resource:
    """The resource asked for, or the tenant's default one (RI-04). Raises InvalidTarget."""
    resource = read_registered(params, policy)
    refuse_disabled(resource)
    return resource


def read_registered(params: Params, policy: Policy) -> Resource:
    """The same, also where it is switched off. Raises InvalidTarget."""
    if "resource" in params.repeated:
        # One token, one MCP server (RI-03).
        raise InvalidTarget("only one resource is supported", reason="resource_repeated")
    asked = params.find("resource")
    if asked is None:
        default = policy.default_resource
        if default is None:
            raise InvalidTarget("resource is missing", reason="resource_missing")
        return default
    # Nearly everybody spells it as it is registered, and taking an address apart costs as much as the decision.
    resource = policy.find_resource(asked)
    if resource is None:
        try:
            resource = policy.find_resource(canonical_resource(asked))
        except UrlError:
            raise InvalidTarget("resource is malformed", reason="resource_malformed") from None
    if resource is None:
        raise InvalidTarget("the resource is not registered here", reason="resource_unknown")
    return resource


def refuse_disabled(resource: Resource) -> None:
    """Raises InvalidTarget."""
    if not resource.enabled:
        raise InvalidTarget("the resource is not available", reason="resource_disabled")


def userinfo_alone(params: Params, asked: AskedScopes, policy: Policy) -> Resource | None:
    """The userinfo resource, for a request that asks about the person and names nothing of an MCP server."""
    if not asked.openid or asked.resource is not None:
        return None
    named = ("resource", "authorization_details")
    if "resource" in params.repeated or any(params.find(name) is not None for name in named):
        return None
    return policy.resources.get(USERINFO_ID)


def read_scopes(params: Params) -> AskedScopes:
    """The scopes asked for. Raises InvalidScope."""
    text = params.find("scope")
    if text is None:
        return AskedScopes(None, frozenset())
    try:
        scopes = parse_scope(text)
    except ValueError:
        raise InvalidScope("scope is malformed", reason="scope_malformed") from None
    return AskedScopes((scopes - PROTOCOL_SCOPES) or None, scopes & PROTOCOL_SCOPES)


def check_scopes(requested: frozenset[str] | None, resource: Resource) -> None:
    """Raises InvalidScope when the resource declares none of them: a mistake, not a matter of roles."""
    if requested is not None and requested.isdisjoint(resource.scopes):
        raise InvalidScope("the resource has none of these scopes", reason="scope_unknown")
