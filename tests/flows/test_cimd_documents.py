"""Client ID Metadata Documents from hostile, broken and slow hosts."""

import json

import pytest

from authz.admin import client_trust, clients
from authz.db.models import AuthorizationRequest, Client, ClientRequest, Consent
from tests.support.client_keys import ClientKey
from tests.support.harness import REDIRECT, Harness
from tests.support.web import Reply

KEY = ClientKey().public
RSA = ClientKey("RS256").public


def ask(browser, client_id, **parameters):
    """Sign in if asked, and stop there."""
    page = browser.start(client_id=client_id, **parameters)
    return browser.sign_in(page) if page.is_login else page


def test_nothing_is_fetched_or_kept_for_a_stranger(harness):
    """CIMD-04, CIMD-17, ATK-47, ATK-48, ATK-61, MCP-AS-35, MCP-AS-36, MCP-AS-46: 300 hostile identifiers."""
    stranger = harness.browser()
    before = len(harness.web.resolutions)
    for n in range(300):
        page = stranger.start(client_id=f"https://h{n}.{harness.host}/client.json", state=str(n))
        assert page.is_login
    assert len(harness.web.resolutions) == before
    assert harness.count(Client) == 1
    assert harness.count(AuthorizationRequest) == harness.count(Consent) == 0
    client_id = harness.serve_document()
    page = stranger.start(client_id=client_id)
    assert page.is_login
    assert harness.host in page.text
    assert "An application" not in page.text
    assert harness.web.count(harness.host) == 0
    assert stranger.sign_in(page).is_consent
    assert harness.web.count(harness.host) == 1


def test_a_client_is_stored_once_somebody_allowed_it(harness):
    """CIMD-29, CIMD-30, CIMD-34, ATK-61: not when it was looked at, not when it was refused."""
    client_id = harness.serve_document()
    browser = harness.browser()
    page = ask(browser, client_id)
    assert harness.count(Client) == 1
    browser.decide(page, allow=False)
    assert harness.count(Client) == 1
    browser.decide(ask(browser, client_id))
    assert harness.count(Client) == 2
    with harness.server.database.read() as tx:
        row = clients.show(tx, harness.tenant_id, client_id)
    assert (row.kind, row.status) == ("cimd", "known")
    for _ in range(10):
        assert browser.start(client_id=client_id).code
    assert harness.web.count(harness.host) == 1


