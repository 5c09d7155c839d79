"""Tokens bound to a key (RFC 9449): what a proof must be, and what a bound grant demands."""

from datetime import timedelta

import pytest
from joserfc import jws

from authz.oauth import dpop
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import Harness, running

KEY = DpopKey()


def proof(harness, key=KEY, **changes):
    return key.proof(f"{harness.issuer}/token", harness.clock(), **changes)


def redeem(harness, headers, **fields):
    return harness.token(
        {
            "grant_type": "authorization_code",
            "client_id": harness.client_id,
            "code": harness.code(),
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            **fields,
        },
        **headers,
    )


def refresh(harness, token, headers, **fields):
    return harness.token(
        {
            "grant_type": "refresh_token",
            "client_id": harness.client_id,
            "refresh_token": token,
            **fields,
        },
        **headers,
    )


@pytest.mark.parametrize(
    "key",
    [
        DpopKey(),
        DpopKey("ES384"),
        DpopKey("RS256"),
        DpopKey("PS256"),
        DpopKey("RS256", bits=4096),
        DpopKey("Ed25519"),
        DpopKey("EdDSA"),
    ],
    ids=lambda key: f"{key.algorithm}-{len(key.key.as_dict(private=False).get('n', ''))}",
)
def test_a_proof_binds_the_tokens(harness, key):
    """DPOP-02, DPOP-07, STK-01: every advertised algorithm, and RSA keys of any length, fit."""
    answer = redeem(harness, {"DPoP": proof(harness, key)})
    assert answer.ok, answer.reason
    assert answer.json["token_type"] == "DPoP"
    assert harness.claims(answer.access_token)["cnf"] == {"jkt": key.jkt}
    [event] = harness.events("token.issued")
    assert event["detail"]["bound"] == "dpop"
    again = refresh(harness, answer.refresh_token, {"DPoP": proof(harness, key)})
    assert again.json["token_type"] == "DPoP"
    assert harness.claims(again.access_token)["cnf"] == {"jkt": key.jkt}


def test_without_a_proof_it_is_a_bearer_token(harness):
    answer = redeem(harness, {})
    assert answer.json["token_type"] == "Bearer"
    assert "cnf" not in harness.claims(answer.access_token)


def test_the_metadata_lists_what_is_accepted(harness):
    """DPOP-05: asymmetric algorithms alone."""
    document = harness.http.get(
        f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    ).json()
    listed = document["dpop_signing_alg_values_supported"]
    assert tuple(listed) == dpop.ALGORITHMS
    assert not [a for a in listed if a == "none" or a.startswith("HS")]


