"""Pushed authorization requests (RFC 9126): what may be pushed, and that it is answered once, whatever way it takes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlencode

import httpx2
import pytest
from sqlalchemy import select

from authz import jobs
from authz.admin import resources
from authz.db.models import AuthorizationCode, PushedRequest
from authz.oauth import par
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import REDIRECT, RESOURCE, Harness, running
from tests.support.plain_http import NO_TLS

PREFIX = "urn:ietf:params:oauth:request_uri:"


def push(harness, *, headers=None, **changes):
    fields = {**harness.request, **changes}
    return harness.post(
        "/par", {n: v for n, v in fields.items() if v is not None}, **(headers or {})
    )


def reference(harness, **changes):
    answer = push(harness, **changes)
    assert answer.status == 201, answer.json
    return answer.json["request_uri"]


def link(harness, request_uri, client_id=None, **more):
    query = {"client_id": client_id or harness.client_id, "request_uri": request_uri, **more}
    return f"{harness.issuer}/authorize?{urlencode(query)}"


@pytest.fixture(scope="module")
def shared(server):
    made = Harness(server)
    yield made
    made.close()


def test_a_pushed_request_is_a_whole_flow(harness):
    """PAR-01: 201, a reference of 256 random bits, good for less than ten minutes, never cached."""
    answer = push(harness)
    assert answer.status == 201
    assert set(answer.json) == {"request_uri", "expires_in"}
    assert answer.json["request_uri"].startswith(PREFIX)
    assert len(answer.json["request_uri"]) >= len(PREFIX) + 43
    assert 0 < answer.json["expires_in"] < 600
    assert answer.response.headers["cache-control"] == "no-store"
    browser = harness.browser()
    page = browser.get(link(harness, answer.json["request_uri"]))
    assert page.is_login
    page = browser.sign_in(page)
    assert page.is_consent
    page = browser.decide(page)
    assert page.location.startswith(REDIRECT)
    assert page.sent.keys() == {"code", "state", "iss"}
    assert page.sent["state"] == "xyz"
    assert harness.redeem(page.code).scopes == {"logs.read"}
    assert harness.count(PushedRequest) == 0


def test_two_pushes_are_two_requests(shared):
    """PAR-01: never guessed from the other."""
    assert reference(shared) != reference(shared)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"request_uri": PREFIX + "x"}, "invalid_request", "request_uri_pushed"),
        ({"request_uri": "https://evil.example/r"}, "invalid_request", "request_uri_pushed"),
        ({"request": "e30.e30."}, "request_not_supported", "request_object"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type"),
        ({"response_type": None}, "invalid_request", "response_type_missing"),
        ({"code_challenge": None}, "invalid_request", "code_challenge_missing"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request", "redirect_uri_unregistered"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_request", "redirect_uri_unregistered"),
        ({"resource": "https://other.example/mcp"}, "invalid_target", "resource_unknown"),
        ({"scope": "no.such"}, "invalid_scope", "scope_unknown"),
        ({"prompt": "none login"}, "invalid_request", "prompt"),
        ({"max_age": "-1"}, "invalid_request", "max_age"),
        ({"dpop_jkt": "short"}, "invalid_request", "dpop_jkt_malformed"),
        ({"dpop_jkt": "=" * 43}, "invalid_request", "dpop_jkt_malformed"),
        ({"client_id": None}, "invalid_client", "client_missing"),
        ({"client_id": "nobody"}, "invalid_client", "client_unknown"),
        ({"a": "x" * 8192, "b": "x" * 8192}, "invalid_request", "request_too_long"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_would_be_refused_at_the_page_is_refused_here(shared, changes, error, reason):
    """PAR-01, PAR-02, JAR-02, JAR-03, DPOP-03: in the manner of the token endpoint, and nothing is stored."""
    before = shared.count(PushedRequest)
    answer = push(shared, **changes)
    assert (answer.error, answer.reason) == (error, reason)
    assert answer.status == (401 if error == "invalid_client" else 400)
    assert "location" not in answer.response.headers
    assert shared.count(PushedRequest) == before


def test_the_endpoint_is_for_forms_that_are_posted(shared):
    """PAR-01, ATK-63: 405 for anything else, 413 for too much."""
    url = f"{shared.issuer}/par"
    for method in ("GET", "PUT", "DELETE"):
        assert shared.http.request(method, url).status_code == 405
    assert push(shared, state="x" * 70_000).status == 413
    answer = shared.http.post(url, json=shared.request)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    pairs = [*shared.request.items(), ("state", "other")]
    assert shared.post("/par", pairs).reason == "parameter_repeated"
    pairs = [*shared.request.items(), ("resource", RESOURCE)]
    assert shared.post("/par", pairs).error == "invalid_target"
    answer = shared.http.options(url)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_confidential_client_authenticates(harness):
    """PAR-01, JB-25: as at the token endpoint; what it proved itself with is not stored."""
    made = harness.add_client(auth_method="client_secret_post")
    client_id = made.client.id
    assert push(harness, client_id=client_id).reason == "client_unauthenticated"
    assert push(harness, client_id=client_id, client_secret="wrong").reason == "secret_wrong"
    request_uri = reference(harness, client_id=client_id, client_secret=made.secret)
    with harness.server.database.read() as tx:
        [row] = tx.scalars(
            select(PushedRequest).where(PushedRequest.tenant_id == harness.tenant_id)
        )
    assert made.secret not in row.query
    assert request_uri not in row.query
    assert row.digest != request_uri
    assert f"client_id={client_id}" in row.query


def test_an_assertion_names_the_client_of_the_push(harness):
    """PAR-01, JB-25: `client_id` may be left out, and comes with the reference all the same."""
    key = ClientKey()
    client_id = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks).client.id
    fields = key.fields(client_id, harness.issuer, harness.clock())
    request_uri = reference(harness, client_id=None, **fields)
    assert push(harness, client_id=None, **fields).reason == "assertion_replayed"
    browser = harness.browser()
    page = browser.sign_in(browser.get(link(harness, request_uri, client_id)))
    assert browser.decide(page).code


@pytest.mark.parametrize("stranger", [None, "nobody", "", "other"])
def test_the_reference_is_bound_to_its_client(harness, stranger):
    """PAR-03: on a page; nothing is sent anywhere."""
    other = harness.add_client().client.id
    request_uri = reference(harness)
    query = {"request_uri": request_uri}
    if stranger is not None:
        query["client_id"] = other if stranger == "other" else stranger
    page = harness.browser().get(f"{harness.issuer}/authorize?{urlencode(query)}")
    assert (page.status, page.location) == (400, "")
    reasons = {None: "client_id_missing", "": "client_id_missing"}
    assert page.reason == reasons.get(stranger, "request_uri_of_other_client")
    # It is still its own client's.
    assert harness.browser().get(link(harness, request_uri)).is_login


def test_an_unknown_or_expired_reference_is_a_page(harness):
    """PAR-03: also that of another tenant."""
    browser = harness.browser()
    page = browser.get(link(harness, PREFIX + "par_" + "a" * 43))
    assert (page.status, page.reason, page.location) == (400, "request_uri_unknown", "")
    neighbour = Harness(harness.server)
    page = browser.get(link(neighbour, reference(harness), harness.client_id))
    assert page.reason == "request_uri_unknown"
    neighbour.close()
    request_uri = reference(harness)
    harness.clock.advance(seconds=par.LIFETIME.total_seconds() - 1)
    assert browser.get(link(harness, request_uri)).is_login
    harness.clock.advance(seconds=1)
    page = browser.get(link(harness, request_uri))
    assert (page.status, page.reason, page.location) == (400, "request_uri_expired", "")


@pytest.mark.parametrize(
    ("request_uri", "reason"),
    [
        ("https://evil.example/r", "request_uri"),
        ("urn:x", "request_uri"),
        ("URN:IETF", "request_uri"),
    ],
)
def test_any_other_request_uri_is_not_supported(shared, request_uri, reason):
    """JAR-03: nothing is fetched; beside good parameters the client learns of it."""
    page = shared.browser().start(request_uri=request_uri)
    assert (page.error, page.reason) == ("request_uri_not_supported", reason)


def test_what_else_the_link_says_does_not_count(harness):
    """PAR-05: neither wider nor elsewhere, and not even twice."""
    request_uri = reference(harness)
    more = {
        "scope": "logs.read analytics.query",
        "redirect_uri": "https://evil.example/",
        "state": "forged",
        "prompt": "none",
        "response_type": "token",
        "request": "e30.e30.",
        "code_challenge": "x" * 43,
    }
    browser = harness.browser()
    url = link(harness, request_uri, **more) + "&scope=incidents.trigger"
    page = browser.get(url)
    assert page.is_login
    page = browser.sign_in(page)
    assert page.offered == ["logs.read"]
    page = browser.decide(page)
    assert page.location.startswith(REDIRECT)
    assert page.sent["state"] == "xyz"
    assert harness.redeem(page.code).scopes == {"logs.read"}


def test_client_and_reference_come_once(shared):
    """ATK-10: frameworks differ in which one they keep."""
    request_uri = reference(shared)
    for more in (f"&request_uri={PREFIX}x", "&client_id=other"):
        page = shared.browser().get(link(shared, request_uri) + more)
        assert (page.status, page.reason, page.location) == (400, "parameter_repeated", "")


def test_a_page_may_be_reloaded_until_it_is_answered(harness):
    """PAR-03: before sign-in, at the consent page; not after the answer."""
    url = link(harness, reference(harness))
    browser = harness.browser()
    for _ in range(3):
        page = browser.get(url)
        assert page.is_login
    browser.sign_in(page)
    for _ in range(3):
        page = browser.get(url)
        assert page.is_consent
    assert browser.decide(page).code
    page = browser.get(url)
    assert (page.status, page.reason, page.location) == (400, "request_uri_unknown", "")


def test_a_no_is_an_answer(harness):
    """PAR-03."""
    url = link(harness, reference(harness))
    browser = harness.browser()
    page = browser.decide(browser.sign_in(browser.get(url)), allow=False)
    assert page.error == "access_denied"
    assert browser.get(url).reason == "request_uri_unknown"


def test_an_earlier_consent_answers_at_once_and_once(harness):
    """PAR-03: the code is made and the reference taken in one transaction."""
    browser = harness.browser()
    assert browser.authorize().code
    url = link(harness, reference(harness))
    page = browser.get(url)
    assert harness.redeem(page.code).ok
    assert browser.get(url).reason == "request_uri_unknown"


def test_two_open_pages_are_one_question(harness):
    """PAR-03: the second answer finds nothing to answer."""
    url = link(harness, reference(harness))
    first, second = harness.browser(), harness.browser("sre@example.com")
    pages = [b.sign_in(b.get(url)) for b in (first, second)]
    assert all(page.is_consent for page in pages)
    assert first.decide(pages[0]).code
    answer = second.decide(pages[1])
    assert (answer.status, answer.reason, answer.location) == (400, "request_uri_unknown", "")
    assert len(harness.events("consent.granted")) == 1


def test_somebody_else_may_take_it_up(harness):
    """PAR-03: switching the person keeps the request."""
    browser = harness.browser()
    page = browser.sign_in(browser.get(link(harness, reference(harness, scope=None))))
    page = browser.post(
        f"{harness.issuer}/consent/switch", {"consent_id": page.field("consent_id")}
    )
    page = browser.get(harness.server.base + page.location)
    assert page.is_login
    browser.login = "sre@example.com"
    page = browser.decide(browser.sign_in(page))
    answer = harness.redeem(page.code)
    assert harness.claims(answer.access_token)["sub"] == harness.users["sre"]


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_a_pushed_wish_for_a_sign_in_is_granted_once(harness, prompt):
    """PAR-05, MCP-AS-56: nobody can strip it from the link, and it does not ask for ever."""
    browser = harness.browser()
    assert browser.authorize().code
    page = browser.get(link(harness, reference(harness, prompt=prompt)))
    assert page.is_login
    page = browser.sign_in(page)
    assert not page.is_login
    if page.is_consent:
        page = browser.decide(page)
    assert page.code


def test_a_pushed_wish_for_silence_is_kept(harness):
    """PAR-05: the refusal goes to the client's own address, as its own parameters say."""
    page = harness.browser().get(link(harness, reference(harness, prompt="none")))
    assert (page.error, page.sent["state"]) == ("login_required", "xyz")


