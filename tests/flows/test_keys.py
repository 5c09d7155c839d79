"""Signing keys over time: published before they sign, and until their last token has expired (ATJ-06, V5, ATK-69)."""

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import select

from authz.admin import audit_checkpoints, keys
from authz.audit.checkpoints import next_checkpoint
from authz.db.models import SigningKey
from authz.envelope import Envelope, new_encoded_key
from authz.errors import ConfigurationError
from authz.keys import PURPOSES, KeyRing, StoredKey, unseal
from tests.support.harness import Harness

AHEAD, LONGEST = timedelta(minutes=15), timedelta(minutes=10)


@pytest.fixture
def harness(server):
    """A tenant that has RSA keys, as real ones do."""
    made = Harness(server, with_rsa=True)
    yield made
    made.close()


def jwks(harness):
    # Served bodies are looked at anew after a second.
    harness.clock.advance(seconds=2)
    return harness.http.get(f"{harness.issuer}/jwks").json()["keys"]


def kids(harness):
    return {key["kid"] for key in jwks(harness)}


def kid_of(token):
    import base64
    import json

    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def rotate(harness, algorithm="ES256", purpose="access_token", ahead=AHEAD, at=None):
    new = keys.generate_one(purpose, algorithm)
    return harness.change(keys.rotate, new, publish_ahead=ahead, longest_token=LONGEST, at=at)


def state_of(harness, kid):
    with harness.server.database.read() as tx:
        return {k.id: k.state for k in keys.list_(tx, harness.tenant_id, harness.clock())}[kid]


def stored(harness):
    with harness.server.database.read() as tx:
        return list(tx.scalars(select(SigningKey).where(SigningKey.tenant_id == harness.tenant_id)))


def test_the_published_set(harness):
    """ATJ-01, ATJ-06, CONF-13, ATK-69: one of each purpose and algorithm, public members only."""
    published = jwks(harness)
    assert sorted(key["alg"] for key in published) == sorted(
        algorithm for algorithms in PURPOSES.values() for algorithm in algorithms
    )
    for key in published:
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert key["use"] == "sig"
        kind = RSAKey if key["kty"] == "RSA" else ECKey
        assert kind.import_key(key).thumbprint() == key["kid"]  # RFC 7638
    response = harness.http.get(f"{harness.issuer}/jwks")
    assert "max-age" in response.headers["cache-control"]


def test_a_rotation_from_planned_to_gone(harness):
    """ATJ-06, V5: at every step old and new tokens verify, and the set holds exactly what it must."""
    old_token = harness.redeem(harness.code()).access_token
    old = kid_of(old_token)
    at = harness.clock() + timedelta(minutes=5)
    new = rotate(harness, at=at).key_id

    assert state_of(harness, new) == "planned"
    assert new not in kids(harness)

    harness.clock.advance(minutes=5)
    assert (state_of(harness, new), state_of(harness, old)) == ("published", "active")
    assert {old, new} <= kids(harness)
    assert kid_of(harness.redeem(harness.code()).access_token) == old

    harness.clock.advance(minutes=14, seconds=50)
    last_old = harness.redeem(harness.code()).access_token
    assert kid_of(last_old) == old

    harness.clock.advance(seconds=10)
    assert (state_of(harness, new), state_of(harness, old)) == ("active", "retiring")
    first_new = harness.redeem(harness.code()).access_token
    assert kid_of(first_new) == new
    for token in (last_old, first_new):
        assert harness.claims(token)["iss"] == harness.issuer
    assert {old, new} <= kids(harness)

    harness.clock.advance(minutes=10)
    assert state_of(harness, old) == "gone"
    assert old not in kids(harness)
    assert new in kids(harness)


def test_every_token_verifies_as_long_as_it_lives(harness):
    """V5: issue, rotate, and look at each token until it expires."""
    alive = []
    for step in range(40):
        if step in (5, 18):
            rotate(harness)
        token = harness.redeem(harness.code()).access_token
        alive.append((harness.claims(token)["exp"], token))
        alive = [(exp, t) for exp, t in alive if exp > harness.clock().timestamp()]
        published = KeySet.import_key_set({"keys": jwks(harness)})
        for _, one in alive:
            assert jwt.decode(one, published, algorithms=["ES256"]).claims["iss"] == harness.issuer
        harness.clock.advance(minutes=2)
    assert len({kid_of(t) for _, t in alive}) == 1


def test_a_planned_key_can_be_overtaken(harness):
    """An emergency before the planned day: the planned key never signs."""
    planned = rotate(harness, at=harness.clock() + timedelta(days=1)).key_id
    now = rotate(harness, ahead=timedelta(0)).key_id
    assert kid_of(harness.redeem(harness.code()).access_token) == now
    for _ in range(4):
        harness.clock.advance(hours=13)
        assert kid_of(harness.redeem(harness.code()).access_token) == now
        assert state_of(harness, planned) != "active"


def test_rotation_of_one_algorithm_leaves_the_others(harness):
    """CONF-13."""
    before = {k.id for k in stored(harness)}
    rotate(harness, "RS256")
    harness.clock.advance(hours=1)
    gone = {kid for kid in before if state_of(harness, kid) == "gone"}
    assert [k.algorithm for k in stored(harness) if k.id in gone] == ["RS256"]
    assert harness.claims(harness.redeem(harness.code()).access_token)


def test_private_parts_are_sealed_and_wiped(harness):
    """V1, ATK-69: no usable key in a dump, and none at all once it is gone."""
    for row in stored(harness):
        assert row.private_key
        for marker in (b"PRIVATE", b"\x02\x01\x00\x30", b"\x2a\x86\x48\xce\x3d"):
            assert marker not in row.private_key
    old = kid_of(harness.redeem(harness.code()).access_token)
    rotate(harness, ahead=timedelta(0))
    assert harness.change(keys.wipe_gone) == []
    harness.clock.advance(minutes=10)
    assert harness.change(keys.wipe_gone) == [old]
    assert {k.id: k.private_key for k in stored(harness)}[old] is None
    assert harness.redeem(harness.code()).ok
    assert harness.change(keys.wipe_gone) == []


def test_another_key_encryption_key_opens_nothing(harness):
    """V1: refused with a sentence, not with a wrong key."""
    row = stored(harness)[0]
    entry = StoredKey(keys.life_of(row), row.public_jwk, row.private_key)
    assert unseal([entry], harness.server.services.envelope, harness.tenant_id).keys
    with pytest.raises(ConfigurationError, match="key-encryption key does not open"):
        unseal([entry], Envelope(new_encoded_key()), harness.tenant_id)
    with pytest.raises(ConfigurationError, match="does not open"):
        unseal([entry], harness.server.services.envelope, "ten_other")


def test_audit_keys_never_sign_tokens(harness):
    """CONF-13, ATK-36: one key, one algorithm, one purpose."""
    purposes = {k.id: k.purpose for k in stored(harness)}
    for _ in range(3):
        assert purposes[kid_of(harness.redeem(harness.code()).access_token)] == "access_token"
    with harness.server.database.read() as tx:
        ring = harness.server.services.configurations.find(tx, harness.slug).keys
        prepared = next_checkpoint(
            tx, harness.tenant_id, issuer=harness.issuer, now=harness.clock()
        )
    statement = audit_checkpoints.sign(ring, prepared, harness.clock())
    assert purposes[kid_of(statement)] == "audit"
    only_audit = KeyRing(tuple(k for k in ring.keys if k.life.purpose == "audit"))
    with pytest.raises(ConfigurationError, match="no active ES256 key for access_token"):
        only_audit.signer("access_token", "ES256", harness.clock())
