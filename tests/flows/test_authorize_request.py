"""What a client may ask of the authorization endpoint, and where each refusal goes."""

from urllib.parse import quote

import pytest

from tests.support.harness import REDIRECT, RESOURCE, Harness, challenge

OTHER = "https://other.example/mcp"
HOSTILE = {
    "script": '"><script>alert(1)</script>',
    "attribute": "' onmouseover='alert(1)",
    "crlf": "a\r\nSet-Cookie: authz-session-default=stolen\r\n\r\n<p>",
    "line separator": "a\u2028b\u2029c\u0085d",
    "bidi": "\u202eevil\u2066",
    "template": "{{ 1337*7331 }}${1337*7331}#{1337*7331}",
    "unicode": "ü漢💩",
}
EVERY_PARAMETER = (
    "response_type",
    "client_id",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "state",
    "resource",
    "scope",
    "prompt",
    "max_age",
    "login_hint",
    "response_mode",
    "request",
    "request_uri",
    "nonce",
    "made_up",
)


@pytest.fixture(scope="module")
def shared(server):
    """One tenant for tables that change nothing."""
    made = Harness(server)
    made.add_resource(OTHER)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"response_type": None}, "invalid_request", "response_type_missing"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type"),
        ({"response_type": "code token"}, "unsupported_response_type", "response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type", "response_type"),
        ({"response_type": "none"}, "unsupported_response_type", "response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type", "response_type"),
        ({"response_mode": "fragment"}, "invalid_request", "response_mode"),
        ({"response_mode": "form_post"}, "invalid_request", "response_mode"),
        ({"code_challenge": None}, "invalid_request", "code_challenge_missing"),
        ({"code_challenge": ""}, "invalid_request", "code_challenge_missing"),
        ({"code_challenge_method": None}, "invalid_request", "code_challenge_method"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method"),
        ({"code_challenge_method": "s256"}, "invalid_request", "code_challenge_method"),
        ({"code_challenge": challenge()[:-1]}, "invalid_request", "code_challenge_malformed"),
        ({"code_challenge": challenge() + "="}, "invalid_request", "code_challenge_malformed"),
        ({"code_challenge": challenge() + "\n"}, "invalid_request", "code_challenge_malformed"),
        ({"code_challenge": "ü" * 43}, "invalid_request", "code_challenge_malformed"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported", "request_object"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported", "request_uri"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported", "request_uri"),
        ({"scope": "nonsense"}, "invalid_scope", "scope_unknown"),
        ({"scope": "logs.read\tanalytics.query"}, "invalid_scope", "scope_malformed"),
        ({"scope": "logs.read  analytics.query"}, "invalid_scope", "scope_malformed"),
        ({"scope": "logs.read "}, "invalid_scope", "scope_malformed"),
        ({"scope": 'logs.read"'}, "invalid_scope", "scope_malformed"),
        ({"scope": "logs.read\\"}, "invalid_scope", "scope_malformed"),
        ({"scope": "lögs.read"}, "invalid_scope", "scope_malformed"),
        ({"scope": "logs.read\u2028admin"}, "invalid_scope", "scope_malformed"),
        ({"scope": "*"}, "invalid_scope", "scope_unknown"),
        ({"scope": "LOGS.READ"}, "invalid_scope", "scope_unknown"),
        ({"scope": " ".join(f"s{n}" for n in range(201))}, "invalid_scope", "scope_malformed"),
        ({"scope": "a" * 4097}, "invalid_scope", "scope_malformed"),
        ({"resource": None}, "invalid_target", "resource_missing"),
        ({"resource": ""}, "invalid_target", "resource_missing"),
        ({"resource": "https://mcp.example/other"}, "invalid_target", "resource_unknown"),
        ({"resource": "https://mcp.example/mcp/"}, "invalid_target", "resource_unknown"),
        ({"resource": "https://mcp.example/MCP"}, "invalid_target", "resource_unknown"),
        ({"resource": "https://mcp.example:8443/mcp"}, "invalid_target", "resource_unknown"),
        ({"resource": RESOURCE + "?x=1"}, "invalid_target", "resource_unknown"),
        ({"resource": RESOURCE + "#frag"}, "invalid_target", "resource_malformed"),
        ({"resource": "/mcp"}, "invalid_target", "resource_malformed"),
        ({"resource": "http://mcp.example/mcp"}, "invalid_target", "resource_malformed"),
        ({"resource": "https://mcp.example@evil.example/"}, "invalid_target", "resource_malformed"),
        ({"resource": "https://mcp.example/mcp\r\nX: 1"}, "invalid_target", "resource_malformed"),
        ({"resource": [RESOURCE, OTHER]}, "invalid_target", "resource_repeated"),
        ({"resource": [RESOURCE, RESOURCE]}, "invalid_target", "resource_repeated"),
        ({"prompt": "none login"}, "invalid_request", "prompt"),
        ({"prompt": "create"}, "invalid_request", "prompt"),
        ({"prompt": "NONE"}, "invalid_request", "prompt"),
        ({"max_age": "-1"}, "invalid_request", "max_age"),
        ({"max_age": "1.5"}, "invalid_request", "max_age"),
        ({"max_age": "soon"}, "invalid_request", "max_age"),
        ({"max_age": "٣"}, "invalid_request", "max_age"),
        ({"max_age": "9" * 400}, "invalid_request", "max_age"),
    ],
    ids=str,
)
def test_a_known_client_learns_its_mistake_by_redirect(shared, changes, error, reason):
    """O21-01, O21-02, MCP-03, MCP-04, MCP-AS-55, MCP-AS-60, MCP-AS-66 to MCP-AS-70, RI-01, RI-03, RI-04, ISS-01,

    ATK-05: before any sign-in, because an operator vouched for the client; with state, iss and nothing that was sent.
    """
    page = shared.browser().start(**changes)
    assert page.status == 303
    assert page.location.startswith(REDIRECT + "?error=")
    assert (page.error, page.reason) == (error, reason)
    assert set(page.sent) == {"error", "error_description", "state", "iss"}
    assert (page.sent["state"], page.sent["iss"]) == ("xyz", shared.issuer)
    described = page.sent["error_description"]
    assert described.isascii()
    assert not set(described) & set('"\\\r\n')