def test_the_hint_of_a_push_fills_the_form(harness):
    """PAR-05: from the request, not from the link."""
    request_uri = reference(harness, login_hint="sre@example.com")
    page = harness.browser().get(link(harness, request_uri, login_hint="evil@example.com"))
    assert "sre@example.com" in page.text
    assert "evil@example.com" not in page.text.split("continue")[0]


def test_what_changed_since_the_push_counts(harness):
    """PAR-01: validated again at every step; by now the return address is known."""
    url = link(harness, reference(harness))
    browser = harness.browser()
    page = browser.sign_in(browser.get(url))
    harness.change(resources.set_status, harness.resource.id, "disabled")
    answer = browser.decide(page)
    assert (answer.error, answer.reason) == ("invalid_target", "resource_disabled")


def test_a_client_may_be_bound_to_push(harness):
    """PAR-04."""
    client_id = harness.add_client(push_only=True).client.id
    page = harness.browser().start(client_id=client_id)
    assert (page.error, page.reason) == ("invalid_request", "push_required")
    browser = harness.browser()
    browser.authorize()
    assert browser.start(client_id=client_id).reason == "push_required"
    request_uri = reference(harness, client_id=client_id)
    assert browser.get(link(harness, request_uri, client_id)).is_consent
    found = harness.http.get(f"{harness.issuer}/.well-known/oauth-authorization-server").json()
    assert found["pushed_authorization_request_endpoint"] == f"{harness.issuer}/par"
    assert found["require_pushed_authorization_requests"] is False


