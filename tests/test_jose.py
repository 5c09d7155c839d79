import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws

from authz.jose import (
    ASYMMETRIC,
    LEEWAY,
    MAX_TOKEN_CHARS,
    JwtError,
    Profile,
    import_jwks,
    import_private_key,
    read_unverified,
    sign_jwt,
    verify_in_vain,
    verify_jwt,
)
from tests.support.client_keys import ClientKey

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY, RSA = ClientKey(kid=None), ClientKey("RS256", kid=None)
PROFILE = Profile(
    typ=frozenset({"jwt"}),
    algorithms=ASYMMETRIC,
    issuer="cli",
    audiences=frozenset({"https://as.example"}),
    max_lifetime=timedelta(minutes=10),
)


def refused(work):
    with pytest.raises(JwtError) as error:
        work()
    return error.value.reason


def outcome(work):
    """What it answers, or the reason it was refused for."""
    try:
        return work()
    except JwtError as error:
        return error.reason


def verify(token, *keys):
    jwks = {"keys": [key.public for key in keys or (KEY,)]}
    return verify_jwt(token, import_jwks(jwks, algorithms=ASYMMETRIC), PROFILE, NOW)


def test_what_we_sign_is_read_by_others_and_by_us():
    key = ClientKey(kid="k")
    token = sign_jwt(
        key.key,
        algorithm="ES256",
        key_id="k",
        typ="JWT",
        claims={"iss": "cli", "sub": "ü", "aud": "https://as.example", "exp": NOW.timestamp() + 5},
    )
    assert read_unverified(token)[0] == {"typ": "JWT", "alg": "ES256", "kid": "k"}
    assert verify(token, key)["sub"] == "ü"


@pytest.mark.parametrize("seconds", [-59, 0, 59])
def test_clocks_may_differ_by_one_leeway(seconds):
    """ATK-53."""
    at = int(NOW.timestamp())
    times = {
        "exp": at + 30 if seconds > 0 else at + seconds,
        "iat": at + seconds,
        "nbf": at + seconds,
    }
    assert verify(KEY.sign("cli", "https://as.example", NOW, **times))
    assert timedelta(seconds=60) == LEEWAY


def test_a_few_keys_are_tried_without_a_kid_and_no_more():
    """STK-07, ATK-62."""
    token = KEY.sign("cli", "https://as.example", NOW)
    others = [ClientKey(kid=None) for _ in range(5)]
    assert verify(token, *others[:4], KEY)
    assert refused(lambda: verify(token, *others, KEY)) == "jwt_signature"


def test_an_algorithm_binds_to_the_kind_of_key():
    """ATK-41."""
    token = KEY.sign("cli", "https://as.example", NOW)
    assert refused(lambda: verify(token, RSA)) == "jwt_key_unknown"
    declared = {**RSA.public, "alg": "PS256"}
    keys = import_jwks({"keys": [declared]}, algorithms=ASYMMETRIC)
    signed = RSA.sign("cli", "https://as.example", NOW)
    assert refused(lambda: verify_jwt(signed, keys, PROFILE, NOW)) == "jwt_key_unknown"


def test_duplicate_members_are_refused_in_both_parts():
    """ATK-44, STK-05."""
    import base64

    def part(text):
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    good, double = part('{"alg":"ES256"}'), part('{"alg":"ES256","alg":"none"}')
    assert refused(lambda: read_unverified(f"{double}.{good}.A")) == "jwt_not_json"
    assert refused(lambda: read_unverified(f"{good}.{double}.A")) == "jwt_not_json"
    assert refused(lambda: read_unverified(f"{part('[]')}.{good}.A")) == "jwt_not_json"
    deep = part("[" * 4000)
    assert refused(lambda: read_unverified(f"{good}.{deep}.A")) == "jwt_not_json"


@settings(deadline=None)
@given(st.text(max_size=80) | st.text("e30.=-_A", max_size=40))
def test_no_text_breaks_the_reader(text):
    """ATK-44, ATK-63."""
    try:
        header, claims = read_unverified(text)
    except JwtError:
        return
    assert isinstance(header, dict)
    assert isinstance(claims, dict)


def test_a_long_token_is_not_even_split():
    """ATK-46, ATK-62."""
    assert refused(lambda: read_unverified("." * (MAX_TOKEN_CHARS + 1))) == "jwt_too_long"
    assert refused(lambda: read_unverified("A" * 4097 + ".e30.A")) == "jwt_header_too_long"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = (
    scalars
    | st.lists(scalars, max_size=2)
    | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
)
names = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops", "x5c", "ext")


