"""Budgets over the wire: 429 with Retry-After, for clients as JSON and for people as a page (O21-14, ATK-48, ATK-61).

The server believes X-Forwarded-For of loopback here, so a test can come from anywhere.
"""

import itertools
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from authz.db.models import AuthorizationCode, AuthorizationRequest
from authz.telemetry import metrics
from authz.web.addresses import peer_address
from tests.support.arrange import VERIFIER
from tests.support.client_keys import TYPE, ClientKey
from tests.support.databases import migrated_url
from tests.support.harness import Harness, running
from tests.support.web import Reply
from tests.support.workloads import Platform, ask

LIMITS = {
    "failures_per_client_and_address": 20,
    "failures_per_address": 40,
    "failures_per_client": 50,
    "requests_per_address": 100,
    "requests_per_client": 30,
    "pages_per_address": 30,
    "pages_per_user": 12,
    "fetches_per_user": 5,
}
_addresses = (f"198.18.{n // 250}.{n % 250 + 1}" for n in itertools.count())


@pytest.fixture(scope="module")
def strict(engine, worker, tmp_path_factory):
    """A server with small budgets that believes its proxy."""
    folder = tmp_path_factory.mktemp("strict")
    settings = {"limits": LIMITS, "trusted_proxies": ("127.0.0.1",)}
    with (
        migrated_url(engine, folder, f"authz_limits_{worker}") as url,
        running(folder, url, **settings) as made,
    ):
        yield made


@pytest.fixture
def harness(strict):
    made = Harness(strict)
    yield made
    made.close()


@pytest.fixture
def here():
    """An address of one test."""
    return next(_addresses)


def redeem(harness, address, **fields):
    values = {"client_id": harness.client_id, "code": harness.code(), **fields}
    form = {
        "grant_type": "authorization_code",
        "code_verifier": VERIFIER,
        "redirect_uri": harness.request["redirect_uri"],
        **values,
    }
    return harness.token(form, **{"X-Forwarded-For": address})


@pytest.fixture
def confidential(harness):
    made = harness.add_client(name="Web", auth_method="client_secret_post")
    return SimpleNamespace(id=made.client.id, secret=made.secret)


WRONG = {
    "secret": lambda h, c, n: {"client_id": c.id, "client_secret": f"guess-{n}"},
    "code": lambda h, c, n: {"client_id": c.id, "client_secret": c.secret, "code": f"azc_{n}"},
    "refresh token": lambda h, c, n: {
        "client_id": c.id,
        "client_secret": c.secret,
        "grant_type": "refresh_token",
        "refresh_token": f"azr_{n}",
    },
    "assertion": lambda h, c, n: {
        "client_id": c.id,
        "client_assertion_type": TYPE,
        "client_assertion": ClientKey().sign(c.id, h.issuer, h.clock()),
    },
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_guesses_run_into_a_limit_at_one_address_only(harness, confidential, here, kind):
    """O21-14, ATK-61: the secret is not even looked at any more, no row is written, and it ends by itself."""
    right = {"client_id": confidential.id, "client_secret": confidential.secret}
    errors = [
        redeem(harness, here, **WRONG[kind](harness, confidential, n)).error for n in range(20)
    ]
    assert set(errors) <= {"invalid_client", "invalid_grant"}
    events = len(harness.events())
    for _ in range(3):
        limited = redeem(harness, here, **right)
        assert (limited.status, limited.error) == (429, "temporarily_unavailable")
        assert limited.reason == "failures_per_client_and_address"
    assert len(harness.events()) == events
    headers = limited.response.headers
    assert headers["retry-after"] == "3"
    assert headers["cache-control"] == "no-store"
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert set(limited.json) == {"error", "error_description"}
    assert redeem(harness, next(_addresses), client_id=harness.client_id).ok
    fields = {**right, "code": harness.code(client_id=confidential.id)}
    assert redeem(harness, next(_addresses), **fields).ok
    harness.clock.advance(seconds=3)
    assert redeem(harness, here, **fields | {"code": harness.code(client_id=confidential.id)}).ok


def test_who_knows_a_client_id_locks_nobody_out(harness, confidential, here):
    """O21-14: three addresses guess until the client's budget is gone; where it has worked before it still works."""

    def right(address):
        code = harness.code(client_id=confidential.id)
        secret = {"client_id": confidential.id, "client_secret": confidential.secret}
        return redeem(harness, address, code=code, **secret)

    assert right(here).ok
    wrong = {"client_id": confidential.id, "client_secret": "guess"}
    guessers = [next(_addresses) for _ in range(3)]
    assert {redeem(harness, a, **wrong).status for a in guessers for _ in range(20)} == {401, 429}
    stranger = right(next(_addresses))
    assert (stranger.status, stranger.reason) == (429, "failures_per_client")
    assert right(here).ok


def test_one_address_cannot_try_many_clients(harness, here):
    """O21-14, ATK-65: unknown names and known ones cost the same."""
    tries = [redeem(harness, here, client_id=f"nobody-{n}") for n in range(45)]
    assert [t.status for t in tries] == [401] * 40 + [429] * 5
    assert tries[-1].reason == "failures_per_address"


def test_requests_are_counted_whoever_sends_them(harness, here):
    statuses = [
        harness.token(
            {"grant_type": "x"} | {"client_id": harness.client_id}, **{"X-Forwarded-For": here}
        )
        for _ in range(102)
    ]
    assert [s.status for s in statuses] == [400] * 100 + [429] * 2
    assert statuses[-1].reason == "requests_per_address"
    assert int(statuses[-1].response.headers["retry-after"]) == 1


def test_a_client_that_authenticates_has_one_budget_everywhere(harness, confidential):
    fields = {"client_id": confidential.id, "client_secret": confidential.secret}
    statuses = [
        harness.token({"grant_type": "x", **fields}, **{"X-Forwarded-For": next(_addresses)})
        for _ in range(31)
    ]
    assert [s.error for s in statuses] == ["unsupported_grant_type"] * 30 + [
        "temporarily_unavailable"
    ]
    assert statuses[-1].reason == "requests_per_client"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/authorize"), ("POST", "/login"), ("POST", "/consent"), ("POST", "/clients/request")],
)
def test_pages_have_a_budget_by_address_and_a_page_that_says_so(harness, here, method, path):
    own = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": here}
    own["Content-Type"] = "application/x-www-form-urlencoded"
    send = lambda: harness.http.request(method, harness.issuer + path, headers=own)  # noqa: E731
    before = [send().status_code for _ in range(30)]
    limited = send()
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) == 2
    assert "Too many requests" in limited.text
    assert limited.headers["content-type"].startswith("text/html")
    assert "location" not in limited.headers
    assert set(before) <= {400, 429}
    assert 400 in before
    counted = metrics.LIMITED.labels(
        {"/clients/request": "approval"}.get(path, path[1:]), "pages_per_address"
    )
    assert counted._value.get() >= 1


