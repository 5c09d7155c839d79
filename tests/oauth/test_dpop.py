"""Proofs of possession by table: what makes one good, at the edge of each comparison (RFC 9449 §4.3)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz import entropy
from authz.errors import InvalidDpopProof, UseDpopNonce
from authz.oauth.dpop import ALGORITHMS, REFUSED, Nonces, is_thumbprint, read_proof
from tests.support.configured import ISSUER, NOW, TENANT_ID
from tests.support.dpop_keys import DpopKey

KEY = DpopKey()
URI = f"{ISSUER}/token"
NONCES = Nonces(b"d" * 32)
STRETCH = timedelta(minutes=2)
SECOND = timedelta(seconds=1)
# RFC 9449 §7.1: the token of the example and its `ath`.
TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
TOKEN_HASH = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def judge(
    *, headers=None, made_at=NOW, uri=URI, uris=(URI,), nonces=None, access_token=None, **claims
):
    return read_proof(
        headers or [KEY.proof(uri, made_at, **claims)],
        method="POST",
        uris=uris,
        algorithms=ALGORITHMS,
        nonces=nonces,
        tenant_id=TENANT_ID,
        now=NOW,
        access_token=access_token,
    )


def test_a_good_proof_names_its_key_and_is_remembered():
    """DPOP-01, ATK-25: by tenant, key and `jti`, for longer than it would be accepted."""
    proof = judge(jti="j")
    assert proof.jkt == KEY.jkt
    assert proof.replay.key == entropy.digest(f"{TENANT_ID}\0dpop_proof\0{KEY.jkt}\0j")
    assert proof.replay.expires_at == NOW + timedelta(minutes=3, seconds=1)
    assert isinstance(proof.replay.refusal, InvalidDpopProof)
    assert proof.replay.refusal.reason == "dpop_replayed"
    assert proof.replay.refusal.description == REFUSED


@pytest.mark.parametrize(
    "good",
    [
        {"made_at": NOW - timedelta(minutes=2)},
        {"made_at": NOW + timedelta(minutes=1)},
        {"jti": "j" * 256},
        {"jti": "j"},
        {"uris": ("https://other.example/token", URI)},
        {"uri": f"{URI}?a=b#c"},
        {"uri": URI.replace("https://as.example", "HTTPS://AS.example:443")},
        {"uri": "http://a/t", "uris": ("http://a:80/t",)},
        {"uri": "http://a:8080/t", "uris": ("http://a:8080/t",)},
        {"uri": "https://a/" + "t" * 2038, "uris": ("https://a/" + "t" * 2038,)},
        {"access_token": TOKEN, "ath": TOKEN_HASH},
        {"ath": "not asked for"},
        {"nonces": NONCES, "nonce": NONCES.current(NOW)},
        {"nonces": NONCES, "nonce": NONCES.current(NOW - STRETCH)},
        {"nonce": "not asked for"},
    ],
)
def test_a_proof_that_is_just_good_enough(good):
    """DPOP-01, DPOP-04, DPOP-08."""
    assert judge(**good).jkt == KEY.jkt


@pytest.mark.parametrize(
    ("reason", "broken"),
    [
        ("dpop_jwt_not_compact", {"headers": ["x"]}),
        ("dpop_jwt_typ", {"header": {"typ": "JWT"}}),
        ("dpop_jwt_alg", {"header": {"alg": "HS256"}}),
        ("dpop_jwk_malformed", {"header": {"jwk": None}}),
        ("dpop_jwt_iat", {"iat": "1"}),
        ("dpop_jwt_iat", {"iat": None}),
        ("dpop_htm", {"method": "GET"}),
        ("dpop_htm", {"method": "post"}),
        ("dpop_htu", {"uri": f"{URI}/"}),
        ("dpop_htu", {"uri": URI.replace("https", "http")}),
        ("dpop_htu", {"uri": URI.replace("as.example", "as.example:444")}),
        ("dpop_htu", {"uri": URI.replace("as.example", "b.example")}),
        ("dpop_htu", {"uri": URI.replace("as.example", "u@as.example")}),
        ("dpop_htu", {"uri": URI.replace("as.example", ":p@as.example")}),
        ("dpop_htu", {"uri": URI.replace("as.example", "as.example:x")}),
        ("dpop_htu", {"uri": URI, "htu": 1}),
        ("dpop_htu", {"htu": None}),
        ("dpop_htu", {"uris": ()}),
        ("dpop_htu", {"uri": "https://a/" + "t" * 2039, "uris": ("https://a/" + "t" * 2039,)}),
        ("dpop_htu", {"uri": "https://a/ä", "uris": ("https://a/ä",)}),
        ("dpop_ath", {"access_token": TOKEN}),
        ("dpop_ath", {"access_token": TOKEN + "x", "ath": TOKEN_HASH}),
        ("dpop_jti", {"jti": None}),
        ("dpop_jti", {"jti": 1}),
        ("dpop_jti", {"jti": ""}),
        ("dpop_jti", {"jti": "j" * 257}),
        ("dpop_jti", {"jti": "a\0b"}),
        ("dpop_iat", {"made_at": NOW - timedelta(minutes=2) - SECOND}),
        ("dpop_iat", {"made_at": NOW + timedelta(minutes=1) + SECOND}),
    ],
)
def test_a_proof_with_one_defect_is_refused(reason, broken):
    """DPOP-01, DPOP-08: one public sentence for all of them."""
    with pytest.raises(InvalidDpopProof) as refusal:
        judge(**broken)
    assert (refusal.value.reason, refusal.value.description) == (reason, REFUSED)


@pytest.mark.parametrize("times", [0, 2])
def test_one_header_no_more_and_no_less(times):
    """RFC 9449 §4.3 step 1."""
    with pytest.raises(InvalidDpopProof, match=r": send one DPoP header \[dpop_header_twice\]"):
        read_proof(
            [KEY.proof(URI, NOW)] * times,
            method="POST",
            uris=(URI,),
            algorithms=ALGORITHMS,
            nonces=None,
            tenant_id=TENANT_ID,
            now=NOW,
        )


@pytest.mark.parametrize(
    "nonce",
    [
        None,
        1,
        "",
        NONCES.current(NOW - 2 * STRETCH),
        NONCES.current(NOW + STRETCH),
        replace(NONCES, key=b"e" * 32).current(NOW),
    ],
)
def test_a_proof_without_a_fresh_nonce_is_made_again(nonce):
    """DPOP-04, RFC 9449 §8: and the answer has the nonce to use."""
    with pytest.raises(UseDpopNonce) as refusal:
        judge(nonces=NONCES, nonce=nonce)
    assert (refusal.value.reason, refusal.value.nonce) == ("dpop_nonce", NONCES.current(NOW))
    assert refusal.value.description == "use the nonce of the DPoP-Nonce header"


def test_a_nonce_lasts_for_one_to_two_stretches():
    """DPOP-04: NOW is the first moment of a stretch."""
    nonce = NONCES.current(NOW)
    assert nonce == NONCES.current(NOW + STRETCH - SECOND)
    assert nonce != NONCES.current(NOW + STRETCH)
    assert NONCES.accepts(nonce, NOW + 2 * STRETCH - SECOND)
    assert not NONCES.accepts(nonce, NOW + 2 * STRETCH)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a" * 43, True),
        ("A-_0" + "z" * 39, True),
        ("-" * 43, True),
        ("_" * 43, True),
        ("a" * 42, False),
        ("a" * 44, False),
        ("a" * 42 + "+", False),
        ("a" * 42 + "ä", False),
    ],
)
def test_what_can_be_a_thumbprint(text, is_one):
    """DPOP-03."""
    assert is_thumbprint(text) is is_one
