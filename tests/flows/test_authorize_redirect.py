"""Where a code may go: the client's own addresses, and nowhere that only looks like one."""

from urllib.parse import urlsplit

import pytest

from authz.db.models import AuthorizationRequest, Client, Consent
from tests.support.harness import REDIRECT, Harness

REGISTERED = ("https://ok.example/cb", "http://127.0.0.1/callback", "http://localhost:8080/cb?x=1")
NEAR_MISSES = [
    "https://ok.example/cb/",
    "https://ok.example/cb/more",
    "https://ok.example/c",
    "https://ok.example/cb?next=https://evil.example",
    "https://ok.example/cb?",
    "https://ok.example/cb#",
    "https://ok.example/cb#code",
    "https://ok.example:443/cb",
    "https://ok.example:8443/cb",
    "https://ok.example./cb",
    "https://OK.example/cb",
    "HTTPS://ok.example/cb",
    "http://ok.example/cb",
    "https://ok.example/CB",
    "https://ok.example//cb",
    "https://ok.example/./cb",
    "https://ok.example/x/../cb",
    "https://ok.example/cb/%2e%2e/evil",
    "https://ok.example/%63b",
    "https://ok.example/cb%2f..",
    "https://ok.example/cb%00",
    "https://ok.example/cb;x",
    "https://ok.example@evil.example/cb",
    "https://ok.example:x@evil.example/cb",
    "https://evil.example\\@ok.example/cb",
    "https://ok.example\\.evil.example/cb",
    "https://ok.example.evil.example/cb",
    "https://evil.example/https://ok.example/cb",
    "https://evil.example?https://ok.example/cb",
    "https://sub.ok.example/cb",
    "https://xn--k-xla.example/cb",
    "https://оk.example/cb",
    "//ok.example/cb",
    "/cb",
    "ok.example/cb",
    " https://ok.example/cb",
    "https://ok.example/cb ",
    "https://ok.example/cb\n",
    "https://ok.example/cb\r\nLocation: https://evil.example",
    "\thttps://ok.example/cb",
    "javascript:alert(1)",
    "javascript://ok.example/cb%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https:ok.example/cb",
    "https:///ok.example/cb",
    "http://127.0.0.1:0/callback",
    "http://127.0.0.1:99999/callback",
    "http://127.0.0.1:80x/callback",
    "http://127.0.0.1:8080@evil.example/callback",
    "http://127.0.0.1:8080/callback/",
    "http://127.0.0.1:8080/callback?x=1",
    "http://127.0.0.1:8080/callback#x",
    "http://127.0.0.2:8080/callback",
    "http://127.1:8080/callback",
    "http://2130706433/callback",
    "http://0x7f.0.0.1/callback",
    "http://[::1]:8080/callback",
    "http://[::ffff:127.0.0.1]/callback",
    "http://localhost:8080/callback",
    "http://localhost.evil.example/cb?x=1",
    "http://localhost./cb?x=1",
    "http://localhost:8080/cb",
    "http://localhost:8080/cb?x=2",
    "http://127.0.0.1.nip.io/callback",
    "https://127.0.0.1/callback",
    "https://localhost:8080/cb?x=1",
    "cursor://ok.example/cb",
]


@pytest.fixture(scope="module")
def shared(server):
    """One tenant with a client of several addresses."""
    made = Harness(server)
    made.request["client_id"] = made.add_client(redirect_uris=REGISTERED).client.id
    yield made
    made.close()


@pytest.mark.parametrize("uri", NEAR_MISSES, ids=ascii)
def test_what_is_only_like_a_registered_address_is_refused_on_a_page(shared, uri):
    """ATK-09, O21-04, O21-27, MCP-06, MCP-AS-52, MCP-AS-53, MCP-AS-54, CIMD-21: and no way out is offered."""
    page = shared.browser().start(redirect_uri=uri)
    reason = "parameter_nul" if "\x00" in uri else "redirect_uri_unregistered"
    assert (page.status, page.reason, page.location) == (400, reason, "")
    assert 'href="http' not in page.text
    assert "refresh" not in page.response.headers