def test_a_person_who_asks_without_end_fills_no_table(harness, here):
    """ATK-61: a remembered consent writes a code at every visit."""
    browser = harness.browser()
    browser.http.headers["X-Forwarded-For"] = here
    assert browser.authorize().code
    pages = [browser.start(state=str(n)) for n in range(20)]
    limited = [page for page in pages if page.status == 429]
    assert limited
    assert {page.reason for page in limited} == {"pages_per_user"}
    assert all("retry-after" in page.response.headers for page in limited)
    assert harness.count(AuthorizationCode) + harness.count(AuthorizationRequest) <= 13


def test_a_person_makes_this_server_fetch_a_little_and_not_much(harness, here):
    """ATK-48, CIMD-17, CIMD-19: a page, and nothing is asked of anybody; what is at hand is free."""
    browser = harness.browser()
    browser.http.headers["X-Forwarded-For"] = here
    known = harness.serve_document(path="/known.json")
    assert browser.sign_in(browser.start(client_id=known)).is_consent
    resolved = len(harness.web.resolutions)
    pages = [
        browser.start(client_id=harness.serve_document(host=f"h{n}.{harness.host}"))
        for n in range(7)
    ]
    assert [page.status for page in pages] == [200] * 4 + [429] * 3
    assert pages[-1].reason == "fetches_per_user"
    assert len(harness.web.resolutions) == resolved + 4
    assert browser.start(client_id=known).is_consent


def test_a_logo_that_cannot_be_had_is_not_asked_for_without_end(harness, here):
    """ATK-48: what failed is not remembered, so every view of the image would be a request to somebody."""
    browser = harness.browser()
    browser.http.headers["X-Forwarded-For"] = here
    gone = f"gone.{harness.host}"
    harness.web.serve(gone, Reply(404))
    client_id = harness.serve_document(logo_uri=harness.web.url(gone, "/logo.png"))
    page = browser.sign_in(browser.start(client_id=client_id))
    logo = f"{harness.issuer}/consent/logo?id={page.field('consent_id')}"
    shown = [browser.get(logo) for _ in range(6)]
    assert [it.status for it in shown] == [404] * 4 + [429] * 2
    assert int(shown[-1].response.headers["retry-after"]) > 0
    assert len([it for it in harness.web.requests if it.host == gone]) == 4


def request_from(peer, *forwarded):
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    return Request({"type": "http", "client": peer and (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::/64"),
        ("10.0.0.1", ["x" * 500], "x" * 64),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", [], "198.51.100.1"),
        (None, [], "unknown"),
    ],
)
def test_whose_address_it_is(peer, forwarded, address):
    """ATK-70: nobody chooses it; a subscriber has one, however many IPv6 addresses that is."""
    edge = SimpleNamespace(trusted_proxies=frozenset({"10.0.0.1", "10.0.0.2"}))
    assert peer_address(edge, request_from(peer, *forwarded)) == address


def test_rubbish_in_the_name_of_an_issuer_runs_into_a_limit(harness, here):
    """WIF-01: nobody is authenticated before, so it counts at the address; known and unknown issuers alike."""
    platform = Platform()
    platform.trust_at(harness)
    for issuer in (platform.issuer, "https://stranger.example"):
        forger, address = Platform(issuer), next(_addresses)
        for _ in range(20):
            answer = ask(harness, forger.assertion(harness), {"X-Forwarded-For": address})
            assert answer.error == "invalid_grant"
        limited = ask(harness, forger.assertion(harness), {"X-Forwarded-For": address})
        assert (limited.status, limited.reason) == (429, "failures_per_client_and_address")
    assert ask(harness, platform.assertion(harness), {"X-Forwarded-For": here}).ok
