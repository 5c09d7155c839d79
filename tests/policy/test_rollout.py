"""Read-only rollout (features.md item 10): states, groups, percentages."""

import itertools

import pytest

from authz.errors import Invalid
from authz.policy.rollout import CANARY, FULL, READ_ONLY, STATES, Rollout, check, of_json

PEOPLE = [f"usr_{number}" for number in range(2000)]


def admitted(rollout, groups=frozenset()):
    return {it for it in PEOPLE if rollout.admits("res_1", it, groups)}


def test_the_way_goes_from_reading_to_everything():
    assert [Rollout(state).rank for state in STATES] == [0, 1, 2]
    assert admitted(Rollout(READ_ONLY)) == set()
    assert admitted(FULL) == set(PEOPLE)


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_a_percentage_is_of_the_people(percent):
    found = len(admitted(Rollout(CANARY, percent=percent))) / len(PEOPLE) * 100
    assert abs(found - percent) < 4


def test_who_is_in_stays_in_when_it_grows():
    shares = [admitted(Rollout(CANARY, percent=percent)) for percent in range(0, 101, 10)]
    assert all(fewer <= more for fewer, more in itertools.pairwise(shares))
    assert (shares[0], shares[-1]) == (set(), set(PEOPLE))


def test_servers_try_different_people():
    one = admitted(Rollout(CANARY, percent=20))
    other = {it for it in PEOPLE if Rollout(CANARY, percent=20).admits("res_2", it, frozenset())}
    assert one != other


def test_whoever_is_in_stays_in_after_an_upgrade():
    """Another way to count would take from people what they have, and give it to others."""
    rollout = Rollout(CANARY, percent=20)
    found = [n for n in range(40) if rollout.admits("res_1", f"usr_{n}", frozenset())]
    assert found == [5, 9, 11, 14, 19, 25, 27, 33]


def test_a_group_is_in_whole():
    rollout = Rollout(CANARY, groups=frozenset({"grp_pilots"}))
    assert admitted(rollout) == set()
    assert admitted(rollout, frozenset({"grp_pilots"})) == set(PEOPLE)


@pytest.mark.parametrize(
    "rollout",
    [
        FULL,
        Rollout(READ_ONLY),
        Rollout(CANARY, frozenset({"grp_1"})),
        Rollout(CANARY, percent=1),
        Rollout(CANARY, frozenset({"grp_1"}), 100),
    ],
)
def test_what_makes_sense_is_taken_as_it_is(rollout):
    assert check(rollout) is rollout


@pytest.mark.parametrize(
    ("wrong", "why", "field"),
    [
        (Rollout("half"), "is not one of", "state"),
        (Rollout(CANARY), "names groups or a percentage", "groups"),
        (Rollout(CANARY, percent=101), "not a percentage", "percent"),
        (Rollout(CANARY, percent=-1), "not a percentage", "percent"),
        (Rollout(READ_ONLY, percent=5), "belong to canary", "state"),
        (Rollout("full", frozenset({"grp_1"})), "belong to canary", "state"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, why, field):
    with pytest.raises(Invalid, match=why) as refusal:
        check(wrong)
    assert refusal.value.field == field


def test_nothing_stored_is_everything():
    assert of_json(None) is FULL
    stored = {"state": CANARY, "groups": ["g"], "percent": 5, "since": "2026-01-01"}
    assert of_json(stored) == Rollout(CANARY, frozenset({"g"}), 5)
