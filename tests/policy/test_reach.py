"""What changes for everybody at once is what `decide` says of each of them, one by one (L9, L10)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.policy import Ceiling, Reason, Subject, decide
from authz.policy.administration import ADMIN_ID, admin_roles, administration_resource
from authz.policy.reach import Crowd, Machine, Moment, claims_of, compare, hold, mask_of
from authz.policy.requirements import Requirement
from authz.policy.rollout import CANARY, FULL, READ_ONLY, Rollout
from authz.policy.snapshot import Connection, HeldRole, Resource, Scope, build

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
PEOPLE = ("ada", "bob", "cyd", "dot", "eve")
IDS = tuple(f"usr_{it}" for it in PEOPLE)
ROLES, GROUPS, SERVERS, SCOPES = ("r1", "r2", "r3"), ("g1", "g2"), ("s1", "s2"), ("a", "b")
CONNECTIONS = ("con_okta", "okta", True), ("con_entra", "entra", True)
ACRS, AGES = (None, "mfa", "phr", "other"), (60, 300)
SIGN_INS = [
    Authentication(at, acr, connection)
    for at, acr, connection in product(
        (NOW, *(NOW - timedelta(seconds=age) for age in AGES), UNKNOWN_TIME),
        ACRS,
        (None, "con_okta", "con_entra"),
    )
]

some = st.integers(0, 3).map(bool)
requirement = st.none() | st.builds(
    Requirement,
    acr=st.none() | st.sampled_from([frozenset({"mfa"}), frozenset({"mfa", "phr"})]),
    max_age=st.none() | st.sampled_from(AGES),
    connection=st.none() | st.sampled_from([frozenset({"okta"}), frozenset({"okta", "local"})]),
).filter(lambda it: it != Requirement())


rollout = st.sampled_from(
    [
        *(FULL, FULL, Rollout(READ_ONLY), Rollout(CANARY, frozenset({"g1"}))),
        *(Rollout(CANARY, frozenset({"g2"}), 50), Rollout(CANARY, percent=50)),
    ]
)


@st.composite
def moments(draw, crowd_claims):
    """A policy and facts, from few names so that they meet."""
    ends = st.sampled_from([None, PAST, FUTURE])

    def subset(items):
        return [it for it in items if draw(some)]

    servers = [
        Resource(
            id=server,
            identifier=f"https://{server}.example/mcp",
            canonical=f"https://{server}.example/mcp",
            name=server,
            enabled=draw(st.integers(0, 4)) > 0,
            scopes={
                it: Scope(
                    it, risk=draw(st.sampled_from(["read", "write"])), requires=draw(requirement)
                )
                for it in SCOPES
                if draw(some)
            },
            rollout=draw(rollout),
        )
        for server in SERVERS
        if draw(some)
    ]
    policy = build(
        1,
        resources=servers,
        roles=[(role, role) for role in ROLES],
        role_scopes=subset(product(ROLES, ("*", *SERVERS), SCOPES)),
        role_parents=[it for it in [("r1", "r2"), ("r2", "r3")] if draw(some)],
        role_requires={
            role: required for role in ROLES if (required := draw(requirement)) is not None
        },
        group_roles=[(g, g, r, draw(ends)) for g, r in subset(product(GROUPS, ROLES))],
        connections=[Connection(*it) for it in CONNECTIONS],
        mappings=[
            ("con_okta", "groups", value, group)
            for value, group in product(crowd_claims, GROUPS)
            if draw(some)
        ],
    )
    bindings = [(n, HeldRole(r, draw(ends))) for n, r in subset(product(range(5), ROLES))]
    members = subset(product(GROUPS, range(5)))
    return policy, bindings, members


def held_by(crowd, policy, bindings, members):
    """People by their number."""
    groups = {group for group, _ in members}
    return hold(
        crowd,
        policy,
        [(held, mask_of(crowd, [number])) for number, held in bindings],
        {it: mask_of(crowd, [n for group, n in members if group == it]) for it in groups},
        NOW,
    )


def made_by_the_other(one, other, server):
    """Whether a server is at one moment only, so that nobody knows who is in its percentage."""
    return server not in other.resources, server not in one.resources


def by_hand(policy, number, crowd, bindings, members, server, scope, *, is_new):
    """The sign-ins by which one of the crowd gets a scope."""
    resource = policy.resources.get(server)
    if resource is None:
        return frozenset()
    groups = {group for group, member in members if member == number}
    if is_new and resource.rollout.percent:
        resource = replace(resource, rollout=FULL)
    if number >= len(crowd.people):
        # Nobody knows who will come; some of them are in the percentage.
        if resource.rollout.percent:
            resource = replace(resource, rollout=FULL)
        _, claim, value = crowd.claims[number - len(crowd.people)]
        groups = policy.mapped_groups("con_okta", {claim: (value,)})
    roles = tuple(held for holder, held in bindings if holder == number)
    id_ = crowd.ids[number] if number < len(crowd.people) else "nobody yet"
    return frozenset(
        n
        for n, authentication in enumerate(SIGN_INS)
        if decide(
            policy,
            Subject(id_, authentication=authentication, roles=roles, groups=frozenset(groups)),
            resource,
            client="cli",
            requested=frozenset({scope}),
            ceilings=(),
            now=NOW,
        ).granted
    )


def verdict(had, has):
    if has and not had:
        return {"gained"}
    if had and not has:
        return {"lost"}
    return {word for word, more in (("eased", has - had), ("tightened", had - has)) if more}


@settings(max_examples=60)
@given(st.data())
def test_everybody_at_once_is_everybody_one_by_one(data):
    one, other = data.draw(moments(("x", "y"))), data.draw(moments(("y", "z")))
    crowd = Crowd(PEOPLE, IDS, claims_of([one[0], other[0]]))
    before, after = (
        Moment(policy, held_by(crowd, policy, bindings, members))
        for policy, bindings, members in (one, other)
    )
    found = {(it.server, it.scope): it for it in compare(crowd, before, after, NOW)}
    for server, scope, number in product(SERVERS, SCOPES, range(crowd.size)):
        had, has = (
            by_hand(policy, number, crowd, bindings, members, server, scope, is_new=is_new)
            for (policy, bindings, members), is_new in zip(
                (one, other), made_by_the_other(one[0], other[0], server), strict=True
            )
        )
        reached = found.get((f"https://{server}.example/mcp", scope))
        told = {
            word
            for word in ("gained", "lost", "eased", "tightened")
            if reached is not None and getattr(reached, word) >> number & 1
        }
        assert told == verdict(had, has), (crowd.name(number), server, scope)
    assert all(it.grows == bool(it.gained | it.eased) for it in found.values())


def one_server(**scopes):
    return Resource(
        id="s1",
        identifier="https://s1.example/mcp",
        canonical="https://s1.example/mcp",
        name="s1",
        scopes={name: Scope(name, requires=it) for name, it in scopes.items()},
    )


def moment(crowd, *, server=None, okta=True, grants=True, machines=None, **given):
    policy = build(
        1,
        resources=[server or one_server(a=None)],
        roles=[("r1", "r1")],
        role_scopes=[("r1", "*", "a")] if grants else [],
        role_parents=[],
        group_roles=given.get("group_roles", []),
        client_roles=given.get("client_roles", []),
        connections=[Connection("con_okta", "okta", okta)],
        mappings=given.get("mappings", []),
        administration=administration_resource("https://authz.example", is_default_tenant=True),
        admin_roles=admin_roles(),
        administrators=given.get("administrators", []),
    )
    holdings = held_by(crowd, policy, given.get("direct", []), given.get("members", []))
    return Moment(policy, holdings, machines or {})


def test_a_connection_that_a_scope_asks_for_and_that_goes_off_takes_the_scope():
    crowd, server = Crowd(["ada"]), one_server(a=Requirement(connection=frozenset({"okta"})))
    before, after = (
        moment(crowd, server=server, okta=on, direct=[(0, HeldRole("r1"))]) for on in (True, False)
    )
    (lost,) = compare(crowd, before, after, NOW)
    assert (lost.lost, lost.gained, lost.grows) == (1, 0, False)
    (gained,) = compare(crowd, after, before, NOW)
    assert (gained.lost, gained.gained, gained.grows) == (0, 1, True)


def test_whoever_comes_with_a_value_gains_what_its_group_holds():
    mapping = ("con_okta", "groups", "staff", "g1")
    crowd = Crowd(["ada"], ["usr_ada"], [("okta", "groups", "staff")])
    before = moment(crowd, group_roles=[("g1", "g1", "r1", None)])
    after = moment(crowd, group_roles=[("g1", "g1", "r1", None)], mappings=[mapping])
    (reached,) = compare(crowd, before, after, NOW)
    assert crowd.names(reached.gained, None) == ["whoever has groups=staff at okta"]
    off = moment(crowd, okta=False, group_roles=[("g1", "g1", "r1", None)], mappings=[mapping])
    assert compare(crowd, before, off, NOW) == []


def test_a_value_that_leads_into_a_group_of_administrators_makes_administrators():
    crowd = Crowd(["ada"], ["usr_ada"], [("okta", "groups", "staff")])
    owners = [("group", "g1", "admin/auditor", None, "Auditors")]
    before = moment(crowd, administrators=owners)
    after = moment(crowd, administrators=owners, mappings=[("con_okta", "groups", "staff", "g1")])
    found = compare(crowd, before, after, NOW)
    assert [it.scope for it in found] == ["authz.audit.read", "authz.read"]
    assert {it.server for it in found} == {after.policy.resources[ADMIN_ID].identifier}
    assert all(crowd.names(it.gained, 5) == ["whoever has groups=staff at okta"] for it in found)


@pytest.mark.parametrize(
    ("is_over", "may_act", "ceiling", "user_required", "gets"),
    [
        (False, True, None, False, True),
        (True, True, None, False, False),
        (False, False, None, False, False),
        (False, True, frozenset(), False, False),
        (False, True, None, True, False),
    ],
    ids=["bound", "over", "blocked", "below its ceiling", "where a person has to be"],
)
def test_clients_that_act_for_themselves_are_asked_as_their_grant_asks(
    is_over, may_act, ceiling, user_required, gets
):
    crowd = Crowd(["ada"])
    server = Resource(
        **{**vars(one_server(a=None)), "is_user_required": user_required},
    )
    machine = Machine(may_act, lambda _: (Ceiling(Reason.CLIENT_CEILING, ceiling),))
    until = PAST if is_over else None
    before = moment(crowd, server=server)
    after = moment(
        crowd, server=server, client_roles=[("job", "r1", until)], machines={"job": machine}
    )
    found = compare(crowd, before, after, NOW)
    assert [it.clients_gained for it in found] == ([("job",)] if gets else [])
    assert [it.clients_lost for it in compare(crowd, after, before, NOW)] == (
        [("job",)] if gets else []
    )


def test_names_are_told_up_to_a_limit_in_their_order():
    crowd = Crowd([f"p{n:03}" for n in range(300)])
    mask = sum(1 << n for n in range(0, 300, 7))
    assert crowd.names(mask, 3) == ["p000", "p007", "p014"]
    assert len(crowd.names(mask, None)) == mask.bit_count() == 43
    assert crowd.names(0, None) == []