DEFECTS = [
    ({"client_id": "{id}/"}, "document_client_id"),
    ({"client_id": "{id}?x"}, "document_client_id"),
    ({"client_id": None}, "document_client_id"),
    ({"client_id": ["{id}"]}, "document_client_id"),
    ({"client_name": None}, "document_client_name"),
    ({"client_name": ""}, "document_client_name"),
    ({"client_name": "  "}, "document_client_name"),
    ({"client_name": 7}, "document_client_name"),
    ({"client_name": "x" * 201}, "document_client_name"),
    ({"client_name": "Bank\nApproved by an administrator"}, "document_client_name"),
    ({"client_name": "\u202egnp.exe"}, "document_client_name"),
    ({"client_name": "a\u2028b"}, "document_client_name"),
    ({"redirect_uris": None}, "document_redirect_uris"),
    ({"redirect_uris": []}, "document_redirect_uris"),
    ({"redirect_uris": REDIRECT}, "document_member"),
    ({"redirect_uris": [REDIRECT, 5]}, "document_member"),
    ({"redirect_uris": [REDIRECT, ""]}, "document_member"),
    ({"redirect_uris": [REDIRECT] * 51}, "document_redirect_uris"),
    ({"redirect_uris": [REDIRECT, "http://client.example/cb"]}, "document_redirect_uris"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "document_redirect_uris"),
    ({"redirect_uris": ["JavaScript:alert(1)"]}, "document_redirect_uris"),
    ({"redirect_uris": [" javascript:alert(1)"]}, "document_redirect_uris"),
    ({"redirect_uris": ["data:text/html,x"]}, "document_redirect_uris"),
    ({"redirect_uris": ["vbscript:x"]}, "document_redirect_uris"),
    ({"redirect_uris": ["file:///etc/passwd"]}, "document_redirect_uris"),
    ({"redirect_uris": ["blob:https://client.example/1"]}, "document_redirect_uris"),
    ({"redirect_uris": ["about:blank"]}, "document_redirect_uris"),
    ({"redirect_uris": ["https://client.example/cb#x"]}, "document_redirect_uris"),
    ({"redirect_uris": ["https://client.example/*"]}, None),
    ({"redirect_uris": ["https://a@client.example/cb"]}, "document_redirect_uris"),
    ({"redirect_uris": ["myapp://cb"]}, "document_redirect_uris"),
    ({"client_secret": "s"}, "document_secret"),
    ({"client_secret": ""}, "document_secret"),
    ({"client_secret_expires_at": 0}, "document_secret"),
    ({"token_endpoint_auth_method": "client_secret_basic"}, "document_auth_method"),
    ({"token_endpoint_auth_method": "client_secret_post"}, "document_auth_method"),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "document_auth_method"),
    ({"token_endpoint_auth_method": "tls_client_auth"}, "document_auth_method"),
    ({"token_endpoint_auth_method": ["none"]}, "document_auth_method"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "document_keys"),
    ({"jwks": {"keys": [KEY]}, "jwks_uri": "https://keys.example/"}, "document_keys"),
    ({"jwks": {"keys": [{**KEY, "d": "AA"}]}}, "jwk_not_public"),
    ({"jwks": {"keys": [KEY, {**KEY, "d": "AA"}]}}, "jwk_not_public"),
    ({"jwks": {"keys": [{**RSA, "p": "AA"}]}}, "jwk_not_public"),
    ({"jwks": {"keys": [{**RSA, "oth": []}]}}, "jwk_not_public"),
    ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "jwk_not_public"),
    ({"jwks": {"keys": []}}, "jwks_malformed"),
    ({"jwks": {"keys": [KEY] * 21}}, "jwks_malformed"),
    ({"jwks": []}, "jwks_malformed"),
    ({"jwks": "x"}, "jwks_malformed"),
    ({"jwks": {"keys": [{"kty": []}]}}, "jwks_without_usable_key"),
    ({"jwks": {"keys": [{"kty": {}}]}}, "jwks_without_usable_key"),
    ({"jwks": {"keys": [5]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**RSA, "e": "AQ=="}]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**RSA, "e": "é==="}]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**RSA, "e": "AQAA"}]}}, "jwk_weak"),
    ({"jwks": {"keys": [{**RSA, "e": "AQ"}]}}, "jwk_weak"),
    ({"jwks": {"keys": [{**RSA, "n": "AQAB"}]}}, "jwk_weak"),
    ({"jwks": {"keys": [{**KEY, "x": 5}]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**KEY, "x": KEY["y"]}]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**KEY, "crv": "P-521"}]}}, "jwk_malformed"),
    ({"jwks": {"keys": [{**KEY, "crv": []}]}}, "jwk_malformed"),
    ({"jwks_uri": "http://keys.example/"}, "document_link"),
    ({"jwks_uri": 5}, "document_link"),
    ({"logo_uri": "javascript:alert(1)"}, "document_link"),
    ({"logo_uri": "data:image/png;base64,AA"}, "document_link"),
    ({"logo_uri": "http://client.example/logo.png"}, "document_link"),
    ({"client_uri": "https://a@b.example/"}, "document_link"),
    ({"client_uri": "https://["}, "document_link"),
    ({"policy_uri": 'https://x.example/" onclick="alert(1)'}, "document_link"),
    ({"tos_uri": "https://x.example/\nx"}, "document_link"),
    ({"tos_uri": "https://x.example/" + "a" * 2100}, "document_link"),
    ({"grant_types": "authorization_code"}, "document_member"),
    ({"grant_types": [["authorization_code"]]}, "document_member"),
    ({"token_endpoint_auth_methods_supported": "none"}, "document_member"),
]


