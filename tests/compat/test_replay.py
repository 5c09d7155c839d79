"""Every known client completes its flow in its own shape, and reacts rightly to what it is told.

features.md Appendix A, section 2 (3, 4, 6, 7, 11, 14) and section 3 item 7; mcp.md 8 and 9.
"""

from urllib.parse import urlsplit

import pytest

from authz.admin import clients
from authz.doctor.profiles import CLIENTS
from tests.compat.matrix import documented, row
from tests.compat.replay import KEY, RECORDED, Guest, canonical_size, with_port
from tests.support.harness import RESOURCE, SCOPES

ROLE = {"logs.read", "analytics.query"}


def test_every_client_doctor_knows_is_recorded():
    assert set(RECORDED) == set(CLIENTS) == set(documented())
    for name, recorded in RECORDED.items():
        if recorded.document is not None:
            assert recorded.document["token_endpoint_auth_method"] == CLIENTS[name].document
            assert canonical_size(recorded.document) < 5 * 1024


@pytest.mark.parametrize("name", RECORDED)
def test_a_client_completes_its_flow(harness, name):
    """C-6, C-7, C-9, MCP-AS-31, -32, -66, -70, -79 to -83, -87: and the matrix says so."""
    guest = Guest(harness, name)
    page, link = guest.authorize(harness.browser())
    assert page.location.startswith(link["redirect_uri"] + "?"), page.text[:2000]
    assert page.sent["iss"] == harness.issuer
    assert page.sent.get("state") == link["state"]
    answer = guest.redeem(page.code, link)
    assert answer.ok, (answer.json, answer.reason)
    assert answer.scopes == set(guest.recorded.expected["scopes"])
    assert answer.json["token_type"] == "Bearer"
    claims = harness.claims(answer.access_token)
    assert claims["client_id"] == guest.client_id
    assert claims["aud"] == guest.recorded.expected.get("audience", RESOURCE)
    refreshed = 0
    for _ in range(2):
        harness.clock.advance(minutes=50)
        answer = guest.refresh(answer.refresh_token)
        assert answer.ok, (answer.json, answer.reason)
        assert answer.scopes == set(guest.recorded.expected["scopes"])
        assert harness.claims(answer.access_token)["aud"] == claims["aud"]
        refreshed += 1
    assert row(guest.recorded, refreshed=refreshed == 2) == documented()[name]


@pytest.mark.parametrize("name", RECORDED)
def test_a_step_up_keeps_what_was_held(harness, name):
    """MCP-AS-71, MCP-AS-72: a new request with the union is asked about once more, and the earlier grant lives."""
    guest = Guest(harness, name)
    browser = harness.browser()
    page, link = guest.authorize(browser, scope="logs.read", prompt=None)
    before = guest.redeem(page.code, link)
    assert before.scopes == {"logs.read"}
    link = guest.link(scope="analytics.query logs.read", prompt=None)
    page = browser.start(**link)
    assert page.is_consent
    assert "analytics.query" in page.offered
    after = guest.redeem(browser.decide(page).code, link)
    assert after.scopes == ROLE
    kept = guest.refresh(before.refresh_token, scope=None)
    assert kept.ok, (kept.json, kept.reason)
    assert kept.scopes == {"logs.read"}


