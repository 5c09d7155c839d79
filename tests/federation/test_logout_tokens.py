"""The edges of what a logout token may be (BCL-01); what comes of one is in `tests/flows`."""

from datetime import UTC, datetime, timedelta

import pytest

from authz.federation.logout_tokens import (
    EVENT,
    MAX_LIFETIME,
    LogoutRefused,
    RelyingParty,
    verify,
)
from authz.jose import LEEWAY, import_jwks
from authz.jose.keys import ASYMMETRIC
from tests.support.client_keys import ClientKey

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
PARTY = RelyingParty("con_1", "https://idp.example", "client", ASYMMETRIC)
KEY = ClientKey("ES256", kid="k1")
EDGE, MOST = int(LEEWAY.total_seconds()), int(MAX_LIFETIME.total_seconds())


def token(key=KEY, header=None, **claims):
    made = {"jti": "j1", "sub": "ada", "iat": AT, "exp": AT + 120, "events": {EVENT: {}}, **claims}
    return key.sign(
        "x",
        "client",
        NOW,
        header={"typ": "logout+jwt", **(header or {})},
        **{**made, "iss": claims.get("iss", PARTY.issuer)},
    )


def keys_of(*keys):
    return import_jwks({"keys": [key.public for key in keys]}, algorithms=ASYMMETRIC)


def read(text, party=PARTY, keys=None, now=NOW):
    return verify(text, keys_of(KEY) if keys is None else keys, party, now)


def reason(*given, **named):
    with pytest.raises(LogoutRefused) as refused:
        read(*given, **named)
    return refused.value.reason


def test_what_one_says():
    said = read(token(sid="s1"))
    assert said.subject.user.value == "ada"
    assert said.subject.session.value == "s1"
    assert said.issued_at == NOW
    assert said.remembered_until == NOW + timedelta(seconds=120) + LEEWAY
    assert "ada" not in repr(said)
    assert "s1" not in repr(said)


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS256", "Ed25519"])
def test_any_algorithm_of_the_list(algorithm):
    key = ClientKey(algorithm, kid="k1")
    assert read(token(key), keys=keys_of(key)).jti == "j1"


def test_an_algorithm_that_the_connection_does_not_take():
    only = RelyingParty("con_1", PARTY.issuer, "client", ("RS256",))
    assert reason(token(), party=only) == "jwt_alg"


@pytest.mark.parametrize(
    ("iat", "exp", "expected"),
    [
        (AT + EDGE, AT + 120, None),
        (AT + EDGE + 1, AT + 120, "jwt_from_the_future"),
        (AT - 100, AT - EDGE + 1, None),
        (AT - 100, AT - EDGE, "jwt_expired"),
        (AT, AT + MOST + EDGE, None),
        (AT, AT + MOST + EDGE + 1, "jwt_lifetime"),
        (AT - MOST, AT + EDGE, None),
        (AT - MOST, AT + EDGE + 1, "jwt_lifetime"),
        (AT - MOST - EDGE + 10, AT - EDGE + 10, None),
    ],
)
def test_the_edges_of_time(iat, exp, expected):
    text = token(iat=iat, exp=exp)
    if expected is None:
        assert read(text).jti == "j1"
    else:
        assert reason(text) == expected


def test_one_audience_may_be_in_a_list():
    assert read(token(aud=["client"])).jti == "j1"
    assert reason(token(aud=["client", "client"])) == "jwt_aud"


def test_where_people_are_known_by_another_claim_a_sub_is_nobody():
    """OIDC-07: one name is not taken for the other."""
    party = RelyingParty("con_1", PARTY.issuer, "client", ASYMMETRIC, subject_claim="oid")
    assert read(token(), party=party).subject is None
    with_session = read(token(sid="s1"), party=party).subject
    assert with_session.user is None
    assert with_session.session.value == "s1"


def test_the_same_jti_is_another_one_at_another_connection():
    other = RelyingParty("con_2", PARTY.issuer, "client", ASYMMETRIC)
    keys = {read(token()).replay_key, read(token(), party=other).replay_key}
    assert len(keys | {read(token(jti="j2")).replay_key}) == 3