def test_an_installation_may_take_nothing_but_pushes(tmp_path):
    """PAR-04: for every client, and said in its metadata."""
    url = f"sqlite:///{tmp_path / 'authz.db'}"
    with running(tmp_path, url, sections={"clients": {"require_pushed_requests": True}}) as server:
        harness = Harness(server)
        page = harness.browser().start()
        assert (page.error, page.reason) == ("invalid_request", "push_required")
        url = f"{harness.issuer}/.well-known/oauth-authorization-server"
        assert harness.http.get(url).json()["require_pushed_authorization_requests"] is True
        browser = harness.browser()
        page = browser.sign_in(browser.get(link(harness, reference(harness))))
        assert browser.decide(page).code
        # Signed in and allowed before: the quick way asks the same question.
        assert browser.start().reason == "push_required"
        harness.close()


# -- keys -------------------------------------------------------------------------------------------------

KEY, OTHER = DpopKey(), DpopKey()


def proof(harness, path="/par", key=KEY, **changes):
    return {"DPoP": key.proof(f"{harness.issuer}{path}", harness.clock(), **changes)}


def redeem_with(harness, code, headers):
    fields = {"grant_type": "authorization_code", "client_id": harness.client_id, "code": code}
    fields["code_verifier"] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    return harness.token(fields, **headers)


