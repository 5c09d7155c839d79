"""Introspection (RFC 7662, RFC 9701): good right now, for whom it concerns, and nothing to anybody else."""

import base64

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import delete

from authz.admin import clients, resources, users
from authz.db.models import IssuedToken
from tests.support.basic import basic
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import RESOURCE

INACTIVE = {"active": False}


@pytest.fixture
def rs(harness):
    """The client with which the MCP server asks."""
    made = harness.add_client(auth_method="client_secret_basic", name="Operations MCP")
    harness.change(resources.set_client, RESOURCE, made.client.id)
    return made


def ask(harness, made, token, **headers):
    return harness.post("/introspect", {"token": token}, **basic(made), **headers)


def test_the_server_a_token_is_for_learns_what_it_holds(harness, rs):
    """INT-03, INT-05, SUA-02: the token's own claims, and that it is active."""
    tokens = harness.redeem(harness.code(scopes=["logs.read"], requested=["logs.read"]))
    answer = ask(harness, rs, tokens.access_token)
    claims = harness.claims(tokens.access_token)
    assert answer.json == {**claims, "active": True, "token_type": "Bearer"}
    assert answer.response.headers["cache-control"] == "no-store"


def test_a_bound_token_says_to_which_key(harness, rs):
    """INT-05, DPOP-02."""
    key = DpopKey()
    answer = harness.token(
        {
            "grant_type": "authorization_code",
            "client_id": harness.client_id,
            "code": harness.code(),
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        DPoP=key.proof(f"{harness.issuer}/token", harness.clock()),
    )
    told = ask(harness, rs, answer.access_token).json
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": key.jkt})


def test_nobody_else_learns_anything(harness, rs):
    """INT-03: another client, and the client of another server."""
    access_token = harness.redeem(harness.code()).access_token
    stranger = harness.add_client(auth_method="client_secret_basic")
    assert ask(harness, stranger, access_token).json == INACTIVE
    harness.add_resource("https://other.example/mcp")
    other = harness.add_client(auth_method="client_secret_basic")
    harness.change(resources.set_client, "https://other.example/mcp", other.client.id)
    assert ask(harness, other, access_token).json == INACTIVE
    harness.change(resources.set_client, RESOURCE, None)
    assert ask(harness, rs, access_token).json == INACTIVE


def test_a_client_may_ask_about_what_it_holds(harness):
    """INT-04: its own access and refresh tokens."""
    made = harness.add_client(auth_method="client_secret_basic")
    code = harness.code(client_id=made.client.id)
    tokens = harness.token(
        {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        **basic(made),
    )
    assert ask(harness, made, tokens.access_token).json["active"] is True
    told = ask(harness, made, tokens.refresh_token).json
    assert (told["active"], told["client_id"]) == (True, made.client.id)
    assert set(told["scope"].split()) == {"logs.read", "analytics.query"}
    assert "token_type" not in told


def test_a_server_learns_nothing_about_refresh_tokens(harness, rs):
    """INT-04."""
    assert ask(harness, rs, harness.redeem(harness.code()).refresh_token).json == INACTIVE


def test_what_is_no_token_is_inactive(harness, rs):
    """INT-02, INT-04: garbage, codes, assertions, and the signed statement of somebody else."""
    key = ClientKey()
    for text in (
        "x",
        "a.b.c",
        "azr_x.1.y",
        harness.code(),
        key.sign("c", harness.issuer, harness.clock()),
        "é" * 50,
        "x" * 8000,
    ):
        answer = ask(harness, rs, text)
        assert (answer.status, answer.json) == (200, INACTIVE), text[:20]


def dead(harness, rs, change):
    access_token = harness.redeem(harness.code()).access_token
    assert ask(harness, rs, access_token).json["active"] is True
    change()
    answer = ask(harness, rs, access_token)
    assert (answer.status, answer.json) == (200, INACTIVE)


def test_an_expired_token(harness, rs):
    dead(harness, rs, lambda: harness.clock.advance(minutes=10))


def test_a_token_of_a_disabled_person(harness, rs):
    dead(harness, rs, lambda: harness.change(users.disable, "dev@example.com"))


def test_a_token_of_a_blocked_client(harness, rs):
    dead(harness, rs, lambda: harness.change(clients.block, harness.client_id))


def test_a_token_of_a_removed_client(harness, rs):
    dead(harness, rs, lambda: harness.change(clients.remove, harness.client_id))


def test_a_token_for_a_disabled_server(harness, rs):
    dead(harness, rs, lambda: harness.change(resources.set_status, RESOURCE, "disabled"))


def test_a_token_whose_family_was_reused(harness, rs):
    """O21-17: the access tokens of a family that ended are dead as well."""
    first = harness.redeem(harness.code())
    second = harness.refresh(first.refresh_token)
    assert ask(harness, rs, second.access_token).json["active"] is True
    harness.clock.advance(seconds=61)
    assert harness.refresh(first.refresh_token).reason == "refresh_reused"
    assert ask(harness, rs, second.access_token).json == INACTIVE


def test_a_token_without_a_record(harness, rs):
    """What the database does not know was never issued, whoever signed it."""

    def forget():
        with harness.server.database.write() as tx:
            tx.execute(delete(IssuedToken).where(IssuedToken.tenant_id == harness.tenant_id))

    dead(harness, rs, forget)


def test_a_client_document_that_is_no_longer_trusted(harness, rs):
    url = harness.serve_document()
    page = harness.browser().authorize(client_id=url)
    access_token = harness.redeem(page.code, client_id=url).access_token
    assert ask(harness, rs, access_token).json["active"] is True
    harness.set_trust("allow_list")
    assert ask(harness, rs, access_token).json == INACTIVE


def test_a_spent_refresh_token_is_inactive(harness):
    made = harness.add_client(auth_method="client_secret_basic")
    code = harness.code(client_id=made.client.id)
    fields = {"code": code, "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}
    first = harness.token({"grant_type": "authorization_code", **fields}, **basic(made))
    renew = {"grant_type": "refresh_token", "refresh_token": first.refresh_token}
    second = harness.token(renew, **basic(made))
    assert ask(harness, made, first.refresh_token).json == INACTIVE
    assert ask(harness, made, second.refresh_token).json["active"] is True
    harness.clock.advance(days=15)
    assert ask(harness, made, second.refresh_token).json == INACTIVE


class TestWhoAsks:
    """INT-01: the caller is authenticated, or told that it is not."""

    def test_nobody(self, harness):
        answer = harness.post("/introspect", {"token": "x"})
        assert (answer.status, answer.error) == (401, "invalid_client")

    def test_a_public_client(self, harness):
        answer = harness.post("/introspect", {"token": "x", "client_id": harness.client_id})
        assert (answer.status, answer.reason) == (401, "client_is_public")

    def test_a_wrong_secret(self, harness, rs):
        text = base64.b64encode(f"{rs.client.id}:wrong".encode()).decode()
        answer = harness.post("/introspect", {"token": "x"}, Authorization=f"Basic {text}")
        assert (answer.status, answer.reason) == (401, "secret_wrong")
        assert answer.response.headers["www-authenticate"].startswith("Basic")

    def test_an_assertion_once(self, harness):
        """JB-25, ATK-51: for the issuer, not for this endpoint, and once."""
        key = ClientKey()
        made = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks)

        def attempt(fields):
            return harness.post("/introspect", {"token": "x", **fields})

        good = key.fields(made.client.id, harness.issuer, harness.clock())
        assert attempt(good).json == INACTIVE
        assert attempt(good).reason == "assertion_replayed"
        for audience in (f"{harness.issuer}/introspect", f"{harness.issuer}/token"):
            wrong = key.fields(made.client.id, audience, harness.clock())
            assert attempt(wrong).reason == "jwt_aud"

    def test_no_token(self, harness, rs):
        answer = harness.post("/introspect", {}, **basic(rs))
        assert (answer.status, answer.error) == (400, "invalid_request")

    def test_by_post_alone(self, harness, rs):
        response = harness.http.get(f"{harness.issuer}/introspect?token=x", headers=basic(rs))
        assert response.status_code == 405


def test_a_signed_answer(harness, rs):
    """INT-06: typed, for the caller, and without the members that would make it pass for an access token."""
    tokens = harness.redeem(harness.code())
    accept = {"Accept": "application/token-introspection+jwt"}
    answer = ask(harness, rs, tokens.access_token, **accept)
    assert answer.response.headers["content-type"] == "application/token-introspection+jwt"
    keys = KeySet.import_key_set(harness.http.get(f"{harness.issuer}/jwks").json())
    decoded = jwt.decode(answer.response.text, keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "token-introspection+jwt"
    assert set(decoded.claims) == {"iss", "aud", "iat", "token_introspection"}
    assert decoded.claims["aud"] == rs.client.id
    assert decoded.claims["token_introspection"]["sub"] == harness.users["dev"]
    signer = decoded.header["kid"]
    assert signer != jwt.decode(tokens.access_token, keys, algorithms=["ES256"]).header["kid"]
    # CONF-13, ATK-36: and it is no token here either.
    assert ask(harness, rs, answer.response.text).json == INACTIVE


def test_asking_leaves_no_trace(harness, rs):
    """A server that asks about each call would drown the trail."""
    access_token = harness.redeem(harness.code()).access_token
    before = len(harness.events())
    for _ in range(3):
        ask(harness, rs, access_token)
    assert len(harness.events()) == before


def test_the_metadata_says_how(harness):
    """META-02, MCP-AS-85."""
    document = harness.http.get(
        f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    ).json()
    assert document["introspection_endpoint"] == f"{harness.issuer}/introspect"
    assert "none" not in document["introspection_endpoint_auth_methods_supported"]
    assert document["introspection_signing_alg_values_supported"] == ["ES256"]
    assert document["revocation_endpoint"] == f"{harness.issuer}/revoke"
    assert "none" in document["revocation_endpoint_auth_methods_supported"]
