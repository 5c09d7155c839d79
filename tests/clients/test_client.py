"""What a client is, by what it registered."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from authz.clients.client import Client, ClientSecret
from authz.clients.registered import client_of_row
from authz.db.models import Client as ClientRow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLIENT = Client(
    tenant_id="ten_1",
    id="https://app.example:8443/client.json",
    kind="registered",
    enabled=True,
    name="App",
    redirect_uris=("https://app.example/cb", "http://127.0.0.1/cb"),
    grant_types=frozenset({"authorization_code"}),
    auth_methods=frozenset({"private_key_jwt"}),
)


@pytest.mark.parametrize(
    ("kind", "host"), [("cimd", "app.example:8443"), ("registered", None), ("dynamic", None)]
)
def test_a_host_is_of_a_document(kind, host):
    """CIMD-24: an identifier that an operator wrote vouches for no host."""
    assert replace(CLIENT, kind=kind).host == host


@pytest.mark.parametrize(
    ("kind", "metadata", "held_to"),
    [
        ("registered", {}, set()),
        ("registered", {"fapi": True}, {"fapi", "requires_push"}),
        ("registered", {"fapi": 1}, set()),
        ("registered", {"fapi": False}, set()),
        ("cimd", {"fapi": True}, set()),
        ("dynamic", {"fapi": True}, set()),
        ("cimd", {"require_pushed_authorization_requests": True}, {"requires_push"}),
        ("cimd", {"require_pushed_authorization_requests": "true"}, set()),
        ("cimd", {"tls_client_certificate_bound_access_tokens": True}, {"requires_certificate"}),
        ("cimd", {"tls_client_certificate_bound_access_tokens": 1}, set()),
        ("cimd", {"dpop_bound_access_tokens": True}, {"requires_dpop"}),
        ("cimd", {"dpop_bound_access_tokens": "yes"}, set()),
    ],
)
def test_a_client_is_held_to_what_it_asked_for(kind, metadata, held_to):
    """FAPI-02, DPOP-06, RFC 8705 §3.4: true and nothing like it; FAPI is the operator's to say."""
    client = replace(CLIENT, kind=kind, metadata=metadata)
    flags = ("fapi", "requires_push", "requires_certificate", "requires_dpop")
    assert {name for name in flags if getattr(client, name)} == held_to


@pytest.mark.parametrize(
    ("methods", "is_confidential"),
    [({"none"}, False), ({"none", "private_key_jwt"}, False), ({"private_key_jwt"}, True)],
)
def test_a_client_that_may_come_without_proof_is_public(methods, is_confidential):
    """C-9."""
    assert replace(CLIENT, auth_methods=frozenset(methods)).is_confidential is is_confidential


@pytest.mark.parametrize(
    ("uri", "is_accepted"),
    [
        ("https://app.example/cb", True),
        ("http://127.0.0.1:4711/cb", True),
        ("https://app.example/cb/", False),
        ("https://app.example:8443/cb", False),
    ],
)
def test_a_redirect_goes_where_it_was_registered(uri, is_accepted):
    """MCP-AS-52."""
    assert CLIENT.accepts_redirect(uri) is is_accepted


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"redirect_uris": CLIENT.redirect_uris[::-1]}, True),
        ({"jwks": {"keys": []}, "metadata": {"x": 1}, "tos_uri": "https://app.example/t"}, True),
        ({"name": "Äpp"}, False),
        ({"redirect_uris": CLIENT.redirect_uris[:1]}, False),
        ({"logo_uri": "https://app.example/l"}, False),
        ({"client_uri": "https://app.example/l"}, False),
    ],
)
def test_a_digest_is_of_what_a_person_relied_on(changes, is_same):
    """CIMD-28: keys may rotate."""
    assert (replace(CLIENT, **changes).digest == CLIENT.digest) is is_same


def test_a_digest_stays_the_same_from_release_to_release():
    """CIMD-28: it is stored; another one would ask everybody again."""
    assert CLIENT.digest == "770ec62a7f0665af5d3394b98568511b1a7018f3b10e408603519cf6d50ce26b"


# -- from a row ---------------------------------------------------------------------------------------------


def row_of(**changes):
    members = {
        "tenant_id": "ten_1",
        "id": "cli_1",
        "kind": "registered",
        "status": "active",
        "name": "App",
        "metadata_": {},
        "secrets": [],
        "scope_ceiling": None,
    }
    return ClientRow(**members | changes)


def test_a_row_that_says_little_is_a_public_client():
    """RFC 7591 §2."""
    assert client_of_row(row_of()) == Client(
        tenant_id="ten_1",
        id="cli_1",
        kind="registered",
        enabled=True,
        name="App",
        redirect_uris=(),
        grant_types=frozenset({"authorization_code"}),
        auth_methods=frozenset({"none"}),
        approved=True,
    )


def test_a_row_that_says_everything_is_read_whole():
    """MCP-AS-32: two secrets while a rotation overlaps."""
    metadata = {
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
        "token_endpoint_audience": True,
        "jwks": {"keys": []},
        "jwks_uri": "https://app.example/jwks",
        "logo_uri": "https://app.example/logo",
        "client_uri": "https://app.example/",
        "policy_uri": "https://app.example/policy",
        "tos_uri": "https://app.example/tos",
    }
    secrets = [
        {"digest": "d1", "expires_at": NOW.isoformat()},
        {"digest": "d2", "expires_at": None},
        {"digest": "d3"},
    ]
    row = row_of(metadata_=metadata, secrets=secrets, scope_ceiling=frozenset({"a"}))
    assert client_of_row(row) == Client(
        tenant_id="ten_1",
        id="cli_1",
        kind="registered",
        enabled=True,
        name="App",
        redirect_uris=("https://app.example/cb",),
        grant_types=frozenset({"client_credentials"}),
        auth_methods=frozenset({"client_secret_basic"}),
        jwks={"keys": []},
        jwks_uri="https://app.example/jwks",
        secrets=(ClientSecret("d1", NOW), ClientSecret("d2"), ClientSecret("d3")),
        scope_ceiling=frozenset({"a"}),
        approved=True,
        names_token_endpoint=True,
        logo_uri="https://app.example/logo",
        client_uri="https://app.example/",
        policy_uri="https://app.example/policy",
        tos_uri="https://app.example/tos",
        metadata=metadata,
    )


@pytest.mark.parametrize(
    ("kind", "status", "is_enabled", "is_approved"),
    [
        ("registered", "active", True, True),
        ("registered", "known", False, True),
        ("registered", "blocked", False, True),
        ("dynamic", "active", True, True),
        ("dynamic", "known", True, False),
        ("dynamic", "blocked", False, False),
    ],
)
def test_what_an_operator_said_of_it_counts(kind, status, is_enabled, is_approved):
    """CIMD-30, DCR-01: one that registered itself works, and its name is no fact until somebody approved it."""
    client = client_of_row(row_of(kind=kind, status=status))
    assert (client.enabled, client.approved) == (is_enabled, is_approved)


@pytest.mark.parametrize(
    ("kind", "said", "is_read"),
    [("registered", True, True), ("registered", 1, False), ("dynamic", True, False)],
)
def test_the_compatibility_audience_is_an_operators_word(kind, said, is_read):
    """C-7."""
    row = row_of(kind=kind, metadata_={"token_endpoint_audience": said})
    assert client_of_row(row).names_token_endpoint is is_read