@pytest.fixture(scope="module")
def shared(server):
    """One tenant whose only change is what its documents say."""
    made = Harness(server)
    made.person = made.browser()
    made.person.sign_in()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("members", "reason"), DEFECTS, ids=[f"{n}-{'-'.join(m)}" for n, (m, _) in enumerate(DEFECTS)]
)
def test_a_document_with_a_defect_is_a_page_that_names_it(shared, members, reason):
    """CIMD-07 to CIMD-10, CIMD-12, CIMD-16, CIMD-22, CIMD-23, CIMD-27, MCP-AS-38, MCP-AS-39, MCP-AS-43, ATK-45,

    MCP-AS-51, MCP-AS-53: no redirect, nothing stored, never a 5xx.
    """
    number = DEFECTS.index((members, reason))
    # Several hosts: one may be asked 60 times a minute (ATK-48).
    host, path = f"d{number // 40}.{shared.host}", f"/{number}.json"
    url = shared.web.url(host, path)
    filled = {
        name: (
            value.format(id=url)
            if isinstance(value, str)
            else [value[0].format(id=url)]
            if name == "client_id" and value
            else value
        )
        for name, value in members.items()
    }
    if "jwks" in filled or "jwks_uri" in filled:
        filled.setdefault("token_endpoint_auth_method", None)
    client_id = shared.serve_document(host, path, **filled)
    shared.clock.advance(seconds=11)
    page = shared.person.start(client_id=client_id)
    assert (page.status, page.location) == (400, "")
    assert page.reason == (reason or "redirect_uri_unregistered")
    assert not page.is_consent
    assert "<script" not in page.text
    assert shared.count(Client) == 1


JSON = {"Content-Type": "application/json"}


def body(url, **members):
    document = {"client_id": url, "client_name": "App", "redirect_uris": [REDIRECT], **members}
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            lambda url: Reply(301, headers={"Location": "https://other.example/c"}),
            "document_status",
        ),
        (lambda url: Reply(302, body(url), {**JSON, "Location": url}), "document_status"),
        (lambda url: Reply(404), "document_status"),
        (lambda url: Reply(204), "document_status"),
        (lambda url: Reply(206, body(url), JSON), "document_status"),
        (lambda url: Reply(201, body(url), JSON), "document_status"),
        (lambda url: Reply(500, body(url), JSON), "document_status"),
        (lambda url: Reply(200, body(url), {"Content-Type": "text/html"}), "document_content_type"),
        (
            lambda url: Reply(200, body(url), {"Content-Type": "text/plain"}),
            "document_content_type",
        ),
        (lambda url: Reply(200, body(url)), "document_content_type"),
        (lambda url: Reply(200, b"<html></html>", JSON), "document_json"),
        (lambda url: Reply(200, b"", JSON), "document_json"),
        (lambda url: Reply(200, b"[]", JSON), "document_json"),
        (lambda url: Reply(200, b'"x"', JSON), "document_json"),
        (lambda url: Reply(200, b"\xef\xbb\xbf" + body(url), JSON), "document_json"),
        (lambda url: Reply(200, body(url).decode().encode("utf-16"), JSON), "document_json"),
        (lambda url: Reply(200, body(url)[:-1] + b',"client_id":"x"}', JSON), "document_json"),
        (lambda url: Reply(200, body(url)[:-1] + b',"n":NaN}', JSON), "document_json"),
        (lambda url: Reply(200, body(url)[:-1] + b',"n":1e999}', JSON), "document_json"),
        (lambda url: Reply(200, body(url)[:-1] + b',"n":"\\u0000"}', JSON), "document_json"),
        (lambda url: Reply(200, body(url)[:-1] + b',"n":"\\ud800"}', JSON), "document_json"),
        (lambda url: Reply(200, b"[" * 3000, JSON), "document_json"),
        (lambda url: Reply(200, body(url, x="y" * 5200), JSON), "document_too_large"),
        (lambda url: Reply(200, b"", JSON, endless=True), "document_too_large"),
        (
            lambda url: Reply(200, body(url), {**JSON, "Content-Encoding": "gzip"}),
            "document_encoded",
        ),
        (
            lambda url: Reply(200, body(url), {**JSON, "X": "y" * 20_000}),
            "document_headers_too_large",
        ),
    ],
    ids=range(26),
)
def test_a_host_that_does_not_serve_the_document_is_a_page(harness, reply, reason):
    """CIMD-05, CIMD-06, CIMD-17, CIMD-20, MCP-AS-40, MCP-AS-46, MCP-AS-51: redirects are not followed."""
    url = harness.web.url(harness.host, "/client.json")
    harness.web.serve(harness.host, reply(url))
    page = ask(harness.browser(), url)
    assert (page.status, page.location, page.reason) == (400, "", reason)
    assert harness.web.count(harness.host) == 1
    assert harness.count(Client) == 1


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/cimd+json"])
def test_json_of_any_kind_is_taken(harness, kind):
    """CIMD-06, mcp.md 9.5."""
    url = harness.web.url(harness.host, "/client.json")
    harness.web.serve(harness.host, Reply(200, body(url), {"Content-Type": kind}))
    assert ask(harness.browser(), url).is_consent
    seen = harness.web.requests[-1]
    assert seen.headers["accept"] == "application/json"
    assert "cookie" not in seen.headers


