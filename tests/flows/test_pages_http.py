"""HTTP under every page: headers, bodies of every shape, and errors that tell nothing."""

import gzip
from pathlib import Path

import httpx2
import pytest

from authz.admin import clients
from authz.admin.client_metadata import Registration
from tests.support.harness import REDIRECT, Harness, RunningServer, TestClock, challenge
from tests.support.plain_http import NO_TLS
from tests.support.web import FakeWeb

FORM = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Sec-Fetch-Site": "same-origin",
    "Connection": "close",
}
POSTS = ("/login", "/consent", "/consent/switch", "/clients/request", "/token")


@pytest.fixture(scope="module")
def shared(server):
    """One tenant for requests that change nothing."""
    made = Harness(server)
    yield made
    made.close()


def check_headers(response, *, is_page=True):
    headers = response.headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    if is_page:
        assert headers["cache-control"] == "no-store"
        assert headers["content-type"].startswith("text/html; charset=utf-8")


def test_every_page_cannot_be_framed_sniffed_or_kept(harness):
    """ATK-19, ATK-22, O21-23, O21-34, MCP-AS-59: sign-in, consent, refusals, approval, sign-out."""
    browser = harness.browser()
    login = browser.start()
    wrong = browser.post(f"{harness.issuer}/login", {"login": "dev@example.com", "password": "x"})
    consent = browser.sign_in(login)
    refused = browser.start(client_id="nobody")
    foreign = browser.post(f"{harness.issuer}/consent", {}, **{"Sec-Fetch-Site": "cross-site"})
    old = browser.post(f"{harness.issuer}/consent", {"consent_id": "x", "decision": "allow"})
    missing = browser.get(f"{harness.server.base}/t/nobody")
    index = browser.get(harness.issuer)
    document = browser.start(client_id=harness.serve_document(), scope="nonsense")
    harness.set_trust("allow_list")
    approval = browser.start(client_id=harness.serve_document())
    filed = browser.post(
        f"{harness.issuer}/clients/request", {"request_id": approval.field("request_id")}
    )
    out = browser.post(f"{harness.issuer}/logout", {})
    pages = [login, wrong, consent, refused, foreign, old, missing, index, document, approval]
    statuses = [200, 400, 200, 400, 403, 400, 404, 200, 400, 403, 200, 200]
    for page, status in zip([*pages, filed, out], statuses, strict=True):
        assert page.status == status
        check_headers(page.response)
        assert "<script" not in page.text
        assert "http://" not in page.text.replace(harness.server.base, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/%2e%2e/settings.py", 404),
        ("GET", "/static/nothing.css", 404),
        ("DELETE", "/t/{slug}/authorize", 405),
        ("GET", "/t/{slug}/login", 405),
        ("GET", "/t/{slug}/token", 405),
        ("PUT", "/t/{slug}/consent", 405),
        ("TRACE", "/t/{slug}/jwks", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/redoc", 404),
    ],
)
def test_errors_of_the_framework_have_the_headers_too(shared, method, path, status):
    """ATK-19, O21-23."""
    url = shared.server.base + path.format(slug=shared.slug)
    response = shared.http.request(method, url)
    assert response.status_code == status
    check_headers(response, is_page=False)


