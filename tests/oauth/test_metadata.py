"""The discovery document, member by member (META-02, MCP-AS-20 to -26)."""

import json

import pytest

from authz.clients.authentication import SIGNING_ALGORITHMS
from authz.directory.assurance import MFA, PASSWORD
from authz.oauth import dpop, metadata, openid
from authz.oauth.grants import GRANTS
from authz.policy.requirements import Requirement
from authz.policy.snapshot import Connection, Policy, Scope, build
from authz.settings import Settings, load
from tests.support.configured import ISSUER, RESOURCE, configuration, policy

TENANT = configuration().tenant
METHODS = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]


def settings(**server) -> Settings:
    sections = {"server": {"issuer": "https://as.example", **server}}
    sections["database"] = {"url": "sqlite:///x.db"}
    sections["keys"] = {"encryption_key": "env:KEY"}
    return load(None, environment={}, overrides=sections)


def told(*, tenant=TENANT, over: Policy | None = None, configured=None):
    return metadata.metadata(tenant, over or policy(), configured or settings())


def test_everything_this_issuer_offers_and_nothing_else():
    """META-02: derived from the registries where there is one."""
    algorithms = list(SIGNING_ALGORITHMS)
    assert told() == {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "device_authorization_endpoint": f"{ISSUER}/device_authorization",
        "jwks_uri": f"{ISSUER}/jwks",
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "introspection_endpoint": f"{ISSUER}/introspect",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "revocation_feed_endpoint": f"{ISSUER}/revocation_feed",
        "pushed_authorization_request_endpoint": f"{ISSUER}/par",
        "require_pushed_authorization_requests": False,
        "scopes_supported": ["offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
        "identity_chaining_requested_token_types_supported": [
            "urn:ietf:params:oauth:token-type:id-jag"
        ],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": METHODS[1:],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_signing_alg_values_supported": ["ES256"],
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(openid.ALGORITHMS),
        "claims_supported": list(openid.CLAIMS),
        "acr_values_supported": [PASSWORD],
        "authorization_details_types_supported": ["mcp_tool"],
    }


@pytest.mark.parametrize("registration", ["token", "open"])
def test_registration_is_named_where_there_is_one(registration):
    """DCR-01."""
    tenant = type(TENANT)(**{**TENANT.__dict__, "registration": registration})
    more = told(tenant=tenant)
    assert more.pop("registration_endpoint") == f"{ISSUER}/register"
    assert more == told()


PROXIED = {"client_certificate_header": "Client-Cert", "trusted_proxies": ("127.0.0.1",)}


@pytest.mark.parametrize(
    ("server", "methods"),
    [
        (PROXIED, [*METHODS, "self_signed_tls_client_auth"]),
        (
            {**PROXIED, "client_certificate_authorities": "ca.pem"},
            [*METHODS, "tls_client_auth", "self_signed_tls_client_auth"],
        ),
    ],
    ids=["published", "issued"],
)
def test_certificates_are_named_where_a_proxy_hands_them_over(server, methods):
    """MTLS-01, MTLS-02."""
    more = told(configured=settings(**server))
    assert more.pop("tls_client_certificate_bound_access_tokens") is True
    assert more.pop("token_endpoint_auth_methods_supported") == methods
    assert more.pop("revocation_endpoint_auth_methods_supported") == methods
    assert more.pop("introspection_endpoint_auth_methods_supported") == methods[1:]
    same = told()
    assert more == {name: same[name] for name in more}


def test_what_programs_call_has_an_address_aside():
    """RFC 8705 §5: and nothing that a browser is sent to."""
    configured = settings(**PROXIED, mtls_base="https://mtls.example")
    assert told(configured=configured)["mtls_endpoint_aliases"] == {
        "token_endpoint": "https://mtls.example/t/acme/token",
        "introspection_endpoint": "https://mtls.example/t/acme/introspect",
        "revocation_endpoint": "https://mtls.example/t/acme/revoke",
        "pushed_authorization_request_endpoint": "https://mtls.example/t/acme/par",
        "revocation_feed_endpoint": "https://mtls.example/t/acme/revocation_feed",
    }


OKTA = Connection("con_1", "okta", True)


def test_ways_to_sign_in_are_named_where_there_are_several():
    """SUA-01: what policy asks for of roles and scopes, after our own names."""
    demanding = Scope("a", requires=Requirement(acr=frozenset({"urn:z", MFA})))
    server = type(RESOURCE)(**{**RESOURCE.__dict__, "scopes": {"a": demanding, "b": Scope("b")}})
    over = build(
        1,
        resources=[server],
        roles=[("r1", "one"), ("r2", "two")],
        role_scopes=[("r1", "*", "a"), ("r2", "*", "b")],
        role_parents=[],
        role_requires={"r1": Requirement(acr=frozenset({"urn:a"})), "r2": Requirement(max_age=60)},
        group_roles=[],
        connections=[OKTA],
    )
    assert told(over=over)["acr_values_supported"] == [PASSWORD, MFA, "urn:a", "urn:z"]
    closed = Policy(
        **{**over.__dict__, "connections": {"con_1": Connection("con_1", "okta", False)}}
    )
    assert told(over=closed)["acr_values_supported"] == [PASSWORD]
    assert told(over=policy(connections=[OKTA]))["acr_values_supported"] == [PASSWORD, MFA]


def test_the_served_bytes_are_the_document():
    served = metadata.document(TENANT, policy(), settings())
    assert json.loads(served) == told()
    assert b'": ' not in served
    assert b", " not in served