def test_a_failure_is_not_remembered_as_an_answer(harness):
    """CIMD-19, CIMD-20, MCP-AS-41: ten seconds later the mended document works; until then the host is left alone."""
    url = harness.web.url(harness.host, "/client.json")
    harness.web.serve(harness.host, Reply(500))
    browser = harness.browser()
    assert ask(browser, url).reason == "document_status"
    harness.serve_document()
    assert browser.start(client_id=url).reason == "document_cooling_down"
    assert harness.web.count(harness.host) == 1
    harness.clock.advance(seconds=10)
    assert browser.start(client_id=url).is_consent


@pytest.mark.parametrize(
    ("cache_control", "fresh"),
    [("no-store", 300), ("max-age=0", 300), ("max-age=900", 900), ("max-age=315360000", 86400)],
)
def test_freshness_is_the_hosts_wish_between_floor_and_ceiling(harness, cache_control, fresh):
    """CIMD-18, CIMD-34, MCP-AS-41."""
    url = harness.web.url(harness.host, "/client.json")
    reply = Reply(200, body(url), {**JSON, "Cache-Control": cache_control})
    harness.web.serve(harness.host, reply)
    browser = harness.browser()
    ask(browser, url)
    harness.clock.advance(seconds=fresh - 10)
    ask(browser, url)
    assert harness.web.count(harness.host) == 1
    harness.clock.advance(seconds=10)
    ask(browser, url)
    assert harness.web.count(harness.host) == 2


@pytest.mark.parametrize(
    "client_id",
    [
        "https://{host}",
        "https://{host}/",
        "https://{host}/a/../client.json",
        "https://{host}/a/%2e%2e/client.json",
        "https://{host}/a/%2E./client.json",
        "https://{host}/a%2f..%2fclient.json",
        "https://{host}/client.json#x",
        "https://user@{host}/client.json",
        "https://user:pw@{host}/client.json",
        "https://{host}./client.json",
        "https://{host}:0/client.json",
        "https://{host}:99999/client.json",
        "https://{host}\\@evil.example/client.json",
        "https://{host}/cli ent.json",
        "https://{host}/client.json\t",
        "https://ⓔ.example/client.json",
        "https://bücher.example/client.json",
        "https://[::1%25lo]/client.json",
        "https://127.1/client.json",
        "https://0x7f000001/client.json",
        "https://2130706433/client.json",
        "https://[/client.json",
        "https://{host}/" + "a" * 2048,
    ],
    ids=ascii,
)
@pytest.mark.parametrize("signed_in", [True, False])
def test_an_identifier_that_breaks_a_rule_is_refused_before_any_network(
    shared, client_id, signed_in
):
    """CIMD-01, CIMD-03, MCP-AS-37, ATK-47."""
    text = client_id.format(host=shared.host)
    before = len(shared.web.resolutions)
    page = (shared.person if signed_in else shared.browser()).start(client_id=text)
    assert (page.status, page.location, page.reason) == (400, "", "client_id_malformed")
    assert len(shared.web.resolutions) == before


@pytest.mark.parametrize(
    "client_id", ["HTTPS://{host}/c", "http://{host}/c", "//{host}/c", "ftp://{host}/c"]
)
def test_what_is_no_https_url_is_only_an_unknown_name(shared, client_id):
    """CIMD-01, CIMD-30."""
    page = shared.person.start(client_id=client_id.format(host=shared.host))
    assert (page.status, page.reason) == (400, "client_unknown")


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fd00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
def test_no_name_and_no_number_leads_into_private_networks(harness, address):
    """CIMD-14, MCP-AS-45, ATK-47: written in the URL, or given by DNS, alone or beside a good address."""
    browser = harness.browser()
    browser.sign_in()
    literal = f"[{address}]" if ":" in address else address
    page = browser.start(client_id=f"https://{literal}/client.json")
    assert (page.status, page.reason) == (400, "document_address_refused")
    for n, addresses in enumerate([[address], ["93.184.215.14", address]]):
        name = f"n{n}.{harness.host}"
        harness.server.addresses[name] = addresses
        page = browser.start(client_id=f"https://{name}/client.json")
        assert (page.status, page.reason) == (400, "document_address_refused")


