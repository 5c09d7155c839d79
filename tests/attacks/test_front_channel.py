"""What an attacker does with a browser (specs.md 7.1), where no test of a flow says it whole.

ATK-02, ATK-03 and ATK-15 are about upstream identity providers, which this version has none of.
"""

import re

import pytest

from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import RESOURCE
from tests.support.sockets import wire


def test_every_answer_names_who_gives_it(harness):
    """ATK-01, ISS-01: a code, a refusal by the person, and an error, each with exactly the issuer of the metadata."""
    path = f"/.well-known/oauth-authorization-server/t/{harness.slug}"
    issuer = harness.http.get(harness.server.base + path).json()["issuer"]
    browser = harness.browser()
    consent = browser.sign_in(browser.start())
    answers = {
        "denied": browser.decide(consent, allow=False),
        "allowed": browser.authorize(state="2"),
        "wrong": browser.start(scope="no.such.scope", state="3"),
        "silent": harness.browser().start(prompt="none", state="4"),
    }
    assert "code" in answers["allowed"].sent
    assert answers["denied"].error == "access_denied"
    assert answers["wrong"].error == "invalid_scope"
    for name in ("denied", "allowed", "wrong"):
        assert answers[name].location.startswith(REDIRECT)
        assert answers[name].sent["iss"] == issuer, name
    # Nobody is signed in: whoever asks is told nothing, or told by whom.
    assert answers["silent"].status == 400 or answers["silent"].sent["iss"] == issuer


def test_no_form_is_sent_on(harness):
    """ATK-08: every redirect that follows a form is a 303, after which a browser asks again without the form."""
    browser = harness.browser()
    consent = browser.start()
    fields = {"login": "dev@example.com", "password": "correct horse battery staple"}
    signed_in = browser.post(
        f"{harness.issuer}/login", {**fields, "continue": consent.field("continue")}
    )
    page = browser.get(harness.server.base + signed_in.location)
    denied = browser.decide(page, allow=False)
    allowed = browser.decide(browser.start(state="again"))
    posts = {
        "login": signed_in,
        "deny": denied,
        "allow": allowed,
        "switch": browser.post(
            f"{harness.issuer}/consent/switch",
            {"consent_id": browser.start(state="more", prompt="consent").field("consent_id")},
        ),
        "logout": browser.post(f"{harness.issuer}/logout", {}),
    }
    for name, page in posts.items():
        assert page.status in (200, 303), name
        assert ("location" in page.response.headers) == (page.status == 303), name
    assert [posts[name].status for name in ("login", "deny", "allow")] == [303] * 3
    assert "password" not in signed_in.location
    assert "horse" not in signed_in.location + denied.location + allowed.location


PARAMETERS = ["client_id", "redirect_uri", "state", "scope", "resource", "login_hint", "nonce"]
BREAKS = ["%0d%0aSet-Cookie:%20a=b", "%0d%0a%0d%0a<script>", "%e2%80%a8<script>", "%22><script>"]


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("name", PARAMETERS)
def test_no_parameter_ends_a_header_or_a_tag(harness, name, signed_in):
    """ATK-11: as bytes, so that nothing but the server encodes them."""
    browser = harness.browser()
    if signed_in:
        browser.authorize()
    cookie = "; ".join(f"{n}={v}" for n, v in browser.http.cookies.items())
    for value in BREAKS:
        query = f"response_type=code&client_id={harness.client_id}&code_challenge_method=S256"
        query += "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&prompt=consent"
        query = re.sub(rf"&{name}=[^&]*", "", query) + f"&{name}={value}"
        with wire(harness.server.port) as connection:
            head = f"GET /t/{harness.slug}/authorize?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            connection.send(f"{head}Cookie: {cookie}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = connection.read().partition(b"\r\n\r\n")
        assert int(head.split()[1]) < 500
        assert b"a=b" not in [line.partition(b": ")[2] for line in head.split(b"\r\n")[1:]]
        assert b"\r\n\r\n" not in head
        assert b"<script>" not in body.replace(b'<script src="', b"")


@pytest.mark.parametrize(
    "path", ["/token", "/introspect", "/revoke", "/par", "/device_authorization"]
)
def test_a_parameter_is_said_once_and_in_the_body(harness, path):
    """ATK-10: twice is refused wherever programs ask; what the address says is not read."""
    fields = {"client_id": harness.client_id, "token": "x", "grant_type": "refresh_token"}
    fields |= {"refresh_token": "x", "response_type": "code", "redirect_uri": REDIRECT}
    for name, value in fields.items():
        twice = [*fields.items(), (name, value)]
        answer = harness.post(path, twice)
        assert (answer.status, answer.error) == (400, "invalid_request"), name
    query = f"{path}?client_id={harness.client_id}&token=x&grant_type=refresh_token"
    answer = harness.post(query, {"refresh_token": "x"})
    assert (answer.status, answer.reason) == (401, "client_missing")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
        {"code_challenge": "", "code_challenge_method": ""},
    ],
    ids=str,
)
def test_a_weaker_pkce_is_no_request(harness, changes):
    """ATK-05: by the browser and pushed; for a client the person has used before."""
    browser = harness.browser()
    browser.authorize()
    page = browser.start(**changes)
    assert (page.error, "code" in page.sent) == ("invalid_request", False)
    request = {**harness.request, **changes}
    pushed = harness.post("/par", {n: v for n, v in request.items() if v is not None})
    assert (pushed.status, pushed.error) == (400, "invalid_request")


def test_a_code_of_a_victim_is_worth_nothing_to_others(harness):
    """ATK-04: with the attacker's verifier, client, address or resource; and it still works for its owner."""
    other = harness.add_client(name="Other").client.id
    harness.add_resource("https://other.example/mcp")
    code = harness.browser().authorize().code
    for stolen in (
        {"code_verifier": "A" * 43},
        {"client_id": other},
        {"redirect_uri": "https://client.example/other"},
        {"resource": "https://other.example/mcp"},
    ):
        answer = harness.redeem(code, **stolen)
        assert answer.status == 400
        assert "access_token" not in answer.json
    assert harness.redeem(code, code_verifier=VERIFIER, resource=RESOURCE).ok
