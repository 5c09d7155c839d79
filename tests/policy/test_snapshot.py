"""Rows to one frozen policy (L3, L4)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from authz.directory.assurance import Authentication
from authz.policy.requirements import Requirement
from authz.policy.snapshot import Connection, HeldRole, Resource, Scope, Way, build
from tests.support.policies import bare_policy

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


def chains(role):
    """Where a scope leads to, and by which chain; nothing is required."""
    assert all(len(ways) == 1 and ways[0].requires is None for ways in role.grants.values())
    return {place: ways[0].chain for place, ways in role.grants.items()}


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
    assert {role.id: (role.name, chains(role)) for role in POLICY.roles.values()} == {
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


@pytest.mark.parametrize(
    ("connection", "claims", "groups"),
    [
        ("con_1", {"groups": ("dev", "ops")}, {"g1", "g2"}),
        ("con_1", {"groups": ("ops",), "roles": ("lead", "dev")}, {"g2", "g3"}),
        ("con_1", {"groups": ("Dev", "developers")}, set()),
        ("con_1", {}, set()),
        ("con_2", {"groups": ("dev",)}, {"g4"}),
        ("con_3", {"groups": ("dev",)}, set()),
    ],
)
def test_claims_mean_the_groups_that_a_rule_of_this_connection_says(connection, claims, groups):
    """ATK-28: by nothing else, whatever a group is called."""
    rules = [("con_1", "groups", "dev", "g1"), ("con_1", "groups", "ops", "g2")]
    rules += [("con_1", "roles", "lead", "g3"), ("con_2", "groups", "dev", "g4")]
    policy = bare_policy(
        group_roles=[("g9", "Dev", "r1", None)],
        mappings=rules,
    )
    assert policy.mapped_groups(connection, claims) == groups


def test_scopes_have_the_version_that_people_are_shown():
    scopes = {"a": Scope("a", version=3), "b": Scope("b")}
    found = replace(LOGS, scopes=scopes).versions_of(["a", "b", "openid"])
    assert found == {"a": 3, "b": 1, "openid": 1}


def test_an_mcp_server_asks_about_its_tokens_as_a_client_of_its_own():
    servers = [replace(LOGS, client_id="rs"), replace(MAIL, client_id="rs"), OWN]
    policy = bare_policy(
        resources=servers,
    )
    assert policy.resources_of("rs") == {"res_1", "res_2"}
    assert policy.resources_of("other") == frozenset()


# -- what roles require of a sign-in ----------------------------------------------------------------------

MFA, FRESH = Requirement(acr=frozenset({"mfa"})), Requirement(max_age=60)
BOTH = Requirement(frozenset({"mfa"}), 60)
OKTA = Requirement(connection=frozenset({"okta"}))


def conditions(parents, scopes, **requires):
    """The ways of the role `top` by scope; roles are named by their ids."""
    names = {name for pair in parents for name in pair} | {"top"}
    policy = build(
        1,
        resources=[LOGS],
        roles=[(name, name) for name in sorted(names)],
        role_scopes=[(role, "*", scope) for role, scope in scopes],
        role_parents=parents,
        role_requires=requires,
        group_roles=[],
    )
    return {scope: ways for (_, scope), ways in policy.roles["top"].grants.items()}


def test_a_requirement_of_a_role_is_one_of_everything_it_brings():
    """S15: of its own scopes and of the included ones; the included role by itself is as free as before."""
    ways = conditions([("top", "low")], [("top", "a"), ("low", "b")], top=MFA)
    assert ways == {"a": (Way(("top",), MFA),), "b": (Way(("top", "low"), MFA),)}


def test_requirements_along_a_chain_add_up():
    parents = [("top", "middle"), ("middle", "low")]
    ways = conditions(parents, [("low", "a")], top=MFA, low=FRESH)
    assert ways == {"a": (Way(("top", "middle", "low"), BOTH),)}


def test_the_shortest_way_of_each_set_of_requirements_is_kept():
    """L4, S15: a longer one only where it asks for less than every shorter one."""
    parents = [("top", "x"), ("x", "low"), ("top", "y"), ("y", "low"), ("top", "z"), ("z", "z2")]
    parents += [("z2", "low"), ("z2", "z3"), ("z3", "low")]
    ways = conditions(parents, [("low", "a")], x=MFA, y=BOTH, z=OKTA, z3=FRESH)
    chain = ("top", "z", "z2", "low")
    assert ways == {"a": (Way(("top", "x", "low"), MFA), Way(chain, OKTA))}


def test_a_way_without_a_requirement_makes_the_others_needless():
    """S15: however long it is."""
    parents = [("top", "x"), ("top", "y"), ("y", "y2"), ("y2", "x2")]
    ways = conditions(parents, [("x", "a"), ("x2", "a"), ("x", "b")], x=MFA)
    assert ways == {
        "a": (Way(("top", "y", "y2", "x2"), None),),
        "b": (Way(("top", "x"), MFA),),
    }


def test_a_circle_of_requirements_ends():
    parents = [("top", "x"), ("x", "y"), ("y", "top")]
    ways = conditions(parents, [("top", "a"), ("y", "b")], top=MFA, x=FRESH, y=OKTA)
    assert ways["a"] == (Way(("top",), MFA),)
    assert len(ways["b"]) == 1


def test_so_many_ways_are_not_kept_that_a_policy_takes_for_ever():
    """L4: twenty levels of two requirements to choose from; the first few ways count, and one without always does."""
    parents, requires = [("top", "a0"), ("top", "b0")], {}
    for n in range(20):
        parents += [(f"{side}{n}", f"{to}{n + 1}") for side in "ab" for to in "ab"]
        acr = frozenset(str(m) for m in range(25) if m != n)
        requires |= {f"a{n}": Requirement(acr=acr), f"b{n}": OKTA}
    parents += [("a20", "low"), ("top", "free"), *((f"free{n}", f"free{n + 1}") for n in range(30))]
    parents += [("free", "free0"), ("free30", "low")]
    ways = conditions(parents, [("low", "a"), ("a20", "b")], **requires)
    free = ("top", "free", *(f"free{n}" for n in range(31)), "low")
    assert ways["a"] == (Way(free, None),)
    assert 1 < len(ways["b"]) <= 16


def test_a_scope_at_one_server_may_come_from_everywhere():
    """S15: whoever looks one server up finds all the ways there."""
    policy = build(
        1,
        resources=[LOGS, MAIL],
        roles=[("r1", "one"), ("r2", "two"), ("r3", "three")],
        role_scopes=[
            *(
                ("r2", place, scope)
                for place, scope in [("res_1", "a"), ("*", "b"), ("res_1", "c")]
            ),
            *(("r3", place, scope) for place, scope in [("*", "a"), ("res_1", "b"), ("*", "c")]),
            ("r1", "*", "c"),
        ],
        role_parents=[("r1", "r2"), ("r1", "r3")],
        role_requires={"r2": MFA, "r3": OKTA},
        group_roles=[],
    )
    by_two, by_three = Way(("one", "two"), MFA), Way(("one", "three"), OKTA)
    assert policy.roles["r1"].grants == {
        ("res_1", "a"): (by_two, by_three),
        ("*", "a"): (by_three,),
        ("res_1", "b"): (by_three, by_two),
        ("*", "b"): (by_two,),
        ("res_1", "c"): (Way(("one",), None),),
        ("*", "c"): (Way(("one",), None),),
    }


@pytest.mark.parametrize(
    ("connection_id", "name"),
    [(None, "local"), ("con_1", "okta"), ("con_2", "old"), ("con_3", None)],
)
def test_how_requirements_call_where_somebody_signed_in(connection_id, name):
    connections = [Connection("con_1", "okta", True), Connection("con_2", "old", False)]
    policy = bare_policy(
        connections=connections,
    )
    authentication = Authentication(LATER, connection_id=connection_id)
    assert policy.connection_name(authentication) == name
    assert policy.connection_name(None) is None
    assert policy.open_connections == {"okta"}
