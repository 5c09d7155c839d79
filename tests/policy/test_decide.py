"""The policy engine against a reference, over random policies, and its reasons one by one (L3, L9, S4)."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.policy import OF_AUTHENTICATION, SENTENCES, Ceiling, Reason, Subject, decide
from authz.policy.requirements import Requirement, as_json, parse
from authz.policy.rollout import FULL, Rollout
from authz.policy.snapshot import Connection, HeldRole, Resource, Scope, build, cycle_in
from tests.policy import reference
from tests.support.policies import bare_policy

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SCOPES = ["a.read", "a.write", "b.read", "b.write", "c"]
ROLES = ["r1", "r2", "r3", "r4"]
GROUPS = ["g1", "g2"]
RESOURCES = ["res_1", "res_2"]
CONNECTIONS = ("okta", "entra", "old")
"""As slugs; `gone` is none of them."""
ACRS = ("pwd", "mfa", "key")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CEILINGS = (
    *("assertion_ceiling", "trust_ceiling", "target_ceiling", "delegation_ceiling"),
    *("agent_ended", "agent_ceiling", "device_ceiling", "client_ceiling"),
    *("consent_withheld", "grant_ceiling"),
)

untils = st.sampled_from(
    [None, NOW - timedelta(seconds=1), NOW, NOW + timedelta(microseconds=1), NOW + timedelta(1)]
)
scope_sets = st.frozensets(st.sampled_from(SCOPES))
ceilings = st.none() | scope_sets
requirements = st.fixed_dictionaries(
    {},
    optional={
        "acr": st.sets(st.sampled_from(ACRS), min_size=1),
        "max_age": st.sampled_from([60, 3600]),
        "connection": st.sets(st.sampled_from(["local", *CONNECTIONS, "gone"]), min_size=1),
    },
)
sign_ins = st.tuples(
    st.sampled_from([NOW, NOW - MINUTE, NOW - MINUTE - timedelta(microseconds=1), NOW - HOUR]),
    st.sampled_from([None, *ACRS]),
    st.sampled_from(["local", "local", "okta", "entra", "old", "gone"]),
)
"""When, how (acr) and where."""
worlds = st.fixed_dictionaries(
    {
        "now": st.just(NOW),
        "resource": st.just("res_1"),
        "user_enabled": st.sampled_from([True, True, True, False]),
        "signed_in": st.none() | sign_ins,
        "connections": st.just({"okta", "entra"}),
        "requires": st.dictionaries(st.sampled_from([*ROLES, *SCOPES]), requirements, max_size=4),
        "resource_enabled": st.sampled_from([True, True, True, False]),
        "declared": scope_sets,
        "rollout": st.sampled_from([None, None, "read_only", "g1", "g2", 30, 59, 60, 100]),
        "reading": scope_sets,
        "defaults": scope_sets,
        "requested": st.none() | st.frozensets(st.sampled_from([*SCOPES, "unheard.of"])),
        "includes": st.sets(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)), max_size=5),
        "role_scopes": st.sets(
            st.tuples(
                st.sampled_from(ROLES), st.sampled_from([*RESOURCES, "*"]), st.sampled_from(SCOPES)
            ),
            max_size=12,
        ),
        "user_roles": st.lists(st.tuples(st.sampled_from(ROLES), untils), max_size=3),
        "groups": st.frozensets(st.sampled_from(GROUPS)),
        "limited_to": st.none() | st.frozensets(st.sampled_from([*GROUPS, "gone"])),
        "group_roles": st.lists(
            st.tuples(st.sampled_from(GROUPS), st.sampled_from(ROLES), untils), max_size=3
        ),
        "assertion_ceiling": ceilings,
        "trust_ceiling": ceilings,
        "target_ceiling": ceilings,
        "delegation_ceiling": ceilings,
        "agent_ended": ceilings,
        "agent_ceiling": ceilings,
        "device_ceiling": ceilings,
        "client_ceiling": ceilings,
        "consent_withheld": ceilings,
        "grant_ceiling": ceilings,
    }
)


def policy_of(world):
    made = [
        Resource(
            id=id_,
            identifier=f"https://{id_}.example",
            canonical=f"https://{id_}.example",
            name=id_,
            enabled=world["resource_enabled"] if id_ == "res_1" else True,
            rollout=rollout_of(world),
            scopes={
                s: Scope(
                    s,
                    risk="read" if s in world["reading"] else "write",
                    is_default=s in world["defaults"],
                    requires=required_by(world, s),
                )
                for s in (world["declared"] if id_ == "res_1" else SCOPES)
            },
        )
        for id_ in RESOURCES
    ]
    return build(
        7,
        resources=made,
        roles=[(role, role.upper()) for role in ROLES],
        role_scopes=world["role_scopes"],
        role_parents=world["includes"],
        role_requires={r: required_by(world, r) for r in ROLES if required_by(world, r)},
        group_roles=[(g, g.upper(), r, until) for g, r, until in world["group_roles"]],
        client_groups=[("cli_2", ["g9"])]
        + ([] if world["limited_to"] is None else [("cli_1", world["limited_to"])]),
        connections=[
            Connection(f"con_{slug}", slug, slug in world["connections"]) for slug in CONNECTIONS
        ],
    )


def rollout_of(world):
    match world["rollout"]:
        case None:
            return FULL
        case "read_only":
            return Rollout("read_only")
        case str(group):
            return Rollout("canary", groups=frozenset({group}))
        case percent:
            return Rollout("canary", percent=percent)


def required_by(world, name):
    demand = world["requires"].get(name)
    return (
        parse({k: list(v) if isinstance(v, set) else v for k, v in demand.items()})
        if demand
        else None
    )


def authentication_of(world):
    if world["signed_in"] is None:
        return None
    at, acr, place = world["signed_in"]
    return Authentication(at, acr, None if place == "local" else f"con_{place}")


def decision_of(world, **changes):
    world = {**world, **changes}
    policy = policy_of(world)
    return decide(
        policy,
        Subject(
            "usr_1",
            enabled=world["user_enabled"],
            authentication=authentication_of(world),
            roles=tuple(HeldRole(*binding) for binding in world["user_roles"]),
            groups=world["groups"],
        ),
        policy.resources["res_1"],
        client="cli_1",
        requested=world["requested"],
        ceilings=[Ceiling(Reason(name), world[name]) for name in CEILINGS],
        now=world["now"],
    )


def required_in(decision):
    return {} if decision.conditions is None else decision.conditions.required


def asked_in(world):
    return (
        world["defaults"] & world["declared"] if world["requested"] is None else world["requested"]
    )


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_the_engine_agrees_with_the_reference(world):
    """L3, L4, L5: users, groups, roles, inclusion, expiry, resources and ceilings, in any combination."""
    decision = decision_of(world)
    expected = {scope: reference.reason(world, scope) for scope in asked_in(world)}
    assert decision.granted == {scope for scope, why in expected.items() if why is None}
    assert decision.removed == {scope: why for scope, why in expected.items() if why is not None}


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_granted_is_inside_every_bound(world):
    """L9, S4: requested, declared, every ceiling; and nothing is lost between granted and removed."""
    decision = decision_of(world)
    asked = asked_in(world)
    bounds = [asked, world["declared"]]
    bounds += [world[n] for n in CEILINGS if world[n] is not None]
    for bound in bounds:
        assert decision.granted <= bound
    assert decision.granted | decision.removed.keys() == asked
    assert not decision.granted & decision.removed.keys()
    assert all(isinstance(why, Reason) for why in decision.removed.values())


@settings(max_examples=100, deadline=None)
@given(worlds, scope_sets)
def test_a_narrower_ceiling_never_widens(world, ceiling):
    """S4, M6: whoever acts in between can only take away."""
    wide = decision_of(world)
    bound = ceiling if world["client_ceiling"] is None else ceiling & world["client_ceiling"]
    assert decision_of(world, client_ceiling=bound).granted <= wide.granted


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_equal_inputs_give_equal_records(world):
    """Item 4: the stored record replays to the same text, whatever order sets had."""
    shuffled = {**world, "role_scopes": list(world["role_scopes"])[::-1]}
    left, right = decision_of(world), decision_of(shuffled)
    assert json.dumps(left.as_json(), sort_keys=True) == json.dumps(right.as_json(), sort_keys=True)


# -- reasons ----------------------------------------------------------------------------------------------

GOOD = {
    "now": NOW,
    "resource": "res_1",
    "user_enabled": True,
    "signed_in": (NOW, "mfa", "okta"),
    "connections": {"okta"},
    "rollout": None,
    "reading": frozenset(),
    "requires": {},
    "resource_enabled": True,
    "declared": frozenset({"a.read", "a.write"}),
    "defaults": frozenset({"a.read"}),
    "requested": frozenset({"a.write"}),
    "includes": set(),
    "role_scopes": {("r1", "res_1", "a.read"), ("r1", "*", "a.write")},
    "user_roles": [("r1", None)],
    "groups": frozenset(),
    "limited_to": None,
    "group_roles": [],
    "assertion_ceiling": None,
    "trust_ceiling": None,
    "target_ceiling": None,
    "delegation_ceiling": None,
    "agent_ended": None,
    "agent_ceiling": None,
    "device_ceiling": None,
    "client_ceiling": None,
    "consent_withheld": None,
    "grant_ceiling": None,
}
BREAKS = [
    ("subject_disabled", {"user_enabled": False}),
    ("connection_disabled", {"signed_in": (NOW, "mfa", "old")}),
    ("resource_disabled", {"resource_enabled": False}),
    ("client_groups", {"limited_to": frozenset({"g1", "gone"})}),
    ("scope_unknown", {"declared": frozenset()}),
    ("rollout", {"rollout": "read_only"}),
    ("role_missing", {"user_roles": []}),
    ("role_expired", {"user_roles": [("r1", NOW)]}),
    ("assertion_ceiling", {"assertion_ceiling": frozenset()}),
    ("trust_ceiling", {"trust_ceiling": frozenset()}),
    ("target_ceiling", {"target_ceiling": frozenset()}),
    ("delegation_ceiling", {"delegation_ceiling": frozenset()}),
    ("agent_ended", {"agent_ended": frozenset()}),
    ("agent_ceiling", {"agent_ceiling": frozenset()}),
    ("device_ceiling", {"device_ceiling": frozenset()}),
    ("client_ceiling", {"client_ceiling": frozenset()}),
    ("connection_not_allowed", {"requires": {"r1": {"connection": {"entra"}}}}),
    ("acr_insufficient", {"requires": {"a.write": {"acr": {"key"}}}}),
    (
        "authentication_too_old",
        {"requires": {"r1": {"max_age": 60}}, "signed_in": (NOW - HOUR, "mfa", "okta")},
    ),
    ("consent_withheld", {"consent_withheld": frozenset()}),
    ("grant_ceiling", {"grant_ceiling": frozenset()}),
]


def test_the_good_case_is_granted_with_its_source():
    assert decision_of(GOOD).sources == {"a.write": "role R1"}


@pytest.mark.parametrize(("why", "changes"), BREAKS)
def test_each_reason(why, changes):
    assert decision_of(GOOD, **changes).removed == {"a.write": why}


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in pairwise(BREAKS) if pair[0][0] != "role_missing"],
    ids=lambda pair: pair[0],
)
def test_the_first_reason_that_applies_is_given(first, second):
    """The documented order; later defects stay hidden behind earlier ones."""
    changes = {**second[1], **first[1]}
    changes["requires"] = {**second[1].get("requires", {}), **first[1].get("requires", {})}
    assert decision_of(GOOD, **changes).removed == {"a.write": first[0]}


def test_the_order_of_the_reasons_is_the_order_of_the_enum():
    assert [why for why, _ in BREAKS] == [str(r) for r in Reason]
    assert set(SENTENCES) == set(Reason)


@pytest.mark.parametrize(
    ("place", "granted"), [("local", True), ("okta", True), ("old", False), ("gone", False)]
)
def test_who_vouched_for_a_person_still_has_to(place, granted):
    """L9: an identity provider that is switched off or gone vouches for nobody; the local directory always may."""
    decision = decision_of(GOOD, signed_in=(NOW, None, place))
    assert bool(decision.granted) is granted


@pytest.mark.parametrize(
    ("limited_to", "groups", "granted"),
    [
        (None, set(), True),
        ({"g1"}, {"g1"}, True),
        ({"g1", "g2"}, {"g2"}, True),
        ({"g1"}, {"g2"}, False),
        ({"g1"}, set(), False),
        ({"gone"}, {"g1"}, False),
        (set(), {"g1", "g2"}, False),
    ],
)
def test_a_client_may_be_limited_to_groups_of_people(limited_to, groups, granted):
    """Features section 2, row 19: nobody else gets anything, and a limit to nobody is one."""
    limit = None if limited_to is None else frozenset(limited_to)
    decision = decision_of(GOOD, limited_to=limit, groups=frozenset(groups))
    assert bool(decision.granted) is granted


def test_a_limit_to_people_does_not_bound_what_a_client_holds_for_itself():
    assert decision_of(GOOD, limited_to=frozenset({"g1"}), signed_in=None).granted == {"a.write"}


@pytest.mark.parametrize(
    ("rollout", "groups", "granted"),
    [
        ("read_only", {"g1"}, False),
        ("g1", {"g1", "g2"}, True),
        ("g1", {"g2"}, False),
        ("g1", set(), False),
    ],
)
def test_a_rollout_admits_members_of_its_groups(rollout, groups, granted):
    """Features item 10."""
    assert bool(decision_of(GOOD, rollout=rollout, groups=frozenset(groups)).granted) is granted


def test_a_rollout_admits_a_share_of_the_people_at_each_server():
    """Features item 10: by the server and the person, like everybody who asks who is in."""
    policy = policy_of({**GOOD, "rollout": 30})
    server = policy.resources["res_1"]
    admitted = {}
    for number in range(100):
        who = Subject(f"usr_{number}", roles=(HeldRole("r1"),))
        decision = decide(
            policy,
            who,
            server,
            client="cli_1",
            requested=frozenset({"a.write"}),
            ceilings=(),
            now=NOW,
        )
        assert decision.removed in ({}, {"a.write": "rollout"})
        admitted[who.id] = bool(decision.granted)
    assert admitted == {it: server.rollout.admits("res_1", it, frozenset()) for it in admitted}
    assert set(admitted.values()) == {True, False}


# -- what the sign-in has to be ---------------------------------------------------------------------------


def test_what_another_sign_in_may_mend_stands_together_and_last_of_policys_own():
    """S15, M7: nobody is sent to sign in for what the client, the device or their roles do not allow anyhow."""
    found = [reason for reason in Reason if reason in OF_AUTHENTICATION]
    first = list(Reason).index(found[0])
    assert list(Reason)[first : first + len(found)] == found
    assert list(Reason)[first + len(found) :] == [Reason.CONSENT_WITHHELD, Reason.GRANT_CEILING]


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_a_requirement_only_takes_away(world):
    """S15: without any, everything is as before; the record says nothing of the sign-in then."""
    free = decision_of(world, requires={})
    assert decision_of(world).granted <= free.granted
    assert free.conditions is None
    assert free.as_json().keys() & {"required", "signed_in"} == set()


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_a_later_token_never_holds_more_of_an_old_sign_in(world):
    """M7: time takes away, and only what minds it."""
    now, later = decision_of(world), decision_of(world, now=NOW + HOUR)
    assert later.granted <= now.granted
    for scope in now.granted - later.granted:
        assert later.removed[scope] in ("authentication_too_old", "role_expired")


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_the_record_explains_what_the_sign_in_decided(world):
    """Item 4, S15: where it mattered, what was required and what the sign-in was; and held against it, the same."""
    decision = decision_of(world)
    record = json.loads(json.dumps(decision.as_json()))
    required = required_in(decision)
    assert required.keys() == record.get("required", {}).keys()
    for scope, why in decision.removed.items():
        assert (scope in required) is (why in OF_AUTHENTICATION)
    for scope, demand in required.items():
        lack = reference.lacks(world, [record["required"][scope]])
        assert lack == decision.removed.get(scope)
        assert record["required"][scope] == as_json(demand)
    if required and world["signed_in"] is not None:
        at, acr, place = world["signed_in"]
        said = record["signed_in"]
        assert datetime.fromisoformat(said["auth_time"]) == at
        assert (said["acr"], said["connection"]) == (acr, place)
    elif required:
        assert record["signed_in"] is None


def test_a_time_nobody_told_is_not_recorded_as_one():
    """SUA-02: an identity provider that does not say when meets no max_age."""
    world = {**GOOD, "requires": {"r1": {"max_age": 3600}}}
    decision = decision_of(world, signed_in=(UNKNOWN_TIME, "mfa", "okta"))
    assert decision.removed == {"a.write": "authentication_too_old"}
    assert decision.as_json()["signed_in"]["auth_time"] is None


def test_a_record_of_a_sign_in_is_compared_whole():
    """Item 4: what was required of each scope, and what the sign-in was; None where nobody signed in."""
    world = {**GOOD, "requires": {"r1": {"acr": {"mfa"}, "max_age": 60}}}
    required = {"a.write": {"acr": ["mfa"], "max_age": 60}}
    met = decision_of(world).as_json()
    assert met == {
        "v": 1,
        "policy_version": 7,
        "subject": "usr_1",
        "client": "cli_1",
        "resource": "https://res_1.example",
        "requested": ["a.write"],
        "granted": {"a.write": "role R1"},
        "removed": {},
        "required": required,
        "signed_in": {"auth_time": "2026-01-02T00:00:00Z", "acr": "mfa", "connection": "okta"},
    }
    nobody = decision_of(world, signed_in=None).as_json()
    assert nobody["removed"] == {"a.write": "acr_insufficient"}
    assert (nobody["required"], nobody["signed_in"]) == (required, None)


def test_every_requirement_on_the_way_counts():
    """S15: of the bound role, of the included one and of the scope; the demands are told as one."""
    world = {
        **GOOD,
        "user_roles": [("r3", None)],
        "includes": {("r3", "r2"), ("r2", "r1")},
        "requires": {"r3": {"max_age": 3600}, "r1": {"acr": {"mfa", "key"}}},
    }
    world["requires"]["a.write"] = {"connection": {"okta"}, "max_age": 60}
    decision = decision_of(world)
    assert decision.sources == {"a.write": "role R3 (includes R2 -> R1)"}
    assert required_in(decision) == {
        "a.write": Requirement(frozenset({"mfa", "key"}), 60, frozenset({"okta"}))
    }
    for signed_in, why in [
        ((NOW - MINUTE, "key", "okta"), None),
        ((NOW - HOUR, "key", "okta"), "authentication_too_old"),
        ((NOW - HOUR, "pwd", "okta"), "acr_insufficient"),
        ((NOW - HOUR, "pwd", "local"), "connection_not_allowed"),
        (None, "connection_not_allowed"),
    ]:
        assert decision_of(world, signed_in=signed_in).removed.get("a.write") == why


@pytest.mark.parametrize(
    ("signed_in", "source"),
    [
        ((NOW, "mfa", "okta"), "role R3 (includes R1)"),
        ((NOW, "pwd", "okta"), "role R3 (includes R2 -> R4)"),
        ((NOW, "mfa", "local"), None),
    ],
)
def test_the_shortest_way_that_is_met_is_named(signed_in, source):
    """L4, S15: any way will do."""
    world = {
        **GOOD,
        "user_roles": [("r3", None)],
        "includes": {("r3", "r1"), ("r3", "r2"), ("r2", "r4")},
        "role_scopes": {("r1", "*", "a.write"), ("r4", "*", "a.write")},
        "requires": {"r3": {"connection": {"okta"}}, "r1": {"acr": {"mfa"}}},
    }
    assert decision_of(world, signed_in=signed_in).sources.get("a.write") == source


@pytest.mark.parametrize("place", ["res_1", "*"])
def test_a_way_without_a_condition_is_taken_wherever_it_is(place):
    """S15: also one that is longer, or that counts at every server where the shorter one counts at this one."""
    world = {
        **GOOD,
        "includes": {("r1", "r2")},
        "role_scopes": {("r1", "res_1", "a.write"), ("r2", place, "a.write")},
        "user_roles": [("r3", None), ("r2", None)],
        "requires": {"r1": {"acr": {"key"}}},
    }
    assert decision_of(world).sources == {"a.write": "role R2"}
    assert decision_of(world, user_roles=[("r1", None)]).removed == {"a.write": "acr_insufficient"}


def test_the_way_that_lacks_least_is_told():
    """S15: somebody who signed in at the right place is told of the age, not of another place."""
    world = {
        **GOOD,
        "user_roles": [("r1", None), ("r2", None), ("r3", None)],
        "role_scopes": {(role, "*", "a.write") for role in ("r1", "r2", "r3")},
        "requires": {
            "r1": {"connection": {"entra"}},
            "r2": {"max_age": 60},
            "r3": {"acr": {"key"}},
        },
    }
    decision = decision_of(world, signed_in=(NOW - HOUR, "mfa", "okta"))
    assert decision.removed == {"a.write": "authentication_too_old"}
    assert required_in(decision) == {"a.write": Requirement(max_age=60)}
    expired = [("r2", NOW), ("r1", None)]
    decision = decision_of(world, signed_in=(NOW - HOUR, "mfa", "okta"), user_roles=expired)
    assert decision.removed == {"a.write": "connection_not_allowed"}


def test_what_a_ceiling_takes_is_not_told_as_a_matter_of_the_sign_in():
    """S15: so what is told as one can be had by signing in."""
    world = {**GOOD, "requires": {"r1": {"acr": {"key"}}}, "client_ceiling": frozenset()}
    decision = decision_of(world)
    assert (decision.removed, decision.conditions) == ({"a.write": "client_ceiling"}, None)


def test_an_expired_binding_beside_a_living_one_does_not_matter():
    bindings = [("r1", NOW - timedelta(1)), ("r1", NOW + timedelta(1))]
    assert decision_of(GOOD, user_roles=bindings).granted == {"a.write"}


def test_no_scope_asked_is_the_default_set():
    """S10, MCP-AS-70."""
    decision = decision_of(GOOD, requested=None)
    assert (decision.requested, decision.granted) == (None, {"a.read"})


def test_nothing_asked_is_nothing():
    decision = decision_of(GOOD, requested=frozenset())
    assert (decision.granted, decision.removed) == (frozenset(), {})


def test_a_scope_of_one_server_is_not_one_of_another():
    """M12: unless the role says everywhere."""
    elsewhere = {("r1", "res_2", "a.write")}
    assert decision_of(GOOD, role_scopes=elsewhere).removed == {"a.write": "role_missing"}


def test_sources_name_inclusion_and_group():
    """Item 4: by which way a scope came."""
    world = {
        **GOOD,
        "user_roles": [],
        "groups": frozenset({"g1"}),
        "group_roles": [("g1", "r3", None)],
        "includes": {("r3", "r2"), ("r2", "r1")},
    }
    source = {"a.write": "role R3 (includes R2 -> R1) through group G1"}
    assert decision_of(world).sources == source
    assert decision_of(world, requires={"r1": {"acr": {"mfa"}}}).sources == source


def test_of_ways_that_lack_the_same_the_first_is_told():
    """S15: so equal inputs send a person to the same sign-in."""
    world = {
        **GOOD,
        "user_roles": [("r1", None), ("r2", None)],
        "role_scopes": {("r1", "res_1", "a.write"), ("r2", "res_1", "a.write")},
        "requires": {"r1": {"acr": {"key"}}, "r2": {"acr": {"pwd"}}},
    }
    decision = decision_of(world)
    assert decision.removed == {"a.write": "acr_insufficient"}
    assert required_in(decision) == {"a.write": Requirement(acr=frozenset({"key"}))}


def test_the_shortest_way_is_named():
    world = {
        **GOOD,
        "user_roles": [("r3", None)],
        "includes": {("r3", "r2"), ("r2", "r1"), ("r3", "r1")},
    }
    assert decision_of(world).sources == {"a.write": "role R3 (includes R1)"}


def test_a_direct_binding_is_named_before_a_group():
    world = {**GOOD, "groups": frozenset({"g1"}), "group_roles": [("g1", "r1", None)]}
    assert decision_of(world).sources == {"a.write": "role R1"}


def test_a_binding_to_a_role_that_is_gone_gives_nothing():
    assert decision_of(GOOD, user_roles=[("r9", None)]).removed == {"a.write": "role_missing"}


def test_a_binding_that_gives_nothing_stops_no_other():
    """L3: a role that is gone, one that does not hold the scope, a group without a role."""
    world = {
        **GOOD,
        "user_roles": [("r9", None), ("r2", None)],
        "groups": frozenset({"g1", "g2"}),
        "group_roles": [("g2", "r1", None)],
    }
    assert decision_of(world).sources == {"a.write": "role R1 through group G2"}


def test_the_stored_record_says_when_nothing_was_asked():
    """S9, S10: null is not the empty list."""
    assert decision_of(GOOD, requested=None).as_json()["requested"] is None
    assert decision_of(GOOD, requested=frozenset()).as_json()["requested"] == []


def test_the_stored_record():
    """S9: version 1, as documented."""
    world = {**GOOD, "requested": frozenset({"a.write", "x"})}
    assert decision_of(world).as_json() == {
        "v": 1,
        "policy_version": 7,
        "subject": "usr_1",
        "client": "cli_1",
        "resource": "https://res_1.example",
        "requested": ["a.write", "x"],
        "granted": {"a.write": "role R1"},
        "removed": {"x": "scope_unknown"},
    }


# -- inclusion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parents", "cycle"),
    [
        ({}, None),
        ({"a": ["b"], "b": ["c"]}, None),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, None),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ["a", "b", "c", "a"]),
    ],
)
def test_cycles_are_found_and_spelled_out(parents, cycle):
    """L4."""
    assert cycle_in(parents) == cycle


def test_a_lattice_of_inclusions_is_walked_once():
    """L4: two ways at each of 40 levels are a thousand billion ways in all."""
    parents = {f"{side}{n}": [f"a{n + 1}", f"b{n + 1}"] for n in range(40) for side in "ab"}
    assert cycle_in(parents) is None


@given(st.dictionaries(st.sampled_from(ROLES), st.lists(st.sampled_from(ROLES), max_size=3)))
def test_a_cycle_is_one(parents):
    cycle = cycle_in(parents)
    reaches_itself = any(
        any(role in chain for p in parents[role] for chain in reference.ways_down(p, flat(parents)))
        for role in parents
        if parents[role]
    )
    assert (cycle is not None) is reaches_itself
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(right in parents[left] for left, right in pairwise(cycle))


def flat(parents):
    return [(child, parent) for child, several in parents.items() for parent in several]


# -- which server when none is named ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "wanted"),
    [
        ([], None),
        ([(True, False)], 0),
        ([(False, False)], None),
        ([(True, False), (True, False)], None),
        ([(True, False), (True, True)], 1),
        ([(True, False), (False, True)], 0),
        ([(False, False), (True, False)], 1),
        ([(True, True), (True, True)], None),
    ],
)
def test_the_default_server(servers, wanted):
    """RI-04, MCP-AS-68: the only enabled one, or the one that is marked."""
    made = [
        Resource(str(n), str(n), str(n), str(n), enabled=enabled, is_default=marked)
        for n, (enabled, marked) in enumerate(servers)
    ]
    policy = bare_policy(
        resources=made,
    )
    found = policy.default_resource
    assert (found and int(found.id)) == wanted


def test_scopes_without_a_role_are_held_like_others():
    """WIF-02: declared, not conditional on a sign-in there was none of, under the same ceilings."""
    resource = Resource(
        id="res_1",
        identifier="https://mcp.example/mcp",
        canonical="https://mcp.example/mcp",
        name="Logs",
        scopes={
            "a": Scope("a"),
            "b": Scope("b", requires=Requirement(max_age=60)),
            "c": Scope("c"),
        },
    )
    policy = bare_policy(
        resources=[resource],
    )
    holds = frozenset({"a", "b", "d"})
    decision = decide(
        policy,
        Subject(id="wkl_1", scopes=holds, scopes_from="rule router of cluster"),
        resource,
        client="wkl_1",
        requested=frozenset("abcd"),
        ceilings=(),
        now=NOW,
    )
    assert decision.sources == {"a": "rule router of cluster"}
    assert decision.removed == {
        "b": Reason.AUTHENTICATION_TOO_OLD,
        "c": Reason.ROLE_MISSING,
        "d": Reason.SCOPE_UNKNOWN,
    }


@pytest.mark.parametrize(
    ("signed_in", "why"),
    [
        (Authentication(NOW - MINUTE, "mfa"), None),
        (Authentication(NOW - HOUR, "mfa"), "authentication_too_old"),
        (Authentication(NOW, "pwd"), "acr_insufficient"),
        (Authentication(NOW, "mfa", "con_1"), "connection_not_allowed"),
        (None, "connection_not_allowed"),
    ],
)
def test_scopes_without_a_role_mind_the_sign_in_where_there_is_one(signed_in, why):
    """WIF-02, S15: as scopes of roles do, and it is recorded like there."""
    required = Requirement(frozenset({"mfa"}), 60, frozenset({"local"}))
    scopes = {"a": Scope("a", requires=required)}
    url = "https://mcp.example/mcp"
    policy = bare_policy(
        resources=[Resource("res_1", url, url, "Logs", scopes=scopes)],
        connections=[Connection("con_1", "okta", True)],
    )
    decision = decide(
        policy,
        Subject("x", authentication=signed_in, scopes=frozenset("a"), scopes_from="rule router"),
        policy.resources["res_1"],
        client="x",
        requested=frozenset("a"),
        ceilings=(),
        now=NOW,
    )
    assert decision.removed.get("a") == why
    assert decision.sources == ({"a": "rule router"} if why is None else {})
    assert required_in(decision) == {"a": required}
