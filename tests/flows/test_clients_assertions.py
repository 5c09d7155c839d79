"""Clients that prove themselves with a signed assertion: what passes, and every forgery that does not."""

import base64
import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from authz.admin import clients
from authz.errors import Conflict
from tests.support.client_keys import TYPE, ClientKey
from tests.support.harness import REDIRECT, Harness
from tests.support.plain_http import NO_TLS
from tests.support.web import Reply

LET_IN = ("invalid_grant", "code_unknown")


@pytest.fixture(scope="module")
def shared(server):
    """One tenant with a client that has a key, and one with another key."""
    made = Harness(server)
    made.key, made.stranger = ClientKey(), ClientKey()
    made.signer = made.add_client(auth_method="private_key_jwt", jwks=made.key.jwks).client.id
    made.other = made.add_client(auth_method="private_key_jwt", jwks=made.stranger.jwks).client.id
    yield made
    made.close()


def attempt(harness, fields):
    return harness.token(
        {"grant_type": "authorization_code", "code": "azc_x", "code_verifier": "v" * 43, **fields}
    )


def signed(harness, audience=None, **more):
    return harness.key.fields(
        harness.signer, harness.issuer if audience is None else audience, harness.clock(), **more
    )


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "client-authentication+jwt"])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_good_assertion_lets_the_client_in(shared, typ, wrapped, named):
    """MCP-AS-23, MCP-AS-44, CIMD-11, O21-30, C-7: with or without client_id, `aud` as text or as a list of one."""
    fields = signed(
        shared, [shared.issuer] if wrapped else shared.issuer, header={"typ": typ} if typ else {}
    )
    if named:
        fields["client_id"] = shared.signer
    answer = attempt(shared, fields)
    assert (answer.error, answer.reason) == LET_IN


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "{issuer}/token"}, "jwt_aud"),
        ({"aud": "{issuer}/"}, "jwt_aud"),
        ({"aud": "{base}"}, "jwt_aud"),
        ({"aud": "{issuer}/authorize"}, "jwt_aud"),
        ({"aud": "https://mcp.example/mcp"}, "jwt_aud"),
        ({"aud": ["{issuer}", "https://other.example"]}, "jwt_aud"),
        ({"aud": ["{issuer}", "{issuer}"]}, "jwt_aud"),
        ({"aud": []}, "jwt_aud"),
        ({"aud": None}, "jwt_aud"),
        ({"aud": {"a": 1}}, "jwt_aud"),
        ({"iss": "someone"}, "jwt_iss"),
        ({"iss": None}, "jwt_iss"),
        ({"sub": "{other}"}, "jwt_signature"),
        ({"jti": None}, "jwt_jti"),
        ({"jti": ""}, "jwt_jti"),
        ({"jti": 7}, "jwt_jti"),
        ({"jti": "x" * 257}, "jwt_jti"),
        ({"jti": "a\ud800"}, "jwt_jti"),
        ({"jti": "a\x00b"}, "jwt_jti"),
        ({"exp": None}, "jwt_exp"),
        ({"exp": -61}, "jwt_expired"),
        ({"exp": 3600}, "jwt_lifetime"),
        ({"exp": 10**400}, "jwt_exp"),
        ({"exp": 1e300}, "jwt_exp"),
        ({"exp": "soon"}, "jwt_exp"),
        ({"exp": True}, "jwt_exp"),
        ({"iat": 61}, "jwt_from_the_future"),
        ({"nbf": 61}, "jwt_from_the_future"),
        ({"iat": -3600}, "jwt_lifetime"),
    ],
    ids=lambda changes: ascii(changes)[:40],
)
def test_an_assertion_with_a_wrong_claim_is_refused(shared, changes, reason):
    """C-7, O21-30, ATK-44, ATK-51, ATK-53: one public sentence for all of it."""
    now = int(shared.clock().timestamp())

    def fill(name, value):
        if name in ("exp", "iat", "nbf") and type(value) is int and abs(value) < 10**6:
            return now + value
        if isinstance(value, str):
            return value.format(issuer=shared.issuer, base=shared.server.base, other=shared.other)
        return [fill(name, v) for v in value] if isinstance(value, list) else value

    claims = {name: fill(name, value) for name, value in changes.items()}
    answer = attempt(shared, signed(shared, **claims))
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", reason)
    assert answer.json["error_description"] == "client authentication failed"