@pytest.mark.parametrize("name", RECORDED)
def test_a_client_learns_from_the_code_what_to_forget(harness, name):
    """MCP-AS-84, mcp.md 8.2, features.md 2 (3): `invalid_grant` drops tokens, `invalid_client` the client itself."""
    guest = Guest(harness, name)
    page, link = guest.authorize(harness.browser())
    held = guest.redeem(page.code, link)
    assert held.ok
    harness.clock.advance(minutes=2)
    successor = guest.refresh(held.refresh_token)
    harness.clock.advance(minutes=2)
    mistakes = [
        (guest.refresh("rt_" + "x" * 60), "refresh_malformed"),
        (guest.refresh(held.refresh_token), "refresh_reused"),
        (guest.refresh(successor.refresh_token), "family_revoked:refresh_reused"),
        (guest.redeem(page.code, link), "code_spent"),
    ]
    for answer, reason in mistakes:
        assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", reason)
    harness.change(clients.block, guest.client_id)
    blocked = guest.refresh(successor.refresh_token)
    stranger = guest.send(
        {"grant_type": "refresh_token", "refresh_token": "x"}, client_id="forgotten"
    )
    for answer, reason in ((blocked, "client_blocked"), (stranger, "client_unknown")):
        assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", reason)
    for answer in (mistakes[0][0], blocked, stranger):
        assert answer.response.headers["content-type"] == "application/json"
        assert answer.response.headers["cache-control"] == "no-store"
        assert answer.response.headers["access-control-allow-origin"] == "*"


REFUSED = {
    "claude-web": ["https://claude.ai:8443/api/mcp/auth_callback", "https://claude.ai/api/mcp/x"],
    "claude-code": ["http://localhost:5000/other", "https://localhost/callback"],
    "vscode": ["http://127.0.0.1:33418/x", "http://localhost/", "https://vscode.dev/redirect/"],
    "chatgpt": ["https://chatgpt.com/connector/oauth/other"],
    "cursor": ["cursor://anysphere.cursor-mcp/oauth/other", "vscode://x/oauth/callback"],
    "goose": ["http://localhost:5000/oauth_callback"],
    "opencode": ["http://[::1]:19876/mcp/oauth/callback"],
}


@pytest.mark.parametrize("name", RECORDED)
def test_every_listed_address_works_and_no_other(harness, name):
    """C-5, C-6, MCP-AS-52, MCP-AS-53: any port on loopback, everything else byte for byte."""
    guest = Guest(harness, name)
    browser = harness.browser()
    browser.sign_in()
    offered = []
    for uri in guest.recorded.redirect_uris:
        offered.append(uri)
        parts = urlsplit(uri)
        if parts.scheme == "http":
            offered.append(with_port(uri.replace(parts.netloc, f"{_bare(parts.netloc)}:{{port}}")))
    for uri in offered:
        page, _ = guest.authorize(browser, redirect_uri=uri)
        assert page.location.startswith(uri), (uri, page.text[:2000])
        assert page.code
    for uri in REFUSED.get(name, ["https://evil.example/callback"]):
        page = browser.start(**guest.link(redirect_uri=uri))
        assert (page.status, page.location) == (400, "")
        assert page.reason == "redirect_uri_unregistered"


def _bare(netloc):
    return netloc if netloc.endswith("]") else netloc.rpartition(":")[0] or netloc


@pytest.mark.parametrize(
    "resource", [None, RESOURCE, RESOURCE.replace("mcp.example", "MCP.Example")]
)
@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, ROLE),
        ("logs.read analytics.query", ROLE),
        ("analytics.query logs.read offline_access", ROLE),
        ("logs.read", {"logs.read"}),
    ],
)
def test_a_refresh_works_in_every_form_and_widens_in_none(shared, scope, granted, resource):
    """Appendix A, MCP-AS-63, MCP-AS-65, MCP-AS-81, mcp.md 8.1, 8.2: with and without scope and resource."""
    answer = shared.refresh(shared.held, scope=scope, resource=resource)
    assert answer.ok, (answer.json, answer.reason)
    assert answer.scopes == granted
    shared.held = answer.refresh_token
    wider = shared.refresh(shared.held, scope="logs.read incidents.trigger", resource=resource)
    assert (wider.error, wider.reason) == ("invalid_scope", "scope_widened")


@pytest.fixture(scope="module")
def shared(server):
    """One Claude Code that keeps refreshing."""
    from tests.support.harness import Harness

    harness = Harness(server)
    guest = Guest(harness, "claude-code")
    page, link = guest.authorize(harness.browser())
    guest.held = guest.redeem(page.code, link).refresh_token
    yield guest
    harness.close()