@pytest.mark.parametrize("port", [22, 25, 80, 444])
def test_no_other_service_of_a_host_is_asked(harness, port):
    """ATK-47, CIMD-17."""
    browser = harness.browser()
    page = ask(browser, f"https://{harness.host}:{port}/client.json")
    assert (page.status, page.reason) == (400, "document_port_refused")


def test_each_spelling_is_a_client_of_its_own(harness):
    """CIMD-02: consent for one is none for the other, and a document speaks for its own address alone."""
    client_id = harness.serve_document()
    browser = harness.browser()
    browser.decide(ask(browser, client_id))
    for other in (client_id + "?", client_id.replace("client", "%63lient"), client_id + "?v=2"):
        assert browser.start(client_id=other).reason == "document_client_id"


# -- trust ------------------------------------------------------------------------------------------------


def test_an_allow_list_admits_what_it_names_on_label_boundaries(harness):
    """CIMD-31, CIMD-32, MCP-AS-49, MCP-AS-51."""
    harness.set_trust("allow_list")
    name = harness.slug
    harness.change(client_trust.set_rule, pattern=f"*.{name}.example", verdict="allow")
    browser = harness.browser()
    for host, admitted in (
        (f"app.{name}.example", True),
        (f"deep.app.{name}.example", True),
        (f"{name}.example", False),
        (f"evil-{name}.example", False),
        (f"app.{name}.example.evil.example", False),
        (f"app{name}.example", False),
    ):
        page = ask(browser, harness.serve_document(host))
        assert page.is_consent is admitted
        if admitted:
            assert "Approved by an administrator" in page.text
        else:
            assert page.status == 403
            assert "not approved yet" in page.text
            assert harness.web.count(host) == 0
    assert harness.count(Client) == 1


def test_a_deny_list_wins_over_everything(harness):
    """CIMD-32, MCP-AS-49."""
    harness.set_trust("deny_list")
    client_id = harness.serve_document()
    browser = harness.browser()
    browser.decide(ask(browser, client_id))
    harness.change(client_trust.set_rule, pattern=client_id, verdict="allow")
    assert browser.start(client_id=client_id).code
    harness.change(client_trust.set_rule, pattern=harness.host, verdict="deny")
    page = browser.start(client_id=client_id)
    assert (page.status, page.location, page.reason) == (400, "", "client_denied")


def test_trust_is_judged_at_every_use(harness):
    """CIMD-31, CIMD-38, ATK-71: what was consented under a wider rule ends with the rule."""
    client_id = harness.serve_document()
    tokens = harness.tokens(client_id=client_id)
    assert harness.refresh(tokens.refresh_token, client_id=client_id).ok
    harness.set_trust("allow_list")
    refused = harness.refresh(tokens.refresh_token, client_id=client_id)
    assert (refused.status, refused.reason) == (401, "client_not_admitted")


def test_a_frozen_document_client_is_refused_everywhere(harness):
    """CIMD-38, ATK-60, MCP-AS-49."""
    client_id = harness.serve_document()
    browser = harness.browser()
    held = harness.redeem(browser.authorize(client_id=client_id).code, client_id=client_id)
    code = browser.start(client_id=client_id).code
    harness.change(clients.block, client_id)
    page = browser.start(client_id=client_id)
    assert (page.status, page.location, page.reason) == (400, "", "client_blocked")
    assert harness.redeem(code, client_id=client_id).reason == "client_blocked"
    assert harness.refresh(held.refresh_token, client_id=client_id).reason == "client_blocked"


def test_a_person_may_ask_for_a_client_and_an_operator_decides(harness):
    """CIMD-31, MCP-AS-49: one row, by a click, for exactly this address."""
    harness.set_trust("allow_list")
    client_id = harness.serve_document()
    browser = harness.browser()
    page = ask(browser, client_id)
    assert (page.status, page.field("request_id")) == (403, client_id)
    assert harness.count(ClientRequest) == 0
    for _ in range(2):
        filed = browser.post(f"{harness.issuer}/clients/request", {"request_id": client_id})
        assert filed.status == 200
    assert harness.count(ClientRequest) == 1
    assert len(harness.events("client.requested")) == 1
    assert "An administrator has been asked" in browser.start(client_id=client_id).text
    assert harness.web.count(harness.host) == 0
    harness.change(client_trust.approve, client_id)
    assert browser.start(client_id=client_id).is_consent
    assert browser.start(client_id=client_id + "?x").status == 403


