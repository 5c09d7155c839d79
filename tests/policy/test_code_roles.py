"""Roles and their holders as entries that a plan compares."""

import pytest

from authz.policy.code.entries import Change
from authz.policy.code.roles import entries_of, is_binding, widens
from authz.policy.roles_file import parse

FILE = """
roles:
  developer: [logs.write, logs.read]
  lead:
    description: Leads a team
    includes: [tester, developer]
    scopes: [teams.write, teams.read]
    at: {"https://Mail.example:443/mcp": [mail.send, mail.read], https://chat.example/mcp: [chat.read]}
    requires: {acr: [phr, mfa], max_age: 3600}
  tester: []
bindings:
  - {role: developer, users: [Ada@corp.example, ben@corp.example], groups: [Operations]}
  - {role: lead, users: [ada@corp.example], clients: [job], until: 2026-12-31T01:00:00+01:00}
"""
UNTIL = "2026-12-31T00:00:00.000000+00:00"


def test_each_role_and_each_holder_of_each_role_is_an_entry():
    """In one spelling: order, hosts and zones are written as anybody likes."""
    nothing = {"description": "", "includes": [], "scopes": [], "at": {}, "requires": None}
    assert entries_of(parse(FILE)) == {
        "developer": {**nothing, "scopes": ["logs.read", "logs.write"]},
        "lead": {
            "description": "Leads a team",
            "includes": ["developer", "tester"],
            "scopes": ["teams.read", "teams.write"],
            "at": {
                "https://chat.example/mcp": ["chat.read"],
                "https://mail.example/mcp": ["mail.read", "mail.send"],
            },
            "requires": {"acr": ["mfa", "phr"], "max_age": 3600},
        },
        "tester": nothing,
        "developer for the user ada@corp.example": {"until": None},
        "developer for the user ben@corp.example": {"until": None},
        "developer for the group Operations": {"until": None},
        "lead for the user ada@corp.example": {"until": UNTIL},
        "lead for the client job": {"until": UNTIL},
    }


def test_entries_tell_roles_and_holders_apart_by_their_names():
    names = entries_of(parse(FILE))
    assert [name for name in names if not is_binding(name)] == ["developer", "lead", "tester"]


def test_a_file_that_says_nothing_of_bindings_has_none():
    assert entries_of(parse("roles: {}")) == {}


@pytest.mark.parametrize(
    ("before", "after", "is_wider"),
    [
        ("2026-01-01T00:00:00", None, True),
        ("2026-01-01T00:00:00", "2026-02-01T00:00:00", True),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00", False),
        ("2026-02-01T00:00:00", "2026-01-01T00:00:00", False),
        (None, "2026-01-01T00:00:00", False),
    ],
)
def test_a_role_that_is_held_for_longer_is_growth_that_nobody_would_see(before, after, is_wider):
    change = Change("roles", "a for the user u", {"until": before}, {"until": after})
    assert widens(change) is is_wider


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a for the user u", None, {"until": None}),
        ("a for the user u", {"until": None}, None),
        ("a", {"scopes": []}, {"scopes": ["x"]}),
    ],
)
def test_other_changes_of_roles_are_told_person_by_person(name, before, after):
    assert not widens(Change("roles", name, before, after))
