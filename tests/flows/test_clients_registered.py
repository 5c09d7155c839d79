"""Pre-registered clients: every way to prove oneself, and every way to pretend."""

import base64
from datetime import timedelta
from urllib.parse import quote_plus

import pytest

from authz.admin import clients
from tests.support.client_keys import ClientKey
from tests.support.harness import Harness

SPECIAL = 'a:b%+ü &"\\'
BASIC, POST, KEY = "client_secret_basic", "client_secret_post", "private_key_jwt"


def basic(client_id, secret, *, encoded=False):
    if encoded:
        client_id, secret = quote_plus(client_id), quote_plus(secret)
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.fixture(scope="module")
def shared(server):
    """One tenant with a client of each method."""
    made = Harness(server)
    made.key = ClientKey()
    made.clients = {
        method: made.add_client(auth_method=method, jwks=made.key.jwks if method == KEY else None)
        for method in ("none", BASIC, POST, KEY)
    }
    yield made
    made.close()


def attempt(harness, headers=None, **fields):
    """A request that can only be refused; what it is refused for tells whether the client was let in."""
    return harness.token(
        {"grant_type": "authorization_code", "code": "azc_x", "code_verifier": "v" * 43}
        | {name: value for name, value in fields.items() if value is not None},
        **(headers or {}),
    )


LET_IN = ("invalid_grant", "code_unknown")


@pytest.mark.parametrize("method", [BASIC, POST])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("way", ["basic", "basic form-encoded", "post"])
def test_a_secret_works_as_clients_send_it(shared, method, named, way):
    """MCP-AS-31, MCP-AS-32, MCP-AS-33, MCP-AS-87, O21-13: in the header, encoded or raw, or in the body."""
    made = shared.clients[method]
    client_id = made.client.id
    assert not client_id.startswith("https://")
    headers, fields = {}, {}
    if way == "post":
        fields = {"client_id": client_id, "client_secret": made.secret}
    else:
        headers = basic(client_id, made.secret, encoded="encoded" in way)
        fields = {"client_id": client_id} if named else {}
    answer = attempt(shared, headers, **fields)
    assert (answer.error, answer.reason) == LET_IN


def test_a_secret_with_every_special_character_is_read_both_ways():
    """O21-13, MCP-AS-87: read by the pure function, because we never make such secrets."""
    from authz.clients.authentication import read_credentials

    def read(header):
        return read_credentials(
            header["Authorization"],
            client_id=None,
            client_secret=None,
            client_assertion=None,
            client_assertion_type=None,
        ).secrets

    assert SPECIAL in read(basic("cli", SPECIAL))
    assert SPECIAL in read(basic("cli", SPECIAL, encoded=True))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("method", ["none", BASIC, POST, KEY])
def test_a_wrong_secret_is_one_answer_for_everybody(shared, method, header):
    """O21-12, O21-14, ATK-64: 401, and WWW-Authenticate exactly if the header was used."""
    client_id = shared.clients[method].client.id
    headers = basic(client_id, "wrong") if header else {}
    fields = {} if header else {"client_id": client_id, "client_secret": "wrong"}
    answer = attempt(shared, headers, **fields)
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "secret_wrong")
    assert answer.json["error_description"] == "client authentication failed"
    assert ("www-authenticate" in answer.response.headers) is header


@pytest.mark.parametrize("method", [BASIC, POST, KEY])
@pytest.mark.parametrize("empty", ["nothing", "empty secret", "empty basic"])
def test_a_confidential_client_has_to_authenticate(shared, method, empty):
    """O21-13, MCP-AS-44, C-9: an empty secret is no secret."""
    client_id = shared.clients[method].client.id
    headers = basic(client_id, "") if empty == "empty basic" else {}
    fields = {"client_id": client_id, "client_secret": "" if empty == "empty secret" else None}
    answer = attempt(shared, headers, **fields)
    assert (answer.status, answer.reason) == (401, "client_unauthenticated")


def test_a_public_client_may_send_basic_with_an_empty_secret(shared):
    """MCP-AS-22."""
    client_id = shared.clients["none"].client.id
    for fields in ({}, {"client_id": client_id}):
        answer = attempt(shared, basic(client_id, ""), **fields)
        assert (answer.error, answer.reason) == LET_IN


def test_two_methods_at_once_are_refused(shared):
    """O21-13: even if both are right."""
    made = shared.clients[BASIC]
    client_id = made.client.id
    assertion = shared.key.fields(client_id, shared.issuer, shared.clock())
    for headers, fields in (
        (basic(client_id, made.secret), {"client_secret": made.secret}),
        (basic(client_id, made.secret), assertion),
        ({}, {"client_secret": made.secret, **assertion}),
    ):
        answer = attempt(shared, headers, client_id=client_id, **fields)
        assert (answer.error, answer.reason) == ("invalid_request", "two_auth_methods")