def test_dpop_jkt_binds_the_code(harness):
    """DPOP-03: from the browser; another key, and no key at all, redeem nothing."""
    page = harness.browser().authorize(dpop_jkt=KEY.jkt)
    answer = redeem_with(harness, page.code, {})
    assert (answer.error, answer.reason) == ("invalid_dpop_proof", "binding_proof_missing")
    answer = redeem_with(harness, page.code, proof(harness, "/token", OTHER))
    assert (answer.error, answer.reason) == ("invalid_grant", "binding_other_key")
    answer = redeem_with(harness, page.code, proof(harness, "/token"))
    assert harness.claims(answer.access_token)["cnf"] == {"jkt": KEY.jkt}


@pytest.mark.parametrize("jkt", ["short", "é" * 43, "=" * 43, "a" * 44, "a" * 42 + "."])
def test_a_malformed_dpop_jkt_is_refused(shared, jkt):
    """DPOP-03."""
    page = shared.browser().start(dpop_jkt=jkt)
    assert (page.error, page.reason) == ("invalid_request", "dpop_jkt_malformed")


# Named, because a key is another one in each test process.
@pytest.mark.parametrize("said", [None, KEY.jkt], ids=["nothing said", "the same said"])
def test_a_proof_with_the_push_binds_the_code(harness, said):
    """DPOP-03, RFC 9449 §10.1: with `dpop_jkt` of the same key beside it, or without."""
    request_uri = reference(harness, headers=proof(harness), dpop_jkt=said)
    browser = harness.browser()
    page = browser.decide(browser.sign_in(browser.get(link(harness, request_uri))))
    assert redeem_with(harness, page.code, {}).reason == "binding_proof_missing"
    assert redeem_with(harness, page.code, proof(harness, "/token")).ok


