"""The life of a key as a function of its moments (ATJ-06)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.errors import ConfigurationError, Invalid
from authz.keys import ALGORITHMS, AUDIT, PURPOSES, describe, generate
from authz.keys.rotation import KeyLife, KeyState, succeed

T = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST = timedelta(minutes=10)


def minutes(n):
    return T + timedelta(minutes=n)


LIFE = KeyLife("k", "access_token", "ES256", minutes(10), minutes(20), minutes(30), minutes(40))


@pytest.mark.parametrize(
    ("minute", "state", "published"),
    [
        (0, "planned", False),
        (9.99, "planned", False),
        (10, "published", True),
        (19.99, "published", True),
        (20, "active", True),
        (29.99, "active", True),
        (30, "retiring", True),
        (39.99, "retiring", True),
        (40, "gone", False),
        (10**6, "gone", False),
    ],
)
def test_states(minute, state, published):
    now = minutes(minute)
    assert LIFE.state(now) == KeyState(state)
    assert LIFE.is_published(now) is published


def first(key_id, purpose, algorithm):
    return KeyLife(key_id, purpose, algorithm, T, T, None, None)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), max_size=8))
def test_there_is_always_a_signer_and_whatever_signed_is_published(plans):
    """However rotations are planned and overtaken: one key always signs, and the keys of live tokens are out."""
    lives = [first("k0", "access_token", "ES256")]
    for number, (start, ahead) in enumerate(plans, start=1):
        successor = KeyLife(
            f"k{number}",
            "access_token",
            "ES256",
            minutes(start),
            minutes(start + ahead),
            None,
            None,
        )
        changed = {life.key_id: life for life in succeed(lives, successor, longest_token=LONGEST)}
        lives = [changed.get(life.key_id, life) for life in lives] + [successor]
    for minute in range(0, 600, 7):
        now = minutes(minute)
        active = [life for life in lives if life.state(now) is KeyState.ACTIVE]
        assert active, minute
        assert all(life.is_published(now) for life in active)
        for life in active:
            assert life.is_published(now + LONGEST - timedelta(seconds=1))


def test_another_purpose_or_algorithm_is_left_alone():
    others = [
        first("a", "audit", "ES256"),
        first("b", "access_token", "RS256"),
    ]
    assert succeed(others, LIFE, longest_token=LONGEST) == ()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_described_by_its_thumbprint(algorithm):
    key = generate(algorithm)
    kid, public = describe(key, algorithm)
    assert kid == key.thumbprint() == public["kid"]
    assert public["alg"] == algorithm
    assert "d" not in public


def test_unknown_algorithms_are_refused():
    from authz.admin.keys import generate_one

    with pytest.raises(ConfigurationError, match="ES256, RS256"):
        generate("HS256")
    for purpose, algorithm in (("access_token", "HS256"), (AUDIT, "RS256"), ("other", "ES256")):
        with pytest.raises(Invalid):
            generate_one(purpose, algorithm)
    assert set(PURPOSES) == {"access_token", "audit", "id_jag", "id_token", "introspection"}