def test_the_names_in_header_body_and_assertion_have_to_agree(shared):
    """ATK-10, O21-13."""
    made, other = shared.clients[BASIC], shared.clients[KEY].client.id
    assertion = shared.key.fields(other, shared.issuer, shared.clock())
    for headers, fields, reason in (
        (basic(made.client.id, made.secret), {"client_id": other}, "client_id_mismatch"),
        (basic(made.client.id, ""), {"client_id": other}, "client_id_mismatch"),
        (basic(made.client.id, ""), assertion, "client_id_mismatch"),
        ({}, {"client_id": made.client.id, **assertion}, "assertion_of_other_client"),
    ):
        answer = attempt(shared, headers, **fields)
        assert answer.reason == reason
        assert answer.error in ("invalid_request", "invalid_client")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer abc", "authorization_scheme"),
        ("Negotiate abc", "authorization_scheme"),
        ("Basic", "basic_malformed"),
        ("Basic !!!", "basic_malformed"),
        ("Basic " + base64.b64encode(b"nocolon").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b":secret").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b"\xff:x").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b"a\x00b:x").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b"a%00b:x").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b"a:x%00").decode(), "basic_malformed"),
        ("Basic " + base64.b64encode(b"a%ff:x").decode(), "client_unknown"),
        ("Basic " + base64.b64encode(b"nobody:x").decode(), "client_unknown"),
        ("basic " + base64.b64encode(b"nobody:x").decode(), "client_unknown"),
        ("Basic " + base64.b64encode(b"a" * 20000 + b":x").decode(), "client_unknown"),
    ],
    ids=lambda text: text[:24],
)
def test_a_mangled_header_is_a_client_error(shared, header, reason):
    """ATK-63, MCP-AS-84: 4xx with a code, never 5xx."""
    answer = attempt(shared, {"Authorization": header})
    assert answer.reason == reason
    assert answer.status in (400, 401)


def test_two_authorization_headers_are_refused(shared):
    """ATK-10."""
    made = shared.clients[BASIC]
    headers = [
        ("Authorization", basic(made.client.id, s)["Authorization"]) for s in (made.secret, "x")
    ]
    headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    answer = shared.http.post(f"{shared.issuer}/token", content="grant_type=x", headers=headers)
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("method", ["none", BASIC, POST])
def test_an_assertion_of_a_client_that_registered_another_method_is_refused(shared, method):
    """O21-13, MCP-AS-44: whoever chose the key."""
    client_id = shared.clients[method].client.id
    answer = attempt(shared, **shared.key.fields(client_id, shared.issuer, shared.clock()))
    assert (answer.status, answer.reason) == (401, "auth_method_not_registered")


def test_secrets_overlap_while_they_rotate(harness):
    """MCP-AS-32: both work for the overlap, then only the new one."""
    made = harness.add_client(auth_method=BASIC)
    client_id = made.client.id
    new = harness.change(clients.rotate_secret, client_id, overlap=timedelta(hours=1)).secret
    for secret in (made.secret, new):
        assert attempt(harness, basic(client_id, secret)).error == "invalid_grant"
    harness.clock.advance(hours=1)
    assert attempt(harness, basic(client_id, made.secret)).reason == "secret_wrong"
    assert attempt(harness, basic(client_id, new)).error == "invalid_grant"
    newest = harness.change(clients.rotate_secret, client_id, overlap=timedelta(0)).secret
    assert attempt(harness, basic(client_id, new)).reason == "secret_wrong"
    assert attempt(harness, basic(client_id, newest)).error == "invalid_grant"


def test_a_blocked_client_is_refused_everywhere_at_once(harness):
    """O21-20, MCP-AS-06, ATK-71: at the page, at the token endpoint, with what it holds, and back when unblocked."""
    browser = harness.browser()
    page = browser.authorize()
    held = harness.redeem(page.code)
    waiting = browser.start()
    harness.change(clients.block, harness.client_id)
    page = browser.start()
    assert (page.status, page.location, page.reason) == (400, "", "client_blocked")
    assert harness.redeem(waiting.code).reason == "client_blocked"
    refused = harness.refresh(held.refresh_token)
    assert (refused.status, refused.reason) == (401, "client_blocked")
    harness.change(clients.unblock, harness.client_id)
    assert browser.authorize().code
    assert not harness.refresh(held.refresh_token).ok


def test_two_clients_may_have_the_same_name_and_address(harness):
    """MCP-AS-34, MCP-AS-06: nothing is guessed from what a client calls itself."""
    first, second = (harness.add_client().client.id for _ in range(2))
    assert first != second
    code = harness.browser().authorize(client_id=first).code
    assert harness.redeem(code, client_id=second).reason == "code_of_other_client"


def test_a_rotated_secret_is_good_at_once_on_a_node_that_knew_the_old_one(harness):
    """ATK-71. A refusal on remembered state is looked up anew: nothing else would ever tell this node."""
    made = harness.add_client(auth_method="client_secret_basic")
    page = harness.browser().authorize(client_id=made.client.id)
    first = harness.redeem(page.code, client_id=made.client.id, client_secret=made.secret)
    assert first.ok
    rotated = harness.change(clients.rotate_secret, made.client.id, overlap=timedelta(0))
    harness.clock.advance(seconds=1)
    again = harness.refresh(
        first.refresh_token, client_id=made.client.id, client_secret=rotated.secret
    )
    assert again.ok, again.reason
    old = harness.refresh(again.refresh_token, client_id=made.client.id, client_secret=made.secret)
    assert (old.status, old.reason) == (401, "secret_wrong")


def test_an_unblocked_client_works_at_once(harness):
    """S6."""
    assert harness.tokens().ok
    harness.change(clients.block, harness.client_id)
    assert harness.refresh("azr_x.1.y").error == "invalid_client"
    harness.change(clients.unblock, harness.client_id)
    assert harness.refresh("azr_x.1.y").error == "invalid_grant"
