"""Discovery documents, derived from the registries, so they cannot promise what the code does not do (META-02).

RFC 8414 and OpenID Connect Discovery get the same members: clients try both, and some refuse an OpenID document that
lacks `jwks_uri`, `subject_types_supported` or `id_token_signing_alg_values_supported` (MCP-AS-25).
"""

import json
from typing import Any

from authz.clients.authentication import SIGNING_ALGORITHMS, offered_methods
from authz.directory.assurance import ACR_VALUES, PASSWORD
from authz.oauth import authorization_details, dpop, introspection, openid, revocation_feed
from authz.oauth.grants import GRANTS
from authz.oauth.id_jag import GRANT_PROFILE
from authz.oauth.pkce import METHOD
from authz.oauth.token_types import ID_JAG_TYPE
from authz.policy.openid import USERINFO_PATH
from authz.policy.scopes import OFFLINE_ACCESS
from authz.policy.snapshot import Policy
from authz.settings import Settings
from authz.tenants import Tenant, issuer_of

WELL_KNOWN = ("oauth-authorization-server", "openid-configuration")
JWKS_MAX_AGE_SECONDS = 300
METADATA_MAX_AGE_SECONDS = 300
_CALLED_BY_CLIENTS = (
    "token_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "revocation_feed_endpoint",
    "pushed_authorization_request_endpoint",
)


def metadata(tenant: Tenant, policy: Policy, settings: Settings) -> dict[str, Any]:
    """Everything this issuer offers, nothing it does not. Never lists trusted issuers or resources."""
    issuer, server = tenant.issuer, settings.server
    has_certificates = server.client_certificate_header is not None
    methods = offered_methods(
        certificates=has_certificates,
        authorities=server.client_certificate_authorities is not None,
    )
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "jwks_uri": f"{issuer}/jwks",
        "userinfo_endpoint": f"{issuer}{USERINFO_PATH}",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "revocation_feed_endpoint": f"{issuer}{revocation_feed.PATH}",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "require_pushed_authorization_requests": settings.clients.require_pushed_requests,
        # Scopes of MCP servers are in their own metadata, and `openid` is known to who wants it: some clients ask
        # for everything they find here.
        "scopes_supported": [OFFLINE_ACCESS],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        # That it is offered, never to whom: trust entries are not told (IDJAG-77).
        "authorization_grant_profiles_supported": [GRANT_PROFILE],
        # IDJAG-44: said of every tenant, like the grant; where they lead is told to nobody.
        "identity_chaining_requested_token_types_supported": [ID_JAG_TYPE],
        "code_challenge_methods_supported": [METHOD],
        "token_endpoint_auth_methods_supported": list(methods),
        "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [m for m in methods if m != "none"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "introspection_signing_alg_values_supported": [introspection.SIGNING_ALGORITHM],
        "revocation_endpoint_auth_methods_supported": list(methods),
        "revocation_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(openid.ALGORITHMS),
        "claims_supported": list(openid.CLAIMS),
        "acr_values_supported": _acr_values(policy),
        "authorization_details_types_supported": list(authorization_details.TYPES),
    }
    if tenant.registration != "off":
        document["registration_endpoint"] = f"{issuer}/register"
    if has_certificates:
        document["tls_client_certificate_bound_access_tokens"] = True
    if server.mtls_base is not None:
        aside = issuer_of(server.mtls_base, tenant.slug)
        # Those that a program calls; a browser would only ask its person for a certificate (RFC 8705 §5).
        document["mtls_endpoint_aliases"] = {
            name: f"{aside}{str(document[name]).removeprefix(issuer)}"
            for name in _CALLED_BY_CLIENTS
        }
    return document


def _acr_values(policy: Policy) -> list[str]:
    """What may be asked for with hope: identity providers have names of their own, and policy tells which count."""
    if not policy.open_connections:
        return [PASSWORD]
    requirements = [
        scope.requires
        for resource in policy.resources.values()
        for scope in resource.scopes.values()
    ]
    for role in policy.roles.values():
        requirements += [way.requires for ways in role.grants.values() for way in ways]
    named = {acr for it in requirements if it is not None for acr in it.acr or ()}
    return [*ACR_VALUES, *sorted(named.difference(ACR_VALUES))]


def document(tenant: Tenant, policy: Policy, settings: Settings) -> bytes:
    """The served bytes."""
    return json.dumps(metadata(tenant, policy, settings), separators=(",", ":")).encode()
