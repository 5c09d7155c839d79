"""Tenants are strangers to each other, although one process serves them from one origin."""

import pytest

from authz.db.models import AuthorizationRequest, Consent, TokenFamily
from tests.support.harness import PASSWORD, REDIRECT, Harness


@pytest.fixture
def neighbour(server):
    """Another tenant, with people and a resource of the same names."""
    made = Harness(server)
    yield made
    made.close()


def test_a_client_is_unknown_next_door(harness, neighbour):
    """O21-35, MCP-AS-06, MCP-AS-30: at the page and at the token endpoint."""
    page = neighbour.browser().start(client_id=harness.client_id)
    assert (page.status, page.reason) == (400, "client_unknown")
    answer = neighbour.redeem("azc_x", client_id=harness.client_id)
    assert (answer.status, answer.reason) == (401, "client_unknown")


def test_a_code_and_a_refresh_token_are_worth_nothing_next_door(harness, neighbour):
    """O21-35, ATK-01: even for a client with the same identifier there; and they survive the attempt."""
    for tenant in (harness, neighbour):
        tenant.add_client(client_id="same", redirect_uris=(REDIRECT,))
    page = harness.browser().authorize(client_id="same")
    assert neighbour.redeem(page.code, client_id="same").reason == "code_unknown"
    held = harness.redeem(page.code, client_id="same")
    refused = neighbour.refresh(held.refresh_token, client_id="same")
    assert refused.error == "invalid_grant"
    assert neighbour.count(TokenFamily) == 0
    assert harness.refresh(held.refresh_token, client_id="same").ok


def test_a_session_opens_one_tenant(harness, neighbour):
    """O21-35, ATK-16: whatever name the cookie is sent under."""
    browser = harness.browser()
    browser.authorize()
    value = browser.http.cookies[f"authz-session-{harness.slug}"]
    there = neighbour.browser()
    there.http.cookies.update(browser.http.cookies)
    assert there.start().is_login
    there.http.cookies.set(f"authz-session-{neighbour.slug}", value, domain="127.0.0.1", path="/")
    assert there.start().is_login
    assert neighbour.count(AuthorizationRequest) == 0


def test_a_consent_page_is_answered_where_it_was_shown(harness, neighbour):
    """ATK-14, O21-35: signed in at both, the id of one is nothing at the other."""
    browser = harness.browser()
    page = browser.sign_in(browser.start())
    fields = {"login": "dev@example.com", "password": PASSWORD}
    assert browser.post(f"{neighbour.issuer}/login", fields).status == 303
    sent = [("consent_id", page.field("consent_id")), ("scope", "logs.read"), ("decision", "allow")]
    answer = browser.post(f"{neighbour.issuer}/consent", sent)
    assert (answer.status, answer.reason) == (400, "consent_not_pending")
    assert neighbour.count(Consent) == harness.count(Consent) == 0
    assert browser.decide(page).code


def test_consent_and_document_trust_are_each_tenants_own(harness, neighbour):
    """MCP-AS-49, MCP-AS-58."""
    client_id = harness.serve_document()
    assert harness.browser().authorize(client_id=client_id).code
    neighbour.set_trust("allow_list")
    there = neighbour.browser()
    page = there.sign_in(there.start(client_id=client_id))
    assert page.status == 403
    neighbour.set_trust("open")
    assert there.start(client_id=client_id).is_consent


def test_an_account_signs_in_at_its_own_tenant_alone(harness, neighbour):
    """ATK-65: names are per tenant; what a neighbour has cannot be told apart from what nobody has."""
    harness.add_user("only-here@example.com")
    fields = {"login": "only-here@example.com", "password": PASSWORD}
    assert neighbour.browser().post(f"{neighbour.issuer}/login", fields).status == 400
    assert harness.browser().post(f"{harness.issuer}/login", fields).status == 303


def test_tokens_and_keys_name_their_tenant(harness, neighbour):
    """MCP-AS-04, MCP-AS-14, O21-35, ISS-01."""
    page = harness.browser().authorize()
    assert page.sent["iss"] == harness.issuer
    token = harness.redeem(page.code).access_token
    assert harness.claims(token)["iss"] == harness.issuer
    keys = [
        {k["kid"] for k in t.http.get(f"{t.issuer}/jwks").json()["keys"]}
        for t in (harness, neighbour)
    ]
    assert keys[0].isdisjoint(keys[1])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/authorize?client_id=x"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("POST", "/consent"),
        ("POST", "/consent/switch"),
        ("GET", "/consent/logo?id=x"),
        ("GET", "/jwks"),
    ],
)
def test_a_disabled_tenant_answers_404(harness, method, path):
    """ATK-71: for people and programs."""
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    harness.disable()
    answer = harness.http.request(method, harness.issuer + path, headers=headers)
    assert answer.status_code == 404


def test_a_disabled_tenant_ends_what_it_gave(harness):
    """ATK-71: at the token endpoint as well; a neighbour is not touched."""
    held = harness.tokens()
    harness.disable()
    assert harness.refresh(held.refresh_token).status in (401, 404)
    assert harness.refresh(held.refresh_token).status == 404