def test_a_proof_has_to_agree_and_to_be_for_this_endpoint(shared):
    """DPOP-01, DPOP-03."""
    answer = push(shared, headers=proof(shared), dpop_jkt=OTHER.jkt)
    assert (answer.error, answer.reason) == ("invalid_request", "dpop_jkt_mismatch")
    answer = push(shared, headers=proof(shared, "/token"))
    assert (answer.error, answer.reason) == ("invalid_dpop_proof", "dpop_htu")
    headers = proof(shared)
    assert push(shared, headers=headers).status == 201
    assert push(shared, headers=headers).reason == "dpop_replayed"


# -- many at once -----------------------------------------------------------------------------------------


def at_once(acts):
    barrier = threading.Barrier(len(acts))

    def run(act):
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_many_loads_of_a_remembered_request_make_one_code(harness):
    """PAR-03, O21-09: the reference is taken by one statement."""
    browser = harness.browser()
    browser.authorize()
    before = harness.count(AuthorizationCode)
    url = link(harness, reference(harness))
    cookies = dict(browser.http.cookies)

    def load():
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60, cookies=cookies) as http:
            return http.get(url)

    answers = at_once([load] * 12)
    assert sorted(a.status_code for a in answers) == [303] + [400] * 11
    assert harness.count(AuthorizationCode) == before + 1


def test_many_answers_to_one_request_make_one_code(harness):
    """PAR-03, ATK-14: as many consent pages as you like, one of them is answered."""
    url = link(harness, reference(harness))
    browser = harness.browser()
    pages = [browser.sign_in(browser.get(url))] + [browser.get(url) for _ in range(7)]
    cookies = dict(browser.http.cookies)

    def decide(page):
        fields = [("consent_id", page.field("consent_id")), ("scope", "logs.read")]
        headers = {"Origin": harness.server.base, "Sec-Fetch-Site": "same-origin"}
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60, cookies=cookies) as http:
            return http.post(
                f"{harness.issuer}/consent",
                content=urlencode([*fields, ("decision", "allow")]),
                headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            )

    answers = at_once([lambda page=page: decide(page) for page in pages])
    assert sorted(a.status_code for a in answers) == [303] + [400] * 7
    assert harness.count(AuthorizationCode) == 1
    assert len(harness.events("code.issued")) == 1


def test_what_nobody_came_for_is_removed(harness):
    """PAR-01: the table holds minutes, not years."""
    reference(harness)
    jobs.remove_expired(harness.server.services, harness.clock())
    assert harness.count(PushedRequest) == 1
    jobs.remove_expired(
        harness.server.services, harness.clock() + par.LIFETIME + timedelta(seconds=1)
    )
    assert harness.count(PushedRequest) == 0
