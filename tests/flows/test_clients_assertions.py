"""Clients that prove themselves with a signed assertion: what passes, and every forgery that does not."""

import base64
import hashlib
import hmac
import json

import pytest

from tests.support.client_keys import TYPE, ClientKey
from tests.support.harness import REDIRECT, Harness
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