WRONG = {
    "of another type": ({"header": {"typ": "jwt"}}, "dpop_jwt_typ"),
    "without a type": ({"header": {"typ": None}}, "dpop_jwt_typ"),
    "without a key": ({"header": {"jwk": None}}, "dpop_jwk_malformed"),
    "with a symmetric key": (
        {"header": {"jwk": {"kty": "oct", "k": "AAAA"}}},
        "dpop_jwk_not_public",
    ),
    "with a private key": (
        {"header": {"jwk": KEY.key.as_dict(private=True)}},
        "dpop_jwk_not_public",
    ),
    "with another's key": (
        {"header": {"jwk": DpopKey().key.as_dict(private=False)}},
        "dpop_jwt_signature",
    ),
    "with a key elsewhere": (
        {"header": {"jku": "https://x.example/"}},
        "dpop_jwt_header_forbidden",
    ),
    "with critical members": ({"header": {"crit": ["exp"], "exp": 1}}, "dpop_jwt_header_forbidden"),
    "for another method": ({"method": "GET"}, "dpop_htm"),
    "without a method": ({"htm": None}, "dpop_htm"),
    "without an address": ({"htu": None}, "dpop_htu"),
    "for another address": ({"htu": "https://elsewhere.example/token"}, "dpop_htu"),
    "for a longer address": ({"htu": "PLACE/"}, "dpop_htu"),
    "with an address that is none": ({"htu": ["PLACE"]}, "dpop_htu"),
    "without an identifier": ({"jti": None}, "dpop_jti"),
    "with an empty identifier": ({"jti": ""}, "dpop_jti"),
    "with a numeric identifier": ({"jti": 7}, "dpop_jti"),
    "with a long identifier": ({"jti": "x" * 257}, "dpop_jti"),
    "without a time": ({"iat": None}, "dpop_jwt_iat"),
    "with a text for a time": ({"iat": "now"}, "dpop_jwt_iat"),
    "with a boundless time": ({"iat": 1e300}, "dpop_jwt_iat"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_proof_that_is(harness, name):
    """DPOP-01, ATK-41, ATK-42: one negative for each check, one public sentence for all, and nothing is spent."""
    changes, reason = WRONG[name]
    place = f"{harness.issuer}/token"
    changes = {
        n: v.replace("PLACE", place) if isinstance(v, str) else v for n, v in changes.items()
    }
    code = harness.code()
    answer = redeem(harness, {"DPoP": proof(harness, **changes)}, code=code)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_dpop_proof", reason)
    assert answer.json["error_description"] == dpop.REFUSED
    assert redeem(harness, {"DPoP": proof(harness)}, code=code).ok


@pytest.mark.parametrize(
    "sent", ["", "x", "a.b.c", "e30.e30.", "e30.e30.x.y", "é" * 10, "x" * 20000]
)
def test_what_is_no_proof_at_all(harness, sent):
    answer = redeem(harness, {"DPoP": sent.encode("latin-1")})
    assert (answer.status, answer.error) in ((400, "invalid_dpop_proof"), (431, None))


def test_an_unsigned_proof(harness):
    """ATK-41: `none` and HMAC under the public key's own text."""
    import base64
    import json

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {
        "htm": "POST",
        "htu": f"{harness.issuer}/token",
        "iat": int(harness.clock().timestamp()),
        "jti": "j",
    }
    jwk = KEY.key.as_dict(private=False)
    for algorithm in ("none", "None", "HS256"):
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}
        answer = redeem(harness, {"DPoP": f"{part(header)}.{part(claims)}.AAAA"})
        assert (answer.error, answer.reason) == ("invalid_dpop_proof", "dpop_jwt_alg")


def test_two_proofs_are_none(harness):
    """RFC 9449 §4.3: exactly one header."""
    code = harness.code()
    response = harness.http.post(
        f"{harness.issuer}/token",
        content=f"grant_type=authorization_code&client_id={harness.client_id}&code={code}"
        "&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        headers=[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("DPoP", proof(harness)),
            ("DPoP", proof(harness)),
        ],
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_dpop_proof")


def test_an_address_is_compared_as_an_address(harness):
    """RFC 9449 §4.3: without query and fragment, host in either case, and nothing else."""
    upper = harness.issuer.replace("http://", "HTTP://") + "/token?x=1#y"
    assert redeem(harness, {"DPoP": proof(harness, htu=upper)}).ok


@pytest.mark.parametrize(("seconds", "ok"), [(-121, False), (-119, True), (59, True), (61, False)])
def test_a_proof_is_young(harness, seconds, ok):
    """DPOP-08, ATK-53."""
    at = harness.clock() + timedelta(seconds=seconds)
    answer = redeem(harness, {"DPoP": KEY.proof(f"{harness.issuer}/token", at)})
    assert answer.ok == ok
    assert ok or answer.reason == "dpop_iat"


def test_a_proof_is_good_once(harness):
    """DPOP-01, ATK-52: claimed in the transaction that mints."""
    sent = proof(harness, jti="once")
    assert redeem(harness, {"DPoP": sent}).ok
    again = redeem(harness, {"DPoP": sent})
    assert (again.error, again.reason) == ("invalid_dpop_proof", "dpop_replayed")
    assert redeem(harness, {"DPoP": proof(harness, DpopKey(), jti="once")}).ok


def test_a_public_client_keeps_its_key(harness):
    """DPOP-02, ATK-72, ATK-73: without the key, or with another one, a stolen refresh token is worth nothing."""
    first = redeem(harness, {"DPoP": proof(harness)})
    bare = refresh(harness, first.refresh_token, {})
    assert (bare.error, bare.reason) == ("invalid_dpop_proof", "binding_proof_missing")
    other = refresh(harness, first.refresh_token, {"DPoP": proof(harness, DpopKey())})
    assert (other.error, other.reason) == ("invalid_grant", "binding_other_key")
    assert refresh(harness, first.refresh_token, {"DPoP": proof(harness)}).ok


def test_a_confidential_client_may_change_its_key_but_not_go_without(harness):
    """RFC 9449 §5: its refresh tokens are bound by its authentication; a downgrade is refused (ATK-72)."""
    key = ClientKey()
    made = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks)

    def fields():
        return key.fields(made.client.id, harness.issuer, harness.clock())

    code = harness.code(client_id=made.client.id)
    first = redeem(
        harness, {"DPoP": proof(harness)}, client_id=made.client.id, code=code, **fields()
    )
    assert first.ok
    bare = refresh(harness, first.refresh_token, {}, client_id=made.client.id, **fields())
    assert bare.reason == "binding_proof_missing"
    other = DpopKey()
    again = refresh(
        harness,
        first.refresh_token,
        {"DPoP": proof(harness, other)},
        client_id=made.client.id,
        **fields(),
    )
    assert harness.claims(again.access_token)["cnf"] == {"jkt": other.jkt}