@pytest.mark.parametrize("sub", [None, "", 5, "a\x00b", "\ud800", "a b", "x" * 3000, "usr_1", "ü"])
def test_a_subject_that_is_no_client_is_refused(shared, sub):
    """ATK-43, ATK-63, O21-28: before the database is asked what it cannot answer."""
    answer = attempt(shared, signed(shared, iss=sub, sub=sub))
    assert answer.status == 401
    assert answer.reason in ("jwt_sub", "client_unknown")


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/c"},
        {"b64": False},
        {"zip": "DEF"},
        {"jwk": {"kty": "EC"}},
        {"x5c": ["AA"]},
    ],
    ids=str,
)
def test_a_header_that_brings_its_own_key_or_rules_is_refused(shared, header):
    """ATK-42, ATK-44: and nothing is fetched (the test web knows no such host)."""
    token = forged(shared, header)
    answer = attempt(shared, {"client_assertion_type": TYPE, "client_assertion": token})
    assert (answer.status, answer.reason) == (401, "jwt_header_forbidden")


def forged(harness, header, signature=b"", **claims):
    """An assertion put together by hand."""
    at = int(harness.clock().timestamp())
    body = {"iss": harness.signer, "sub": harness.signer, "aud": harness.issuer}
    body |= {"exp": at + 60, "jti": "j", **claims}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "ES256", "kid": "k1", **header}, body)
    ]
    if callable(signature):
        signature = signature(b".".join(parts))
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "", "HS256", "HS512", "ES512", "ES256K", "RS1"]
)
def test_only_the_advertised_algorithms_count(shared, algorithm):
    """ATK-41, META-05: also a MAC made with the public key as its secret."""
    secret = json.dumps(shared.key.public).encode()
    token = forged(
        shared, {"alg": algorithm}, lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()
    )
    answer = attempt(shared, {"client_assertion_type": TYPE, "client_assertion": token})
    assert (answer.status, answer.reason) == (401, "jwt_alg")