@settings(deadline=None)
@given(st.sampled_from([KEY, RSA]), st.dictionaries(st.sampled_from(names), anything, max_size=3))
def test_no_jwk_breaks_the_importer(key, changes):
    """ATK-45: a hostile member is a refusal with a reason, never another exception."""
    jwks = {"keys": [{**key.public, **changes}]}
    found = outcome(lambda: import_jwks(jwks, algorithms=ASYMMETRIC))
    assert isinstance(found, tuple) or found.startswith("jwk")


@settings(deadline=None)
@given(anything)
def test_no_key_set_breaks_the_importer(document):
    """ATK-45."""
    for shape in (document, {"keys": document}, {"keys": [document]}):
        found = outcome(lambda shape=shape: import_jwks(shape, algorithms=ASYMMETRIC))
        assert isinstance(found, tuple) or found.startswith("jwk")


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti"]), anything)
)
def test_no_claim_breaks_the_verifier(changes):
    """ATK-44: also with numbers no float holds, and text no database stores."""
    token = KEY.sign("cli", "https://as.example", NOW, **changes)
    if "NaN" in json.dumps(changes) or "Infinity" in json.dumps(changes):
        assert refused(lambda: verify(token)) == "jwt_not_json"
        return
    found = outcome(lambda: verify(token))
    if isinstance(found, str):
        assert found.startswith("jwt_")
    else:
        assert found["iss"] == "cli"
        assert found["sub"].isprintable()


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "Ed25519"])
@pytest.mark.parametrize("kind", ["PEM", "JWK"])
def test_a_private_key_of_ours_signs_what_its_public_half_verifies(algorithm, kind):
    own = ClientKey(algorithm, kid=None)
    written = own.key.as_pem(private=True)
    if kind == "JWK":
        written = json.dumps(own.key.as_dict(private=True)).encode()
    key = import_private_key(b"\n" + written + b"\n")
    claims = {"iss": "cli", "sub": "s", "aud": "https://as.example", "exp": NOW.timestamp() + 5}
    token = sign_jwt(key, algorithm=algorithm, key_id="k", typ="JWT", claims=claims)
    jwks = {"keys": [own.public | {"kid": "k"}]}
    keys = import_jwks(jwks, algorithms=ASYMMETRIC)
    assert verify_jwt(token, keys, PROFILE, NOW)["sub"] == "s"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "private_key_malformed"),
        (b"{}", "private_key_malformed"),
        (b'{"kty": "oct", "k": "AAAA"}', "private_key_malformed"),
        (b"\xff{", "private_key_malformed"),
        (json.dumps(KEY.public).encode(), "private_key_unusable"),
        (KEY.key.as_pem(private=False), "private_key_malformed"),
    ],
    ids=["nothing", "no kind", "a secret", "no text", "public", "public PEM"],
)
def test_what_is_no_private_key_is_refused_without_a_word_of_it(data, reason):
    assert refused(lambda: import_private_key(data)) == reason


def test_a_longer_token_is_read_where_the_profile_says_so():
    """An ID token names all groups of somebody; nothing else may be that long."""
    groups = ["g" * 60] * 500
    claims = {"iss": "cli", "sub": "s", "aud": "https://as.example", "exp": NOW.timestamp() + 5}
    token = sign_jwt(
        KEY.key, algorithm="ES256", key_id="k", typ="JWT", claims=claims | {"groups": groups}
    )
    keys = import_jwks({"keys": [KEY.public | {"kid": "k"}]}, algorithms=ASYMMETRIC)
    assert refused(lambda: verify_jwt(token, keys, PROFILE, NOW)) == "jwt_too_long"
    wide = replace(PROFILE, max_chars=len(token))
    assert verify_jwt(token, keys, wide, NOW)["groups"] == groups
    narrow = replace(PROFILE, max_chars=len(token) - 1)
    assert refused(lambda: verify_jwt(token, keys, narrow, NOW)) == "jwt_too_long"


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_check_in_vain_is_one_check(monkeypatch, algorithm):
    """IDJAG-82: by the algorithm the token names, under a key of the right kind; it never says yes or raises."""
    checked = []
    named = jws.JWSRegistry.algorithms[algorithm]
    verify = named.verify

    def counted(*arguments):
        checked.append(verify(*arguments))
        return checked[-1]

    monkeypatch.setattr(named, "verify", counted)
    token = f"e30.e30.{'A' * 86}"
    verify_in_vain(token, {"alg": algorithm, "kid": "any"})
    assert checked == [False]


@pytest.mark.parametrize("header", [{}, {"alg": "none"}, {"alg": "HS256"}, {"alg": ["ES256"]}])
def test_nothing_is_done_for_an_algorithm_that_nobody_verifies(header):
    verify_in_vain("e30.e30.", header)
    verify_in_vain("no token")