def test_a_client_that_asked_for_bound_tokens_gets_no_others(harness):
    """DPOP-06: `dpop_bound_access_tokens` in a metadata document."""
    url = harness.serve_document(dpop_bound_access_tokens=True)
    page = harness.browser().authorize(client_id=url)
    bare = redeem(harness, {}, client_id=url, code=page.code)
    assert (bare.error, bare.reason) == ("invalid_dpop_proof", "dpop_proof_missing")
    assert redeem(harness, {"DPoP": proof(harness)}, client_id=url, code=page.code).ok


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A server that demands nonces of its own."""
    folder = tmp_path_factory.mktemp("nonces")
    url = f"sqlite:///{folder / 'authz.db'}"
    with running(folder, url, sections={"tokens": {"dpop_nonce": True}}) as server:
        made = Harness(server)
        yield made
        made.close()


def test_the_nonce_is_handed_out_and_accepted_for_a_while(strict):
    """DPOP-04."""
    code = strict.code(lifetime=timedelta(minutes=10))
    first = redeem(strict, {"DPoP": proof(strict)}, code=code)
    assert (first.status, first.error) == (400, "use_dpop_nonce")
    assert "DPoP-Nonce" in first.response.headers["access-control-expose-headers"]
    nonce = first.response.headers["dpop-nonce"]
    strict.clock.advance(seconds=120)
    answer = redeem(strict, {"DPoP": proof(strict, nonce=nonce)}, code=code)
    assert answer.ok, answer.reason
    newer = answer.response.headers["dpop-nonce"]
    assert newer != nonce
    strict.clock.advance(seconds=241)
    assert redeem(strict, {"DPoP": proof(strict, nonce=newer)}).error == "use_dpop_nonce"


@pytest.mark.parametrize("nonce", ["", "1.x", "x", 7, "9999999999.AAAA", None])
def test_no_other_nonce_is_accepted(strict, nonce):
    answer = redeem(strict, {"DPoP": proof(strict, nonce=nonce)})
    assert (answer.error, answer.reason) == ("use_dpop_nonce", "dpop_nonce")


def test_a_proof_of_anything_else_is_none(harness):
    """ATK-36: a signed statement of another kind, with the key in its header, is not taken for a proof."""
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    for typ in ("at+jwt", "JWT", "client-authentication+jwt"):
        header = {"typ": typ, "alg": "ES256", "jwk": KEY.key.as_dict(private=False)}
        text = jws.serialize_compact(header, "{}", KEY.key, registry=registry)
        assert redeem(harness, {"DPoP": text}).reason == "dpop_jwt_typ"
