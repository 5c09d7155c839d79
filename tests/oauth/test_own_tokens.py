"""Which texts are access tokens of ours, and how long that is remembered (ATJ-02, ATK-59)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.keys import ACCESS_TOKEN, KeyRing, RingKey
from authz.oauth import own_tokens
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.token_types import TOKEN_TYP
from tests.support.configured import ISSUER, NOW, TENANT_ID, configuration, fixed_key

KEYS = configuration().keys
CLAIMS = {"iss": ISSUER, "sub": "usr_1", "jti": "at_1", "exp": int(NOW.timestamp()) - 60}


def signed(claims=CLAIMS, *, typ=TOKEN_TYP, keys=KEYS):
    return keys.sign(ACCESS_TOKEN, "ES256", typ, claims, NOW)


def read(token, own=None, *, keys=KEYS, now=NOW, tenant_id=TENANT_ID):
    return (own or OwnTokens()).read(token, keys, tenant_id=tenant_id, now=now)


def test_what_it_says_is_told_also_when_it_has_expired():
    assert read(signed()) == CLAIMS


@pytest.mark.parametrize(
    "token",
    [
        "",
        "at_1",
        signed(typ="JWT"),
        signed({**CLAIMS, "jti": 1}),
        signed({name: value for name, value in CLAIMS.items() if name != "jti"}),
        signed()[:-4] + "AAAA",
    ],
    ids=["empty", "no token", "typ", "jti", "no jti", "signature"],
)
def test_anything_else_is_none_of_ours(token):
    own = OwnTokens()
    assert read(token, own) is None
    assert read(token, own) is None


def test_a_key_of_the_same_name_signs_nothing_of_ours():
    """ATK-41."""
    [known] = KEYS.keys
    other = fixed_key(2)
    forged = KeyRing((RingKey(known.life, other.as_dict(private=False), other),))
    assert read(signed(keys=forged)) is None


def test_a_token_falls_with_its_key():
    """What was good once is good as long as the key is published."""
    own = OwnTokens()
    token = signed()
    assert read(token, own) == read(token, own) == CLAIMS
    [known] = KEYS.keys
    gone = KeyRing((replace(known, life=replace(known.life, gone_at=NOW)),))
    assert read(token, own, keys=gone, now=NOW - timedelta(seconds=1)) == CLAIMS
    assert read(token, own, keys=gone) is None
    assert read(token, keys=gone) is None


def test_a_tenant_knows_its_own_alone():
    """M1: what one tenant remembers is not asked for another, whose keys are others."""
    own = OwnTokens()
    token = signed()
    assert read(token, own) == CLAIMS
    assert read(token, own, tenant_id="ten_2", keys=KeyRing(())) is None


def test_the_memory_is_bounded_and_forgets_what_was_asked_longest_ago(monkeypatch):
    monkeypatch.setattr(own_tokens, "MAX_REMEMBERED", 2)
    own = OwnTokens()
    tokens = [signed({**CLAIMS, "jti": f"at_{number}"}) for number in range(3)]
    for token in (tokens[0], tokens[1], tokens[0], tokens[2]):
        assert read(token, own) is not None
    assert len(own._seen) == 2
    assert [claims["jti"] for _, claims in own._seen.values()] == ["at_0", "at_2"]