def test_a_failure_of_the_server_says_nothing_and_has_the_headers(shared, monkeypatch):
    """ATK-19, ATK-66: a database that went away."""

    def broken(*_):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(shared.server.services.configurations, "find", broken)
    for path in ("/authorize?client_id=x", ""):
        response = shared.http.get(shared.issuer + path, headers={"Connection": "close"})
        assert response.status_code == 500
        assert set(response.json()) == {"error", "support_id"}
        assert "hunter2" not in response.text
        check_headers(response, is_page=False)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"login":"x","grant_type":"x"}', "application/json", 400),
        (b"login=x", "text/plain", 400),
        (b"login=x", "", 400),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 400),
        (b"<x/>", "application/xml", 400),
        (b"login=x&" * 9000, "application/x-www-form-urlencoded", 413),
        (b"login=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"f%d=1" % n for n in range(100)), "application/x-www-form-urlencoded", 400),
        (b"&" * 60_000, "application/x-www-form-urlencoded", 400),
        (b"login=%00", "application/x-www-form-urlencoded", 400),
        (b"login=\x00", "application/x-www-form-urlencoded", 400),
        (b"%00=x", "application/x-www-form-urlencoded", 400),
        (b"login=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"login=\xff", "application/x-www-form-urlencoded", 400),
        (gzip.compress(b"login=x"), "application/x-www-form-urlencoded", 400),
        (b"\x00" * 100, "application/x-www-form-urlencoded", 400),
    ],
    ids=range(16),
)
def test_a_body_of_any_shape_is_a_client_error(shared, path, content, kind, status):
    """ATK-63: 4xx, and 413 while reading rather than after."""
    response = shared.http.post(
        shared.issuer + path, content=content, headers={**FORM, "Content-Type": kind}
    )
    # The form that asks for a client says one thing about every form it cannot take.
    assert response.status_code == (400 if path == "/clients/request" else status)


@pytest.mark.parametrize("path", POSTS)
def test_a_body_without_end_is_stopped(shared, path):
    """ATK-63: chunked, so that no length announces it."""

    def drops():
        for _ in range(9):
            yield b"x=" + b"y" * 8192

    response = shared.http.post(shared.issuer + path, content=drops(), headers=FORM)
    assert response.status_code == (400 if path == "/clients/request" else 413)


@pytest.mark.parametrize(
    "cookie",
    ["x", "ses_" + "a" * 5000, '"a\\000b"', "é", "a=b; ;", "ses_x; authz-session=y"],
)
def test_a_strange_cookie_is_no_session(shared, cookie):
    """ATK-16, ATK-63."""
    headers = [("Cookie", f"authz-session-{shared.slug}={cookie}".encode())]
    response = shared.http.get(f"{shared.issuer}/authorize", params=shared.request, headers=headers)
    assert response.status_code == 200
    assert 'name="password"' in response.text


ISSUER = "https://as.example"


def test_behind_tls_cookies_and_transport_are_strict(tmp_path):
    """ATK-16, O21-27, MCP-AS-03, CIMD-15: __Host- and Secure, HSTS, and no fetch from loopback."""
    with FakeWeb() as web:
        server = RunningServer(
            Path(tmp_path), f"sqlite:///{tmp_path / 'a.db'}", web, TestClock(), issuer=ISSUER
        )
        made = Harness(server)
        with httpx2.Client(
            base_url=f"{server.base}/t/{made.slug}", trust_env=False, verify=NO_TLS
        ) as http:
            fields = {"login": "dev@example.com", "password": "correct horse battery staple"}
            answer = http.post("/login", data=fields, headers={"Origin": ISSUER})
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"__Host-authz-session-{made.slug}=ses_")
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert parts == {"httponly", "path=/", "samesite=lax", "secure"}
            assert (
                http.post("/login", data=fields, headers={"Origin": server.base}).status_code == 403
            )
            header = {"Cookie": cookie.partition(";")[0]}
            query = {"code_challenge": challenge(), "client_id": "https://127.0.0.1/c.json"}
            refused = http.get("/authorize", params=query, headers=header)
            assert refused.status_code == 400
            assert "is on loopback" in refused.text
            query = {**made.request, "redirect_uri": REDIRECT}
            shown = http.get("/authorize", params=query, headers=header)
            assert 'name="consent_id"' in shown.text
        made.close()
        server.close()


def test_a_client_cannot_be_registered_for_plain_http(harness):
    """O21-27, MCP-06."""
    from authz.errors import Invalid

    with pytest.raises(Invalid, match="http off loopback"):
        harness.change(
            clients.add, Registration(name="x", redirect_uris=("http://client.example/cb",))
        )