@pytest.mark.parametrize(
    ("header", "signature", "reason"),
    [
        ({}, b"", "jwt_signature"),
        ({}, bytes(64), "jwt_signature"),
        ({}, b"x" * 64, "jwt_signature"),
        ({"alg": "RS256"}, b"x" * 256, "jwt_key_unknown"),
        ({"alg": "ES384"}, bytes(96), "jwt_key_unknown"),
        ({"alg": "EdDSA"}, bytes(64), "jwt_key_unknown"),
        ({"kid": "../../etc/passwd"}, bytes(64), "jwt_key_unknown"),
        ({"kid": "' OR 1=1 --"}, bytes(64), "jwt_key_unknown"),
        ({"kid": "k" * 300}, bytes(64), "jwt_kid"),
        ({"kid": ["k1"]}, bytes(64), "jwt_kid"),
        ({"kid": "\ud800"}, bytes(64), "jwt_key_unknown"),
        ({"typ": "at+jwt"}, bytes(64), "jwt_typ"),
        ({"typ": "oauth-id-jag+jwt"}, bytes(64), "jwt_typ"),
        ({"typ": 5}, bytes(64), "jwt_typ"),
        ({"alg": ["ES256"]}, bytes(64), "jwt_alg"),
    ],
    ids=ascii,
)
def test_a_forged_signature_or_key_name_is_refused(shared, header, signature, reason):
    """ATK-41, ATK-43, ATK-45."""
    token = forged(shared, header, signature)
    answer = attempt(shared, {"client_assertion_type": TYPE, "client_assertion": token})
    assert (answer.status, answer.reason) == (401, reason)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a.b", "a.b.c", "a.b.c.d", "....", "e30.e30.", "{}", "e30.W10.", "é.é.é"),
        *("x" * 16385, "e30." + "A" * 16000 + ".A", "A" * 5000 + ".e30.A", "e30=.e30.A"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_assertion_is_refused(shared, text):
    """ATK-44, ATK-46, ATK-63."""
    answer = attempt(shared, {"client_assertion_type": TYPE, "client_assertion": text})
    assert answer.status in (400, 401)
    assert answer.error in ("invalid_client", "invalid_request")


@pytest.mark.parametrize("kind", [None, "", "urn:ietf:params:oauth:grant-type:jwt-bearer", "jwt"])
def test_the_type_of_an_assertion_has_to_be_said(shared, kind):
    """O21-13."""
    fields = {**signed(shared), "client_assertion_type": kind or ""}
    answer = attempt(shared, fields)
    assert (answer.error, answer.reason) == ("invalid_request", "assertion_type_unsupported")


def test_the_key_of_another_client_opens_nothing(shared):
    """ATK-51, MCP-AS-06."""
    fields = shared.stranger.fields(shared.signer, shared.issuer, shared.clock())
    assert attempt(shared, fields).reason == "jwt_signature"
    fields = shared.key.fields(shared.other, shared.issuer, shared.clock())
    assert attempt(shared, fields).reason == "jwt_signature"


def test_an_assertion_for_another_tenant_opens_nothing(shared, server):
    """ATK-51, O21-35: same client key, same client name, another issuer."""
    neighbour = Harness(server)
    neighbour.add_client(auth_method="private_key_jwt", jwks=shared.key.jwks, client_id="same-name")
    shared.add_client(auth_method="private_key_jwt", jwks=shared.key.jwks, client_id="same-name")
    assert attempt(shared, signed(shared)).reason
    fields = shared.key.fields("same-name", shared.issuer, shared.clock())
    assert attempt(neighbour, fields).reason == "jwt_aud"
    assert attempt(shared, fields).reason == "code_unknown"
    neighbour.close()


def test_an_assertion_works_once(shared):
    """ATK-52: also when the first use was refused for another reason, and until after it has expired."""
    fields = signed(shared)
    assert attempt(shared, fields).reason == "code_unknown"
    for _ in range(2):
        answer = attempt(shared, fields)
        assert (answer.status, answer.error) == (401, "invalid_client")
        assert answer.reason == "assertion_replayed"
    shared.clock.advance(seconds=119)
    assert attempt(shared, fields).reason == "assertion_replayed"
    shared.clock.advance(seconds=2)
    assert attempt(shared, fields).reason == "jwt_expired"


def test_two_clients_may_choose_the_same_jti(shared):
    """ATK-52."""
    assert attempt(shared, signed(shared, jti="same")).error == "invalid_grant"
    fields = shared.stranger.fields(shared.other, shared.issuer, shared.clock(), jti="same")
    assert attempt(shared, fields).error == "invalid_grant"


def test_keys_behind_an_address_rotate(harness):
    """CIMD-13, ATK-49, ATK-50: a new kid is looked up at once; a thousand invented ones are not."""
    old, new = ClientKey("RS256", "old"), ClientKey("ES256", "new")
    harness.web.serve(harness.host, Reply.json(old.jwks))
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(harness.host, "/jwks.json")
    ).client.id

    def use(key):
        answer = attempt(harness, key.fields(client_id, harness.issuer, harness.clock()))
        return answer.reason

    assert use(old) == "code_unknown"
    assert use(old) == "code_unknown"
    assert harness.web.count(harness.host) == 1
    harness.web.serve(harness.host, Reply.json(new.jwks))
    harness.clock.advance(seconds=31)
    assert use(new) == "code_unknown"
    assert harness.web.count(harness.host) == 2
    assert use(old) == "jwt_key_unknown"
    for n in range(30):
        use(ClientKey("ES256", f"invented-{n}"))
    assert harness.web.count(harness.host) <= 3
    harness.clock.advance(minutes=6)
    harness.web.serve(harness.host, Reply(500))
    assert use(new) == "jwks_status"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(404), "jwks_status"),
        (Reply(302, headers={"Location": "https://evil.example/"}), "jwks_status"),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), "jwks_content_type"),
        (Reply.json([]), "jwks_json"),
        (Reply.json({"keys": []}), "jwks_malformed"),
        (Reply.json({"keys": [{"kty": "oct", "k": "AAAA"}]}), "jwk_not_public"),
        (Reply.json({"keys": [{"kty": []}]}), "jwks_without_usable_key"),
        (Reply.json({"keys": [{"kty": "RSA", "n": "AQ" * 200, "e": "AQ=="}]}), "jwk_malformed"),
        (Reply.json({"keys": [{"kty": "RSA", "n": "AQ" * 200, "e": "AQAA"}]}), "jwk_weak"),
        (Reply.json({"keys": [{"kty": "RSA", "n": "AQ" * 20, "e": "AQAB"}]}), "jwk_weak"),
        (
            Reply.json({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}),
            "jwk_malformed",
        ),
        (Reply.json({"keys": ["k"] * 21}), "jwks_malformed"),
        (Reply(200, b" " * 70_000, {"Content-Type": "application/json"}), "jwks_too_large"),
    ],
)
def test_a_key_address_that_serves_something_else_lets_nobody_in(harness, reply, reason):
    """ATK-45, ATK-47, CIMD-10, CIMD-13."""
    key = ClientKey()
    harness.web.serve(harness.host, reply)
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(harness.host, "/jwks.json")
    ).client.id
    answer = attempt(harness, key.fields(client_id, harness.issuer, harness.clock()))
    assert (answer.status, answer.reason) == (401, reason)


