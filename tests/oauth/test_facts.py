"""What a batch knows: each thing by its tenant, and what was presented once."""

import pytest

from authz.oauth.facts import Facts, Replay
from tests.support.configured import NOW


def replay(key, *, spent_by_refusal=True):
    return Replay(key, NOW, None, spent_by_refusal)


def test_one_caller_is_the_first():
    facts = Facts(claimed={"a"})
    assert [facts.claim(replay("a")), facts.claim(replay("a"))] == [True, False]
    assert not facts.claim(replay("of an earlier batch"))


def test_what_nothing_came_of_can_be_presented_again():
    facts = Facts(claimed={"a"})
    assert facts.claim(replay("a"))
    facts.give_back(replay("a"))
    assert facts.claim(replay("a"))


@pytest.mark.parametrize(
    ("presented", "found"),
    [
        ([("t", replay("a", spent_by_refusal=False))], [("t", "a")]),
        ([("t", replay("a"))], []),
        ([("t", replay("b", spent_by_refusal=False))], []),
        ([("t", replay("b"))], []),
        (
            [
                ("u", replay("c", spent_by_refusal=False)),
                ("t", replay("a", spent_by_refusal=False)),
                ("t", replay("a", spent_by_refusal=False)),
            ],
            [("t", "a"), ("u", "c")],
        ),
    ],
    ids=["given back", "spent by its refusal", "not the first", "neither", "in order, once"],
)
def test_what_is_forgotten_at_the_end_of_a_batch(presented, found):
    """Only what this batch was the first to present, still has, and may be presented again."""
    assert Facts(claimed={"a", "c"}).unspent(presented) == found
