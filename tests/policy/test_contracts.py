"""What of a scope people agree to, and whether something else is part of that (EMA-07)."""

from dataclasses import replace

import pytest

from authz.policy.contracts import RISKS, Meaning, digest_of, in_force, opened
from authz.policy.snapshot import Resource, Scope

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


LOGS = Resource(
    "res_1",
    "https://logs.example",
    "https://logs.example/",
    "Logs",
    scopes={
        "read": Scope("read", tools=("tail", "search")),
        "write": Scope("write", tools=("append", "search")),
        "purge": Scope("purge", tools=("purge",)),
    },
)


@pytest.mark.parametrize(
    ("scopes", "tools"),
    [
        ([], []),
        (["read"], ["search", "tail"]),
        (["write", "read"], ["append", "search", "tail"]),
        (["openid", "purge"], ["purge"]),
    ],
)
def test_which_tools_a_token_opens(scopes, tools):
    """S12: each once and in order; scopes that the server does not declare open none."""
    assert opened(LOGS, scopes) == tools


@pytest.mark.parametrize(
    ("unreviewed", "counting"),
    [
        (None, ("tail", "purge", "search")),
        ({"tools": []}, ("tail", "purge", "search")),
        ({"tools": ["purge", "gone"]}, ("tail", "search")),
    ],
)
def test_a_tool_that_nobody_reviewed_does_not_count(unreviewed, counting):
    """S12."""
    assert in_force(("tail", "purge", "search"), unreviewed) == counting


def test_a_contract_is_the_tools_and_nothing_else():
    """S12: their order and how often one is named say nothing. What is stored stays what it is after an upgrade."""
    assert digest_of(["b", "a", "a"]) == digest_of(("a", "b"))
    assert digest_of(["a", "b"]) != digest_of(["a", "B"]) != digest_of(["ab"])
    stored = "f98f82a39349b736cfa472bc731522e886b49d19bb344dd223afed294c4a4c3e"
    assert digest_of(["tail", "search"]) == stored