def test_a_client_without_the_code_grant_may_not_begin(harness):
    """O21-01, MCP-AS-05: by redirect if it has an address, which only authorization_code gives it."""
    client = harness.add_client(redirect_uris=(), grant_types=("refresh_token",)).client
    page = harness.browser().start(client_id=client.id)
    assert (page.status, page.reason) == (400, "redirect_uri_unregistered")


@pytest.mark.parametrize("name", [n for n in EVERY_PARAMETER if n != "resource"])
@pytest.mark.parametrize("value", ["same", "other", "empty"])
def test_a_parameter_twice_is_refused(shared, name, value):
    """O21-06, ATK-10. What decides about the way back is never redirected."""
    first = shared.request.get(name) or {"prompt": "login", "max_age": "5"}.get(name, "x")
    second = {"same": first, "other": "https://evil.example/", "empty": ""}[value]
    page = shared.browser().start(**{name: [first, second]})
    assert page.reason == "parameter_repeated"
    if name in ("client_id", "redirect_uri", "state"):
        assert (page.status, page.location) == (400, "")
    else:
        assert page.location.startswith(REDIRECT + "?error=invalid_request&")


def test_unknown_and_empty_parameters_are_ignored(harness):
    """O21-06, MCP-AS-63."""
    page = harness.browser().authorize(
        nonce="n", made_up="x", scope="", prompt="", max_age="", login_hint="", request=""
    )
    assert harness.redeem(page.code).scopes == {"logs.read"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", EVERY_PARAMETER)
@pytest.mark.parametrize("signed_in", [False, True])
def test_nothing_a_request_says_becomes_markup_or_a_header(shared, reader, name, text, signed_in):
    """ATK-11, O21-12, ATK-67: every parameter, every kind of page, no 5xx."""
    page = (reader if signed_in else shared.browser(None)).start(**{name: text})
    assert page.status in (200, 303, 400), page.text
    assert "<script" not in page.text
    assert "9801547" not in page.text
    if set(text) & set("<'\""):
        assert text not in page.text
    assert "stolen" not in str(page.response.headers.get("set-cookie", ""))
    if page.location:
        assert page.location.startswith((REDIRECT + "?", f"/t/{shared.slug}/"))
        assert page.location.isascii()
        assert page.location.isprintable()
        assert " " not in page.location


@pytest.fixture(scope="module")
def reader(shared):
    """A browser that is signed in, for requests that end before consent."""
    browser = shared.browser()
    assert browser.sign_in(browser.start()).is_consent
    return browser


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("client_id=%00", "parameter_nul"),
        ("%00=x", "parameter_nul"),
        ("client_id=%ff", "parameters_malformed"),
        ("client_id=%c0%ae", "parameters_malformed"),
        ("client_id=%ed%a0%80", "parameters_malformed"),
        ("&".join(f"p{n}=1" for n in range(65)), "parameters_malformed"),
        ("state=" + "a" * (8 * 1024 + 1), "parameter_too_long"),
        ("client_id=" + "a" * (16 * 1024), "query_too_long"),
        ("", "client_id_missing"),
        ("client_id=", "client_id_missing"),
        ("client_id=nobody", "client_unknown"),
        ("client_id=cli_%22%3E", "client_unknown"),
        ("client_id=" + quote("💩" * 100), "client_unknown"),
    ],
)
def test_what_cannot_be_read_is_a_page(shared, query, reason):
    """ATK-63, MCP-AS-51, MCP-AS-54, CIMD-04: never a redirect, never a 5xx."""
    page = shared.browser().get(f"{shared.issuer}/authorize?{query}")
    assert (page.status, page.reason, page.location) == (400, reason, "")