def test_a_key_address_in_our_own_network_is_not_asked(harness):
    """CIMD-13, CIMD-14, ATK-47."""
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri="https://169.254.169.254/latest/meta-data"
    ).client.id
    answer = attempt(harness, ClientKey().fields(client_id, harness.issuer, harness.clock()))
    assert (answer.status, answer.reason) == (401, "jwks_address_refused")


def test_a_whole_flow_with_an_assertion(harness):
    """MCP-AS-23, MCP-AS-31, MCP-AS-44."""
    key = ClientKey("RS256")
    client_id = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks).client.id
    page = harness.browser().authorize(client_id=client_id, redirect_uri=REDIRECT)
    assert harness.redeem(page.code, client_id=client_id).reason == "client_unauthenticated"
    fields = key.fields(client_id, harness.issuer, harness.clock())
    answer = harness.redeem(page.code, client_id=None, **fields)
    assert answer.scopes == {"logs.read"}
    fields = key.fields(client_id, harness.issuer, harness.clock())
    assert harness.refresh(answer.refresh_token, client_id=None, **fields).ok


# -- the same at every endpoint ---------------------------------------------------------------------------

ENDPOINTS = ("/token", "/introspect", "/revoke", "/par")


def call(harness, path, fields):
    """A request that is good but for its client, whichever endpoint it goes to."""
    good = {**harness.request, "client_id": None, "token": "x"}
    good |= {"grant_type": "refresh_token", "refresh_token": "azr_x.1.y", **fields}
    return harness.post(path, {n: v for n, v in good.items() if v is not None})


@pytest.mark.parametrize("path", ENDPOINTS)
def test_an_assertion_names_the_issuer_wherever_it_goes(shared, path):
    """JB-20, JB-25, ATK-51: never the endpoint it is sent to, nor another one, nor two audiences."""
    assert call(shared, path, signed(shared)).status != 401
    assert call(shared, path, signed(shared, [shared.issuer])).status != 401
    for wrong in [
        *(f"{shared.issuer}{endpoint}" for endpoint in ENDPOINTS),
        [shared.issuer, f"{shared.issuer}{path}"],
        f"{shared.issuer}/",
    ]:
        answer = call(shared, path, signed(shared, wrong))
        assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "jwt_aud")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_an_assertion_is_judged_alike_wherever_it_goes(shared, path):
    """JB-21, JB-22, JB-23, JB-25: type, lifetime, key, and one use across all of them."""
    for fields, reason in [
        (signed(shared, header={"typ": "at+jwt"}), "jwt_typ"),
        (signed(shared, jti=None), "jwt_jti"),
        (signed(shared, exp=int(shared.clock().timestamp()) + 3600), "jwt_lifetime"),
        (
            shared.stranger.fields(shared.signer, shared.issuer, shared.clock()),
            "jwt_signature",
        ),
    ]:
        assert call(shared, path, fields).reason == reason
    fields = signed(shared)
    call(shared, path, fields)
    for other in ENDPOINTS:
        answer = call(shared, other, fields)
        assert (answer.status, answer.reason) == (401, "assertion_replayed")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_request_names_one_client_in_one_way(shared, path):
    """JB-24: `client_id` says what the assertion says, and there is no second method."""
    answer = call(shared, path, {**signed(shared), "client_id": shared.other})
    assert (answer.status, answer.reason) == (401, "assertion_of_other_client")
    answer = call(shared, path, {**signed(shared), "client_secret": "s"})
    assert (answer.error, answer.reason) == ("invalid_request", "two_auth_methods")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_saml_is_no_way_for_a_client_to_prove_itself(shared, path):
    """JB-26."""
    kind = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
    answer = call(shared, path, {**signed(shared), "client_assertion_type": kind})
    assert (answer.error, answer.reason) == ("invalid_request", "assertion_type_unsupported")