def test_requests_for_clients_are_bounded_and_personal(harness):
    """ATK-61, ATK-63: ten open ones, no strangers, no nonsense, nothing that is decided already."""
    harness.set_trust("allow_list")
    url = f"{harness.issuer}/clients/request"
    browser = harness.browser()
    wanted = f"https://{harness.host}/c"
    assert browser.post(url, {"request_id": wanted}).reason == "not_signed_in"
    browser.sign_in()
    statuses = [browser.post(url, {"request_id": f"{wanted}{n}"}).status for n in range(12)]
    assert statuses == [200] * 10 + [400] * 2
    assert "Ask an administrator to approve it" in browser.start(client_id=wanted).text
    other = harness.browser("sre@example.com")
    other.sign_in()
    for request_id, reason in (
        ("", "not_signed_in"),
        ("nobody", "client_unknown"),
        ("https://[", "client_id_malformed"),
        ("https://" + "a" * 3000, "client_id_malformed"),
    ):
        assert other.post(url, {"request_id": request_id}).reason == reason
    harness.change(client_trust.set_rule, pattern=harness.host, verdict="allow")
    assert other.post(url, {"request_id": wanted}).reason == "client_admitted"
    harness.change(client_trust.set_rule, pattern=harness.host, verdict="deny")
    assert other.post(url, {"request_id": wanted}).reason == "client_denied"
    assert harness.count(ClientRequest) == 10


# -- the logo ---------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("reply", "served"),
    [
        (Reply(200, PNG, {"Content-Type": "text/html"}), "image/png"),
        (Reply(200, b"GIF89a" + bytes(9), {"Content-Type": "image/gif"}), "image/gif"),
        (Reply(200, b"<svg onload=alert(1)>", {"Content-Type": "image/svg+xml"}), None),
        (Reply(200, b"<html>", {"Content-Type": "image/png"}), None),
        (Reply(200, PNG + bytes(300_000), {"Content-Type": "image/png"}), None),
        (Reply(302, PNG, {"Location": "https://evil.example/"}), None),
        (Reply(404, PNG), None),
    ],
)
def test_a_logo_is_ours_to_serve_and_a_picture(harness, reply, served):
    """CIMD-26, MCP-AS-45, MCP-AS-50, ATK-47: to the person who is asked, by us, told by its bytes."""
    host = f"logo.{harness.host}"
    harness.web.serve(host, reply)
    client_id = harness.serve_document(logo_uri=harness.web.url(host, "/logo.png"))
    browser = harness.browser()
    page = ask(browser, client_id)
    assert host not in page.text
    assert harness.web.count(host) == 0
    path = f"{harness.issuer}/consent/logo?id={page.field('consent_id')}"
    assert harness.browser().get(path).status == 404
    assert browser.get(f"{harness.issuer}/consent/logo?id=ask_x").status == 404
    assert harness.web.count(host) == 0
    for _ in range(2):
        answer = browser.get(path).response
        if served is None:
            assert answer.status_code == 404
            continue
        assert (answer.status_code, answer.headers["content-type"]) == (200, served)
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert harness.web.count(host) == 1


def test_a_logo_in_a_private_network_is_not_fetched(harness):
    """CIMD-14, CIMD-26, MCP-AS-45."""
    client_id = harness.serve_document(logo_uri="https://192.168.0.1/logo.png")
    browser = harness.browser()
    page = ask(browser, client_id)
    path = f"{harness.issuer}/consent/logo?id={page.field('consent_id')}"
    assert browser.get(path).status == 404


@pytest.mark.parametrize("member", ["client_uri", "policy_uri", "tos_uri"])
def test_links_of_a_document_open_elsewhere_and_tell_nothing(harness, member):
    """CIMD-27, O21-34, ATK-22."""
    link = "https://about.example/?a=1&b=<>"
    browser = harness.browser()
    page = ask(browser, harness.serve_document(**{member: link.replace("<>", "%3C")}))
    assert (
        'href="https://about.example/?a=1&amp;b=%3C" target="_blank" rel="noopener noreferrer"'
        in page.text
    )
