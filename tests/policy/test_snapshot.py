"""Rows to one frozen policy (L3, L4)."""

from datetime import UTC, datetime

import pytest

from authz.policy.snapshot import HeldRole, Resource, build

LATER = datetime(2026, 1, 3, tzinfo=UTC)
LOGS = Resource("res_1", "https://Logs.example", "https://logs.example/", "Logs")
MAIL = Resource("res_2", "https://mail.example", "https://mail.example/", "Mail")
OWN = Resource("own", "https://as.example/own", "https://as.example/own", "Own", is_builtin=True)
POLICY = build(
    7,
    resources=[LOGS, MAIL],
    roles=[("r1", "one"), ("r2", "two"), ("r3", "three"), ("r4", "four")],
    role_scopes=[("r1", "res_1", "a"), ("r1", "*", "b"), ("r2", "res_2", "c"), ("r4", "*", "b")],
    role_parents=[("r3", "r2"), ("r3", "r1"), ("r3", "gone"), ("r2", "r4"), ("r4", "r3")],
    group_roles=[("g1", "ops", "r1", None), ("g1", "ops", "r2", LATER), ("g2", "dev", "r2", None)],
    client_roles=[("c1", "r1", LATER), ("c1", "r3", None), ("c2", "r2", None)],
    builtin=[OWN],
)


def test_every_row_is_in_it():
    """L3: by the key it is read by."""
    assert POLICY.version == 7
    assert POLICY.resources == {"res_1": LOGS, "res_2": MAIL, "own": OWN}
    assert POLICY.groups == {"g1": "ops", "g2": "dev"}
    assert POLICY.group_roles == {
        "g1": (HeldRole("r1"), HeldRole("r2", LATER)),
        "g2": (HeldRole("r2"),),
    }
    assert POLICY.client_roles == {
        "c1": (HeldRole("r1", LATER), HeldRole("r3")),
        "c2": (HeldRole("r2"),),
    }


def test_roles_have_what_they_include_folded_in():
    """L4: the shortest way, and at equal length the first by id; a circle ends, and a role that is gone adds none."""
    assert {role.id: (role.name, role.grants) for role in POLICY.roles.values()} == {
        "r1": ("one", {("res_1", "a"): ("one",), ("*", "b"): ("one",)}),
        "r2": (
            "two",
            {
                ("res_2", "c"): ("two",),
                ("*", "b"): ("two", "four"),
                ("res_1", "a"): ("two", "four", "three", "one"),
            },
        ),
        "r3": (
            "three",
            {
                ("res_1", "a"): ("three", "one"),
                ("*", "b"): ("three", "one"),
                ("res_2", "c"): ("three", "two"),
            },
        ),
        "r4": (
            "four",
            {
                ("*", "b"): ("four",),
                ("res_1", "a"): ("four", "three", "one"),
                ("res_2", "c"): ("four", "three", "two"),
            },
        ),
    }
    assert list(POLICY.roles) == ["r1", "r2", "r3", "r4"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("https://logs.example/", LOGS),
        ("https://mail.example/", MAIL),
        ("https://Logs.example", None),
        ("https://as.example/own", None),
        ("res_1", None),
    ],
)
def test_a_server_is_named_by_its_canonical_identifier(name, found):
    """RI-04: and what is built in is not a server that a request could name."""
    assert POLICY.find_resource(name) is found