def test_the_consent_page_of_a_documented_client_names_both_hosts(harness):
    """MCP-AS-47, MCP-AS-48: whose document it is, and that any program may listen on loopback."""
    page = harness.browser()
    guest = Guest(harness, "claude-code")
    shown = page.sign_in(page.start(**guest.link()))
    assert shown.is_consent
    assert "claude.ai" in shown.text
    assert "localhost" in shown.text


def test_a_document_is_read_where_its_identifier_says(harness, egress):
    """CIMD-02, MCP-AS-36: under that very name, on the port of https."""
    guest = Guest(harness, "goose")
    page, _ = guest.authorize(harness.browser())
    assert page.code
    assert "goose-docs.ai:443" in egress.connected
    assert {target.rpartition(":")[2] for target in egress.connected} == {"443"}


def test_a_logo_on_another_host_is_no_obstacle(harness, egress):
    """Appendix A, VS Code: and nobody is asked for it before a browser wants it."""
    guest = Guest(harness, "vscode")
    page, _ = guest.authorize(harness.browser())
    assert page.code
    assert "logos.example:443" not in egress.connected


# -- ChatGPT ----------------------------------------------------------------------------------------------


@pytest.fixture
def chatgpt(harness):
    guest = Guest(harness, "chatgpt")
    page, link = guest.authorize(harness.browser())
    guest.code, guest.link_used = page.code, link
    return guest


@pytest.mark.parametrize("audience", ["{issuer}/token", "{issuer}"])
def test_chatgpt_may_name_the_token_endpoint_or_the_issuer(chatgpt, harness, audience):
    """C-7, mcp.md 9.5: both were seen."""
    signed = chatgpt.assertion(audience=audience.format(issuer=harness.issuer))
    assert chatgpt.harness.redeem(
        chatgpt.code, code_verifier="v" * 128, redirect_uri=chatgpt.link_used["redirect_uri"],
        client_id=chatgpt.client_id, **signed,
    ).ok  # fmt: skip


@pytest.mark.parametrize(
    "audience", ["{base}//token", "{issuer}/token/", "{issuer}/", "{base}/token"]
)
def test_no_other_audience_will_do(chatgpt, harness, audience):
    """C-7: the double slash of mcp.md 9.5 is derived from two values; it is told, not forgiven."""
    named = audience.format(issuer=harness.issuer, base=harness.server.base)
    fields = {**chatgpt.assertion(audience=named), "client_id": chatgpt.client_id}
    answer = chatgpt.harness.redeem(chatgpt.code, **fields)
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "jwt_aud")


def test_chatgpt_with_an_old_copy_of_our_metadata_is_public(chatgpt, harness):
    """C-9, mcp.md 9.5: it keeps a copy for days and proves nothing meanwhile; its document says that it may."""
    form = {
        "redirect_uri": chatgpt.link_used["redirect_uri"],
        "code_verifier": "v" * 128,
        "client_id": chatgpt.client_id,
    }
    answer = harness.redeem(chatgpt.code, **form, resource=RESOURCE)
    assert answer.ok, (answer.json, answer.reason)
    # And signs from the next request on.
    again = chatgpt.refresh(answer.refresh_token)
    assert again.ok, (again.json, again.reason)


def test_a_bad_assertion_is_not_forgiven_because_none_is_listed(chatgpt, harness):
    """C-9: a presented assertion is always verified."""
    from tests.support.client_keys import ClientKey

    wrong = ClientKey("RS256", kid=KEY.kid).fields(
        chatgpt.client_id, f"{harness.issuer}/token", harness.clock()
    )
    answer = harness.redeem(chatgpt.code, client_id=chatgpt.client_id, **wrong)
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "jwt_signature")


def test_the_recorded_requests_ask_for_scopes_that_exist():
    known = {scope.name for scope in SCOPES} | {"offline_access"}
    for recorded in RECORDED.values():
        for shape in (recorded.authorize, recorded.token, recorded.refresh):
            assert set(shape.get("scope", "logs.read").split()) <= known
