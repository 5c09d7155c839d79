"""OIDC-06, ATK-41 to ATK-44: an ID token with one thing wrong signs nobody in, and says which thing it was."""

import base64
import hashlib
import json

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from authz.federation.connector import PUBLIC_SENTENCE
from tests.support.fake_idp import CLIENT_ID, SECRET, sign, signing_key, unsigned

DAY = 86400
OTHER = "https://other.example"


def at(scene, seconds):
    return scene.clock().timestamp() + seconds


CLAIMS = {
    "issuer of another": ({"iss": OTHER}, "iss"),
    "no issuer": ({"iss": None}, "iss"),
    "issuers": ({"iss": [OTHER]}, "iss"),
    "audience of another": ({"aud": "another-client"}, "aud"),
    "no audience": ({"aud": None}, "aud"),
    "no audience in a list": ({"aud": []}, "aud"),
    "us and another": ({"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID}, "aud"),
    "us twice": ({"aud": [CLIENT_ID, CLIENT_ID]}, "aud"),
    "us in an object": ({"aud": {"client": CLIENT_ID}}, "aud"),
    "party of another": ({"azp": "another-client"}, "azp"),
    "parties": ({"azp": [CLIENT_ID]}, "azp"),
    "empty party": ({"azp": ""}, "azp"),
    "no end": ({"exp": None}, "exp"),
    "end as text": ({"exp": "4102444800"}, "exp"),
    "end as truth": ({"exp": True}, "exp"),
    "end beyond dates": ({"exp": 1e300}, "exp"),
    "end beyond floats": ({"exp": 10**400}, "exp"),
    "end before time": ({"exp": -1}, "exp"),
    "no beginning": ({"iat": None}, "iat"),
    "beginning as text": ({"iat": "1"}, "iat"),
    "beginning in a list": ({"iat": [1]}, "iat"),
    "no nonce": ({"nonce": None}, "nonce"),
    "nonce of another": ({"nonce": "non_another"}, "nonce"),
    "empty nonce": ({"nonce": ""}, "nonce"),
    "nonces": ({"nonce": ["a"]}, "nonce"),
    "nonce as a number": ({"nonce": 7}, "nonce"),
    "no subject": ({"sub": None}, "sub"),
    "empty subject": ({"sub": ""}, "sub"),
    "subject as a number": ({"sub": 7}, "sub"),
    "subjects": ({"sub": ["person-1", "person-2"]}, "sub"),
    "subject with a NUL": ({"sub": "person-1\x00"}, "sub"),
    "subject of two lines": ({"sub": "person-1\nperson-2"}, "sub"),
    "half a character": ({"sub": "person-\ud800"}, "sub"),
    "hash of another token": ({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, "at_hash"),
    "empty hash": ({"at_hash": ""}, "at_hash"),
    "hash as a number": ({"at_hash": 7}, "at_hash"),
    "hashes": ({"at_hash": ["77QmUPtjPfzWtF2AnpK9RQ"]}, "at_hash"),
    "methods as text": ({"amr": "mfa"}, "amr"),
    "methods in an object": ({"amr": {"mfa": True}}, "amr"),
    "moment as text": ({"auth_time": "1"}, "auth_time"),
    "moment as truth": ({"auth_time": True}, "auth_time"),
    "moment beyond dates": ({"auth_time": 1e300}, "auth_time"),
    "session in an object": ({"sid": {"a": 1}}, "sid"),
    "empty session": ({"sid": ""}, "sid"),
    "long session": ({"sid": "s" * 256}, "sid"),
    "session end as text": ({"session_expiry": "later"}, "session_expiry"),
    "session end as truth": ({"session_expiry": True}, "session_expiry"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_is_not_as_it_has_to_be(scene, idp, name):
    claims, reason = CLAIMS[name]
    idp.claims |= claims
    refused = scene.refusal(idp)
    assert (refused.reason, refused.sentence) == (f"id_token_{reason}", PUBLIC_SENTENCE)


@pytest.mark.parametrize(
    ("claim", "seconds", "reason"),
    [
        ("exp", -61, "id_token_expired"),
        ("exp", 2 * DAY, "id_token_lifetime"),
        ("iat", 61, "id_token_from_the_future"),
        ("iat", -3600, "id_token_stale"),
        ("nbf", 61, "id_token_from_the_future"),
        ("auth_time", 61, "auth_time_future"),
        ("session_expiry", 0, "upstream_session_over"),
        ("session_expiry", -300, "upstream_session_over"),
    ],
)
def test_times_of_another_time(scene, idp, claim, seconds, reason):
    idp.claims[claim] = at(scene, seconds)
    assert scene.refusal(idp).reason == reason


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [CLIENT_ID]},
        {"azp": CLIENT_ID},
        {"typ": "ID"},
        {"unknown": {"a": [1, {"b": None}]}},
        {"sub": "s" * 255},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_what_is_unusual_and_right(scene, idp, claims):
    idp.claims |= claims
    assert scene.sign_in(idp).identity.email == "dev@corp.example"


def test_a_subject_is_not_shortened(scene, idp):
    """OpenID Connect Core §2: 255 characters. Two long ones must not become one person."""
    idp.claims["sub"] = "s" * 256
    assert scene.refusal(idp).reason == "subject_missing"


HEADERS = {
    "an access token": ({"typ": "at+jwt"}, "typ"),
    "a logout token": ({"typ": "logout+jwt"}, "typ"),
    "a grant": ({"typ": "oauth-id-jag+jwt"}, "typ"),
    "an event": ({"typ": "application/secevent+jwt"}, "typ"),
    "typ as a number": ({"typ": 7}, "typ"),
    "a key inside": ({"jwk": signing_key("ES256", "k9").public}, "header_forbidden"),
    "a place of keys": ({"jku": "https://keys.example/jwks"}, "header_forbidden"),
    "a place of certificates": ({"x5u": "https://keys.example/chain"}, "header_forbidden"),
    "certificates": ({"x5c": ["MIIB"]}, "header_forbidden"),
    "what must be understood": ({"crit": ["exp"], "exp": 1}, "header_forbidden"),
    "compressed": ({"zip": "DEF"}, "header_forbidden"),
    "key of nobody": ({"kid": "k2"}, "key_unknown"),
    "key in a file": ({"kid": "../../../../dev/null"}, "key_unknown"),
    "key in a statement": ({"kid": "' OR 1=1 --"}, "key_unknown"),
    "long key id": ({"kid": "k" * 300}, "kid"),
    "longer key id": ({"kid": "k" * 4096}, "header_too_long"),
    "key id as a number": ({"kid": 1}, "kid"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_not_as_it_has_to_be(scene, idp, name):
    """ATK-42: nothing is fetched from where a header points; a host that nobody serves would fail the test."""
    header, reason = HEADERS[name]
    idp.forge = lambda own, claims: sign(idp.key, own, claims)
    idp.header |= header
    assert scene.refusal(idp).reason == f"id_token_{reason}"


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt"])
def test_what_id_tokens_are_called(scene, idp, typ):
    idp.header["typ"] = typ
    assert scene.sign_in(idp).identity.subject == "person-1"


def hmac(key, alg):
    registry = jws.JWSRegistry(algorithms=[alg])

    def forge(header, claims):
        return jws.serialize_compact(
            {**header, "alg": alg}, json.dumps(claims), OctKey.import_key(key), registry=registry
        )

    return forge


RSA = signing_key()
ELLIPTIC = signing_key("ES256", "k1")
FORGERIES = {
    "unsigned": (lambda h, c: unsigned({**h, "alg": "none"}, c), "alg"),
    "unsigned and claiming a signature": (lambda h, c: unsigned(h, c), "signature"),
    "half a signature": (lambda h, c: sign(RSA, h, c)[:-100], "signature"),
    "None": (lambda h, c: unsigned({**h, "alg": "None"}, c, "AAAA"), "alg"),
    "no algorithm": (lambda h, c: unsigned({"kid": "k1"}, c, "AAAA"), "alg"),
    "algorithms": (lambda h, c: unsigned({**h, "alg": ["RS256"]}, c, "AAAA"), "alg"),
    "our secret as a key": (hmac(SECRET, "HS256"), "alg"),
    # Any other text of the same key would do: no key of ours is ever used for a MAC.
    "their public key as a secret": (hmac(json.dumps(RSA.public), "HS512"), "alg"),
    "another key": (
        lambda h, c: sign(signing_key("RS256", "k2"), {**h, "kid": "k1"}, c),
        "signature",
    ),
    "another kind of key": (lambda h, c: sign(ELLIPTIC, {**h, "alg": "ES256"}, c), "key_unknown"),
    "an algorithm nobody allowed": (
        lambda h, c: sign(signing_key("ES384", "k1"), {**h, "alg": "ES384"}, c),
        "alg",
    ),
    "two claims of one name": (
        lambda h, c: sign(RSA, h, json.dumps(c).replace("{", '{"sub":"person-2",', 1).encode()),
        "not_json",
    ),
    "two tokens in one": (lambda h, c: sign(RSA, h, sign(RSA, h, c).encode()), "not_json"),
    "claims in a list": (lambda h, c: sign(RSA, h, json.dumps([c]).encode()), "not_json"),
    "another encoding": (
        lambda h, c: sign(RSA, h, json.dumps(c).encode("utf-16")),
        "not_json",
    ),
    "no number": (
        lambda h, c: sign(RSA, h, json.dumps({**c, "exp": float("nan")}).encode()),
        "not_json",
    ),
    "brackets": (lambda h, c: sign(RSA, h, b"[" * 100_000), "not_json"),
    "encrypted": (lambda h, c: "e30.e30.e30.e30.e30", "not_compact"),
    "dots": (lambda h, c: "..", "not_json"),
    "nothing": (lambda h, c: "", "not_compact"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token(scene, idp, name):
    forge, reason = FORGERIES[name]
    idp.forge = forge
    assert scene.refusal(idp).reason == f"id_token_{reason}"


@pytest.mark.parametrize(
    "token", [None, 7, ["a"], {"payload": "e30", "signatures": []}, True], ids=repr
)
def test_a_token_that_is_no_text(scene, idp, token):
    """ATK-44: nothing but the compact form; the general one with no signature at all once passed elsewhere."""
    idp.tokens["id_token"] = token
    idp.forge = lambda header, claims: ""
    assert scene.refusal(idp).reason == "id_token_missing"


def test_an_algorithm_counts_once_an_operator_allows_it(scene, idp):
    idp.key = signing_key("Ed25519", "k1")
    assert scene.refusal(idp).reason == "id_token_alg"
    upstream = scene.upstream(idp, algorithms=["Ed25519"])
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    idp.key = signing_key()
    assert scene.refusal(idp, upstream).reason == "id_token_alg"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "Ed25519", "EdDSA"])
def test_the_hash_of_the_access_token(scene, idp, algorithm):
    """Each with the hash of its algorithm, and Ed25519 under both of its names."""
    idp.key = signing_key(algorithm, "k1")
    upstream = scene.upstream(idp, algorithms=[algorithm])
    hashed = {"84": hashlib.sha384, "56": hashlib.sha256}.get(algorithm[-2:], hashlib.sha512)

    def forge(header, claims):
        digest = hashed(idp.access_token.encode()).digest()
        half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
        return sign(idp.key, header, {**claims, "at_hash": half})

    idp.forge = forge
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    idp.tokens["access_token"] = "at-of-another"
    assert scene.refusal(idp, upstream).reason == "id_token_at_hash"


def test_two_keys_of_one_name_are_both_tried(scene, idp):
    """ATK-43: a name is no proof; which of the two made the signature is found by trying."""
    idp.jwks = {"keys": [signing_key("RS256", "k2").public | {"kid": "k1"}, idp.key.public]}
    assert scene.sign_in(idp).identity.subject == "person-1"


def test_a_token_without_a_key_id_is_tried_with_what_fits(scene, idp):
    """STK-07."""
    idp.header["kid"] = None
    idp.jwks = {"keys": [ELLIPTIC.public, signing_key("RS256", "k2").public, idp.key.public]}
    assert scene.sign_in(idp).identity.subject == "person-1"


def test_the_same_token_is_good_for_one_sign_in(scene, idp):
    """ATK-18: the nonce binds it, so yesterday's token and another tab's are somebody else's."""
    kept = []
    idp.forge = lambda header, claims: kept.append(sign(idp.key, header, claims)) or kept[0]
    assert scene.sign_in(idp).identity.subject == "person-1"
    assert scene.refusal(idp).reason == "id_token_nonce"


def test_a_token_larger_than_all_groups_of_anybody(scene, idp):
    idp.person["groups"] = ["g" * 250] * 20_000
    assert scene.refusal(idp).reason == "token_too_large"