@pytest.mark.parametrize(
    "uri",
    [
        "https://ok.example/cb",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:49152/callback",
        "http://127.0.0.1:1/callback",
        "http://localhost:8080/cb?x=1",
        "http://localhost/cb?x=1",
        "http://localhost:55555/cb?x=1",
    ],
)
def test_registered_addresses_work_on_any_loopback_port(shared, uri):
    """O21-04, MCP-AS-52: and the query that was registered stays in front."""
    page = shared.browser().authorize(redirect_uri=uri)
    assert page.location.startswith(uri + ("&code=" if "?" in uri else "?code="))
    client_id = shared.request["client_id"]
    assert shared.redeem(page.code, client_id=client_id, redirect_uri=uri).ok


def test_without_redirect_uri_the_only_address_is_meant(harness):
    """O21-04."""
    page = harness.browser().authorize(redirect_uri=None)
    assert page.location.startswith(REDIRECT + "?code=")
    several = harness.add_client(redirect_uris=REGISTERED).client.id
    page = harness.browser().start(client_id=several, redirect_uri=None)
    assert (page.status, page.reason) == (400, "redirect_uri_missing")


@pytest.mark.parametrize("scheme", ["cursor", "vscode"])
def test_a_private_use_scheme_needs_the_operators_list(harness, scheme):
    """MCP-06, MCP-AS-53, CIMD-22, CIMD-23: `cursor` is on it here, and no silent answer ever goes there (O21-21)."""
    uri = f"{scheme}://anysphere.mcp/oauth/callback"
    client_id = harness.serve_document(redirect_uris=[uri])
    browser = harness.browser()
    page = browser.sign_in(browser.start(client_id=client_id, redirect_uri=uri))
    if scheme == "vscode":
        assert (page.status, page.reason) == (400, "document_redirect_uris")
        return
    assert page.is_consent
    assert "cursor:" in page.text
    assert browser.decide(page).location.startswith(uri + "?code=")
    assert browser.start(client_id=client_id, redirect_uri=uri).is_consent


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"resource": "https://unknown.example/mcp"}, "invalid_target"),
        ({"prompt": "none"}, "consent_required"),
        ({"scope": "logs.debug.write"}, "access_denied"),
    ],
)
def test_an_unknown_client_cannot_bounce_people_anywhere(harness, changes, code):
    """ATK-07, O21-24, MCP-AS-54, ATK-23: a stranger signs in first, a person gets a link they may take."""
    client_id = harness.serve_document(redirect_uris=["https://evil.example/land"])
    asked = {"client_id": client_id, "redirect_uri": "https://evil.example/land", **changes}
    stranger = harness.browser().start(**asked)
    assert not stranger.location
    assert "evil.example" not in stranger.text.replace("evil.example%2Fland", "")
    assert harness.web.count(harness.host) == 0
    browser = harness.browser()
    browser.sign_in()
    page = browser.start(**asked)
    assert (page.status, page.location) == (400, "")
    assert f'href="https://evil.example/land?error={code}&amp;' in page.text
    assert "Return to <" in page.text or "Return to evil.example" in page.text
    assert harness.count(Client) == 1
    assert harness.count(Consent) == harness.count(AuthorizationRequest) == 0


def test_prompt_none_of_an_unknown_client_is_a_page(harness):
    """O21-24, ATK-07, ATK-23: neither a redirect nor a sign-in form."""
    client_id = harness.serve_document()
    page = harness.browser().start(client_id=client_id, prompt="none")
    assert (page.status, page.location, page.reason) == (400, "", "login_required")
    assert not page.is_login
    assert harness.web.count(harness.host) == 0


def test_a_client_the_person_knows_gets_its_error_by_redirect(harness):
    """O21-24, MCP-AS-54."""
    client_id = harness.serve_document()
    browser = harness.browser()
    assert browser.authorize(client_id=client_id).code
    assert browser.start(client_id=client_id, scope="nonsense").error == "invalid_scope"
    other = harness.browser("sre@example.com")
    other.sign_in()
    assert other.start(client_id=client_id, scope="nonsense").location == ""


def test_the_sign_in_form_leads_back_to_this_server_alone(harness):
    """ATK-07, ATK-08, O21-22: whatever `continue` says, and with 303."""
    browser = harness.browser()
    for wanted in (
        "https://evil.example/",
        "//evil.example",
        "\\evil",
        "next=https://evil.example",
    ):
        fields = {"login": browser.login, "password": "correct horse battery staple"}
        page = browser.post(f"{harness.issuer}/login", {**fields, "continue": wanted})
        assert page.status == 303
        target = urlsplit(page.location)
        assert (target.scheme, target.netloc) == ("", "")
        assert target.path == f"/t/{harness.slug}/authorize"
