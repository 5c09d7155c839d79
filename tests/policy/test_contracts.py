"""What of a scope people agree to, and whether something else is part of that (EMA-07)."""

from dataclasses import replace

import pytest

from authz.policy.contracts import RISKS, Meaning

AGREED = Meaning("Read logs", "write", frozenset({"read", "seek"}))


@pytest.mark.parametrize(
    ("now", "is_within"),
    [
        ({}, True),
        ({"risk": "read"}, True),
        ({"tools": frozenset({"read"})}, True),
        ({"tools": frozenset()}, True),
        ({"risk": "read", "tools": frozenset()}, True),
        ({"risk": "destructive"}, False),
        ({"words": "Read the logs"}, False),
        ({"words": "read logs"}, False),
        ({"words": ""}, False),
        ({"tools": frozenset({"read", "seek", "purge"})}, False),
        ({"tools": frozenset({"purge"})}, False),
        ({"tools": frozenset({"Read"})}, False),
        ({"risk": "read", "words": "Read fewer logs"}, False),
        ({"risk": "read", "tools": frozenset({"purge"})}, False),
    ],
)
def test_what_was_agreed_to_with_it(now, is_within):
    """ATK-58: less is part of it, other words are not weighed."""
    assert replace(AGREED, **now).is_within(AGREED) is is_within


def test_risks_are_told_apart_in_their_order():
    within = [
        [replace(AGREED, risk=now).is_within(replace(AGREED, risk=agreed)) for now in RISKS]
        for agreed in RISKS
    ]
    assert within == [[True, False, False], [True, True, False], [True, True, True]]