@pytest.mark.parametrize(
    "state",
    [
        "a&b=c#d?e",
        "ü漢💩",
        "%41%20+ +",
        "a b",
        "'\"<>",
        "x" * 4096,
        "é" * 2000,
        "=",
        "\u2028",
        "a\r\nb",
    ],
    ids=lambda state: ascii(state[:12]),
)
def test_state_comes_back_exactly_and_once(shared, reader, state):
    """O21-10, MCP-AS-56, ATK-01: through a sign-in, a refusal, and an error."""
    browser = shared.browser()
    page = browser.start(state=state)
    assert page.is_login
    page = browser.sign_in(page)
    refused = browser.decide(page, allow=False)
    assert refused.sent["state"] == state
    assert refused.sent["iss"] == shared.issuer
    assert refused.error == "access_denied"
    assert reader.start(state=state, scope="nonsense").sent["state"] == state


def test_a_request_without_state_gets_none(harness):
    """MCP-AS-56, MCP-AS-60, MCP-AS-61, MCP-AS-62, MCP-03, ISS-01, ATK-01."""
    page = harness.browser().authorize(state=None)
    assert set(page.sent) == {"code", "iss"}
    assert page.sent["iss"] == harness.issuer
    denied = harness.browser().start(state=None, scope="nonsense")
    assert "state" not in denied.sent


@pytest.mark.parametrize(
    "spelling",
    [
        RESOURCE,
        "HTTPS://MCP.Example/mcp",
        "https://mcp.example:443/mcp",
        "https://mcp.example/%6dcp",
        "https://mcp.example/x/../mcp",
    ],
)
def test_a_resource_is_found_however_it_is_spelled_and_named_as_registered(shared, spelling):
    """MCP-04, MCP-AS-63, MCP-AS-64, MCP-AS-66, RI-01, RI-02."""
    page = shared.browser().authorize(resource=spelling)
    answer = shared.redeem(page.code, resource=spelling)
    assert shared.claims(answer.access_token)["aud"] == RESOURCE


@pytest.mark.parametrize("registered", ["https://origin.example", "https://origin2.example/"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_origin_is_one_resource_with_and_without_slash(harness, registered, slash):
    """MCP-AS-66, MCP-AS-67."""
    harness.add_resource(registered)
    harness.import_roles(
        "roles: {developer: [logs.read]}\nbindings: [{role: developer, users: [dev@example.com]}]"
    )
    page = harness.browser().authorize(resource=registered.rstrip("/") + slash)
    assert harness.claims(harness.redeem(page.code).access_token)["aud"] == registered


def test_without_resource_the_only_one_or_the_default_one_is_meant(harness):
    """MCP-AS-68, RI-04."""
    first = harness.redeem(harness.browser().authorize(resource=None).code)
    assert harness.claims(first.access_token)["aud"] == RESOURCE
    harness.add_resource(OTHER)
    assert harness.browser().start(resource=None).reason == "resource_missing"
    harness.add_resource("https://third.example/mcp", is_default=True)
    assert (
        "https://third.example/mcp"
        in harness.browser().sign_in(harness.browser().start(resource=None)).text
    )
