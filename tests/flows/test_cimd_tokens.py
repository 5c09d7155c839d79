"""Clients with a metadata document at the token endpoint."""

import pytest

from authz.db.models import Client
from tests.support.client_keys import ClientKey
from tests.support.web import Reply

BOTH = ["none", "private_key_jwt"]


def signer(harness, key, host=None, **members):
    """A document with a key in it."""
    return harness.serve_document(
        host, **{"token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks, **members}
    )


def test_a_whole_flow_of_a_public_client(harness):
    """MCP-05, MCP-AS-31, MCP-AS-35, MCP-AS-42, CIMD-08, CIMD-21."""
    client_id = harness.serve_document()
    answer = harness.tokens(client_id=client_id)
    assert answer.scopes == {"logs.read"}
    assert harness.claims(answer.access_token)["client_id"] == client_id
    assert harness.refresh(answer.refresh_token, client_id=client_id).ok
    assert harness.web.count(harness.host) == 1


def test_a_client_nobody_allowed_is_unknown_and_asked_nothing(harness):
    """CIMD-36, ATK-47, ATK-48, MCP-AS-46: also with an assertion that names it."""
    key = ClientKey()
    client_id = signer(harness, key)
    asked = {"grant_type": "authorization_code", "code": "azc_x", "code_verifier": "v" * 43}
    for fields in (
        {"client_id": client_id},
        key.fields(client_id, harness.issuer, harness.clock()),
        {"client_id": f"https://10.0.0.1/{harness.slug}"},
        {"client_id": "https://["},
    ):
        answer = harness.token({**asked, **fields})
        assert (answer.status, answer.error, answer.reason) == (
            401,
            "invalid_client",
            "client_unknown",
        )
    assert harness.web.count(harness.host) == 0
    assert harness.count(Client) == 1


@pytest.mark.parametrize("stated", [True, False])
def test_a_document_with_keys_has_to_use_them(harness, stated):
    """CIMD-11, MCP-AS-44, ATK-51, ATK-52: stated, or implied by the keys alone."""
    key, stranger = ClientKey(), ClientKey()
    client_id = signer(harness, key, **({} if stated else {"token_endpoint_auth_method": None}))
    code = harness.browser().authorize(client_id=client_id).code

    def use(by=key, audience=harness.issuer, **claims):
        fields = by.fields(client_id, audience, harness.clock(), **claims)
        return harness.redeem(code, client_id=None, **fields)

    assert harness.redeem(code, client_id=client_id).reason == "client_unauthenticated"
    assert use(stranger).reason == "jwt_signature"
    assert use(audience=f"{harness.issuer}/token").reason == "jwt_aud"
    assert use(audience=[harness.issuer, "https://x.example"]).reason == "jwt_aud"
    assert use(exp=int(harness.clock().timestamp()) - 61).reason == "jwt_expired"
    assert use(jti="once").ok
    assert use(jti="once").reason == "assertion_replayed"


@pytest.mark.parametrize(
    ("host", "by_endpoint"),
    [("chatgpt.com", True), ("chatgpt.com.evil.example", False), ("notchatgpt.com", False)],
)
def test_one_vendor_may_name_the_token_endpoint(harness, host, by_endpoint):
    """C-7, ATK-51, mcp.md 9.5: exactly that host, exactly that endpoint, one audience."""
    key = ClientKey("RS256")
    path = f"/oauth/{harness.slug}/client.json"
    client_id = signer(harness, key, host, path=path)
    code = harness.browser().authorize(client_id=client_id).code
    endpoint = f"{harness.issuer}/token"

    def use(audience):
        fields = key.fields(client_id, audience, harness.clock())
        return harness.redeem(code, client_id=None, **fields)

    for wrong in (endpoint + "/", [harness.issuer, endpoint], harness.server.base + "//token"):
        assert use(wrong).reason == "jwt_aud"
    assert use(harness.issuer if not by_endpoint else endpoint).ok
    assert use(endpoint).reason == ("code_spent" if by_endpoint else "jwt_aud")


def test_a_document_that_lists_none_as_well_works_either_way(harness):
    """C-9, MCP-AS-44: but an assertion that was sent is judged, and a bad one is never forgiven."""
    key = ClientKey()
    client_id = signer(harness, key, token_endpoint_auth_methods_supported=BOTH)
    browser = harness.browser()
    first = browser.authorize(client_id=client_id).code
    bad = ClientKey().fields(client_id, harness.issuer, harness.clock())
    assert harness.redeem(first, client_id=client_id, **bad).reason == "jwt_signature"
    expired = key.fields(client_id, harness.issuer, harness.clock(), exp=5)
    assert harness.redeem(first, client_id=client_id, **expired).reason == "jwt_expired"
    assert harness.redeem(first, client_id=client_id, client_secret="x").reason == "secret_wrong"
    answer = harness.redeem(first, client_id=client_id)
    assert answer.ok
    good = key.fields(client_id, harness.issuer, harness.clock())
    assert harness.refresh(answer.refresh_token, client_id=client_id, **good).ok


def test_a_document_that_moves_to_keys_ends_nobodys_session(harness):
    """MCP-AS-50, CIMD-28, mcp.md 9.5: the outage class of August 2026."""
    client_id = harness.serve_document()
    held = harness.tokens(client_id=client_id)
    key = ClientKey()
    signer(harness, key)
    harness.clock.advance(minutes=6)
    refused = harness.refresh(held.refresh_token, client_id=client_id)
    assert (refused.status, refused.reason) == (401, "client_unauthenticated")
    fields = key.fields(client_id, harness.issuer, harness.clock())
    assert harness.refresh(held.refresh_token, client_id=None, **fields).ok
    changed = harness.events("client.document_changed")
    assert changed[-1]["detail"]["changed"] == ["jwks", "token_endpoint_auth_method"]


def test_keys_in_a_document_rotate_without_new_consent(harness):
    """CIMD-28, MCP-AS-50, ATK-50: the old key is worth nothing once the document says so."""
    old, new = ClientKey(kid="old"), ClientKey(kid="new")
    client_id = signer(harness, old)
    browser = harness.browser()
    code = browser.authorize(client_id=client_id).code
    fields = old.fields(client_id, harness.issuer, harness.clock())
    held = harness.redeem(code, client_id=None, **fields)
    signer(harness, new)
    harness.clock.advance(minutes=6)
    assert browser.start(client_id=client_id).code
    fields = old.fields(client_id, harness.issuer, harness.clock())
    assert harness.refresh(held.refresh_token, client_id=None, **fields).reason == "jwt_key_unknown"
    fields = new.fields(client_id, harness.issuer, harness.clock())
    assert harness.refresh(held.refresh_token, client_id=None, **fields).ok


def test_an_outage_of_the_clients_site_signs_nobody_out_for_a_day(harness):
    """CIMD-20, CIMD-34, mcp.md 9.5: and then it does; /authorize asks the host, so it cannot go on there."""
    client_id = harness.serve_document()
    held = harness.tokens(client_id=client_id)
    harness.web.serve(harness.host, Reply(503))
    harness.clock.advance(minutes=6)
    kept = harness.refresh(held.refresh_token, client_id=client_id)
    assert kept.ok
    page = harness.browser()
    page.sign_in()
    assert page.start(client_id=client_id).reason in ("document_status", "document_cooling_down")
    harness.clock.advance(hours=24)
    gone = harness.refresh(kept.refresh_token, client_id=client_id)
    assert (gone.status, gone.reason) == (401, "document_status")
    harness.serve_document()
    harness.clock.advance(seconds=11)
    assert harness.refresh(kept.refresh_token, client_id=client_id).ok


def test_an_address_that_was_withdrawn_gets_no_new_code(harness):
    """CIMD-21, CIMD-28, ATK-60."""
    client_id = harness.serve_document()
    browser = harness.browser()
    browser.authorize(client_id=client_id)
    harness.serve_document(redirect_uris=["https://new-owner.example/cb"])
    harness.clock.advance(minutes=6)
    page = browser.start(client_id=client_id)
    assert (page.status, page.location, page.reason) == (400, "", "redirect_uri_unregistered")
    page = browser.start(client_id=client_id, redirect_uri="https://new-owner.example/cb")
    assert page.is_consent


def test_a_document_without_the_refresh_grant_gets_no_refresh_token(harness):
    """MCP-AS-80, CIMD-28."""
    client_id = harness.serve_document(grant_types=["authorization_code"])
    answer = harness.tokens(client_id=client_id)
    assert answer.ok
    assert "refresh_token" not in answer.json


def test_unsigned_statements_in_a_document_are_worth_nothing(harness):
    """CIMD-33, CIMD-30: ignored, like every member that nobody understands."""
    client_id = harness.serve_document(
        software_statement="e30.e30.",
        application_type="web",
        approved=True,
        scope="incidents.trigger",
    )
    browser = harness.browser()
    page = browser.start(client_id=client_id, scope=None)
    page = browser.sign_in(page)
    assert page.offered == ["logs.read"]
    assert "Not reviewed by an administrator" in page.text