def test_one_assertion_sent_by_many_lets_one_in(shared):
    """JB-22, ATK-52, ATK-54: the insert itself decides who was first, whatever the endpoint."""
    fields = {**signed(shared), "grant_type": "refresh_token", "refresh_token": "azr_x.1.y"}
    barrier = threading.Barrier(12)

    def send(n):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            barrier.wait()
            path = ("/introspect", "/revoke")[n % 2]
            return http.post(f"{shared.issuer}{path}", data={**fields, "token": "x"}).status_code

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(send, range(12))) == [200] + [401] * 11


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "PS256", "RS256", "Ed25519"])
def test_every_advertised_algorithm_lets_its_key_in(harness, algorithm):
    """JB-23, META-02, META-05."""
    key = ClientKey(algorithm)
    client_id = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks).client.id
    answer = attempt(harness, key.fields(client_id, harness.issuer, harness.clock()))
    assert (answer.error, answer.reason) == LET_IN
    found = harness.http.get(f"{harness.issuer}/.well-known/oauth-authorization-server").json()
    for endpoint in ("token", "introspection", "revocation"):
        name = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
        assert algorithm in found[name]


# -- clients on their way to the issuer -------------------------------------------------------------------


@pytest.fixture
def late(harness):
    """A client that sends the token endpoint, and for now may."""
    harness.key = ClientKey()
    made = harness.add_client(
        auth_method="private_key_jwt", jwks=harness.key.jwks, token_endpoint_audience=True
    )
    harness.signer = made.client.id
    return harness


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_client_may_be_let_name_the_token_endpoint(late, path):
    """JB-28: the token endpoint and no other, alone; the issuer is always right."""
    for good in (f"{late.issuer}/token", late.issuer):
        assert call(late, path, signed(late, good)).status != 401
    for wrong in (
        f"{late.issuer}/par",
        f"{late.issuer}/introspect",
        f"{late.server.base}/token",
        [late.issuer, f"{late.issuer}/token"],
    ):
        assert call(late, path, signed(late, wrong)).reason == "jwt_aud"


def test_the_switch_is_off_by_default_and_every_turn_is_recorded(late):
    """JB-28: from the next request on, in both directions."""
    wrong = f"{late.issuer}/token"
    late.change(clients.set_audience, late.signer, token_endpoint=False)
    assert call(late, "/token", signed(late, wrong)).reason == "jwt_aud"
    late.change(clients.set_audience, late.signer, token_endpoint=True)
    assert call(late, "/token", signed(late, wrong)).status != 401
    turns = [
        event["detail"]
        for event in late.events("admin.changed")
        if event["detail"]["what"] in ("client.audience", "client.add")
        and event["detail"]["target"] == late.signer
    ]
    assert [turn["values"].get("token_endpoint_audience") for turn in turns] == [True, None, None]
    assert [turn["values"].get("token_endpoint") for turn in turns] == [None, False, True]


def test_the_switch_is_for_those_who_have_it(harness):
    """JB-28, FAPI-01: neither for secrets, nor under FAPI, nor for documents."""
    key = ClientKey()
    by_secret = harness.add_client(auth_method="client_secret_basic").client.id
    strict = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks, fapi=True).client.id
    for client_id in (by_secret, strict):
        with pytest.raises(Conflict):
            harness.change(clients.set_audience, client_id, token_endpoint=True)
    document = harness.serve_document(
        token_endpoint_auth_method="private_key_jwt",
        jwks=key.jwks,
        token_endpoint_audience=True,
    )
    page = harness.browser().authorize(client_id=document)
    audience = f"{harness.issuer}/token"
    fields = key.fields(document, audience, harness.clock())
    assert harness.redeem(page.code, client_id=None, **fields).reason == "jwt_aud"
