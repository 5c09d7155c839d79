"""What changes for everybody at once is what `decide` says of each of them, one by one (L9, L10)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.policy import Ceiling, Reason, Subject, client_ceiling, decide
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


def one_server(id_="s1", *, risk="read", **scopes):
    """Each scope with what it requires."""
    return Resource(
        id=id_,
        identifier=f"https://{id_}.example/mcp",
        canonical=f"https://{id_}.example/mcp",
        name=id_,
        scopes={name: Scope(name, risk=risk, requires=it) for name, it in scopes.items()},
    )


def moment(crowd, *, server=None, okta=True, machines=None, direct=(), members=(), **given):
    """One server with one scope, which the roles r1 and r2 have; what else is told replaces that."""
    policy = build(
        1,
        **{
            "resources": [server or one_server(a=None)],
            "roles": [("r1", "r1"), ("r2", "r2")],
            "role_scopes": [("r1", "*", "a"), ("r2", "*", "a")],
            "role_parents": [],
            "group_roles": [],
            "connections": [Connection("con_okta", "okta", okta)],
            "administration": administration_resource(
                "https://authz.example", is_default_tenant=True
            ),
            "admin_roles": admin_roles(),
            **given,
        },
    )
    return Moment(policy, held_by(crowd, policy, direct, members), machines or {})


ALL = Crowd(PEOPLE, IDS)
WORDS = "gained", "lost", "eased", "tightened"
REVERSED = {"gained": "lost", "lost": "gained", "eased": "tightened", "tightened": "eased"}


def told(crowd, before, after):
    """By server and scope: the words that apply, with the names."""
    found = {}
    for it in compare(crowd, before, after, NOW):
        words = {word: crowd.names(mask, None) for word in WORDS if (mask := getattr(it, word))}
        assert it.grows == ("gained" in words or "eased" in words)
        assert it.shrinks == ("lost" in words or "tightened" in words)
        found[it.server.removeprefix("https://").partition(".")[0], it.scope] = words
    return found


def there_and_back(before, after, words, *, crowd=ALL):
    """What a change does at the one scope, and that the opposite undoes it."""
    moments = [moment(crowd, **it) for it in (before, after)]
    back = {REVERSED[word]: names for word, names in words.items()}
    for (one, other), expected in ((moments, words), (reversed(moments), back)):
        assert told(crowd, one, other) == ({("s1", "a"): expected} if expected else {})


def holding(*names, role="r1", until=None):
    return [(PEOPLE.index(it), HeldRole(role, until)) for it in names]


def in_group(group, *names):
    return [(group, PEOPLE.index(it)) for it in names]


MFA, OKTA = frozenset({"mfa"}), frozenset({"okta"})
ADA, BOTH = {"direct": holding("ada")}, {"direct": holding("ada", "bob")}
OF_GROUP = {"group_roles": [("g1", "g1", "r1", None)]}


def asking(**what):
    """A server whose scope requires this."""
    return {"server": one_server(a=Requirement(**what) if what else None)}


def at(rollout, risk="write"):
    """A server that is rolled out so far."""
    return {"server": replace(one_server(a=None, risk=risk), rollout=rollout)}


def canary(*groups, percent=0):
    return Rollout(CANARY, frozenset(groups), percent)


MIXED = {"direct": [*holding("ada", until=PAST), *holding("bob")]}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"resources": []}, {}, {"gained": ["ada", "bob"]}),
        ({"server": one_server()}, {}, {"gained": ["ada", "bob"]}),
        ({"server": replace(one_server(a=None), enabled=False)}, {}, {"gained": ["ada", "bob"]}),
        ({"direct": []}, {}, {"gained": ["ada", "bob"]}),
        ({"direct": holding("bob")}, {}, {"gained": ["ada"]}),
        ({}, {"direct": holding("bob", "cyd", "eve")}, {"gained": ["cyd", "eve"], "lost": ["ada"]}),
        ({}, {"direct": holding("ada", "bob", role="r2")}, {}),
        ({}, {"direct": [*holding("ada"), *holding("bob", role="r2")]}, {}),
        ({}, {"direct": [*holding("ada", role="r2"), *holding("bob", "cyd")]}, {"gained": ["cyd"]}),
        ({}, {"roles": [("r2", "r2")]}, {"lost": ["ada", "bob"]}),
        ({}, {"role_scopes": [("r1", "s1", "a")]}, {}),
        ({}, {"role_scopes": [("r1", "s2", "a")]}, {"lost": ["ada", "bob"]}),
        ({"role_scopes": []}, {"role_scopes": [("r1", "s1", "a")]}, {"gained": ["ada", "bob"]}),
        (ADA, {"direct": holding("ada", until=NOW)}, {"lost": ["ada"]}),
        (ADA, {"direct": holding("ada", until=FUTURE)}, {}),
        (MIXED, {**MIXED, "resources": []}, {"lost": ["bob"]}),
        (
            {**OF_GROUP, "direct": []},
            {**OF_GROUP, "direct": [], "members": in_group("g1", "cyd")},
            {"gained": ["cyd"]},
        ),
        ({"direct": []}, {**OF_GROUP, "direct": []}, {}),
        (
            {"direct": []},
            {**OF_GROUP, "direct": [], "members": in_group("g1", "bob", "dot")},
            {"gained": ["bob", "dot"]},
        ),
    ],
    ids=[
        *("a server", "a scope", "a server that was off", "roles", "a role", "two changes"),
        *("an equal role", "two equal roles", "another besides", "a role that is gone"),
        *("a way at the server", "a way elsewhere", "a way there", "over", "not over yet"),
        *("one over and one not", "a member", "a group of nobody", "members"),
    ],
)
def test_who_holds_it_has_it(before, after, words):
    there_and_back({**BOTH, **before}, {**BOTH, **after}, words)


LOCAL_ONLY = {"role_requires": {"r1": Requirement(connection=frozenset({"local"}))}}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, asking(acr=MFA), "tightened"),
        (asking(acr=MFA), asking(acr=MFA | {"phr"}), "eased"),
        ({}, asking(max_age=60), "tightened"),
        (asking(max_age=60), asking(max_age=300), "eased"),
        ({}, asking(connection=OKTA), "tightened"),
        ({}, asking(connection=frozenset({"local"})), "tightened"),
        (asking(acr=MFA), asking(acr=MFA, connection=OKTA), "tightened"),
        (asking(max_age=60), asking(max_age=60, connection=OKTA), "tightened"),
        (asking(acr=MFA), asking(acr=MFA, max_age=60), "tightened"),
        ({}, asking(connection=frozenset({"gone"})), "lost"),
        (asking(connection=OKTA), {**asking(connection=OKTA), "okta": False}, "lost"),
        (asking(connection=OKTA), {**asking(connection=OKTA), "connections": []}, "lost"),
        ({}, {"role_requires": {"r1": Requirement(acr=MFA)}}, "tightened"),
        ({}, {"role_requires": {"r2": Requirement(acr=MFA)}}, None),
        (asking(acr=MFA), {**asking(acr=MFA), "role_requires": {"r1": Requirement(acr=MFA)}}, None),
        ({}, {"okta": False}, None),
        ({**LOCAL_ONLY, "okta": False}, LOCAL_ONLY, None),
    ],
    ids=[
        *("acr", "another acr", "age", "a longer age", "a connection", "the local directory"),
        *("acr there", "age there", "acr and age", "a connection that is not there"),
        *("one that goes off", "one that goes", "a role's", "another role's", "asked for twice"),
        *("off, and nobody asks", "on, and nobody asks"),
    ],
)
def test_how_people_have_to_sign_in(before, after, words):
    """ada holds one role, and bob none."""
    there_and_back({**ADA, **before}, {**ADA, **after}, {words: ["ada"]} if words else {})


def test_a_sign_in_that_nothing_is_said_about_makes_nothing_easier():
    """Whoever may sign in anywhere may do so through one more."""
    anywhere = [*holding("ada", role="r2"), *holding("bob")]
    before = {**LOCAL_ONLY, "okta": False, "direct": anywhere}
    after = {**LOCAL_ONLY, "direct": [*anywhere, *holding("cyd")]}
    there_and_back(before, after, {"gained": ["cyd"]})


MEMBERS = [*in_group("g1", "ada"), *in_group("g2", "bob", "cyd")]
HALF = [
    name
    for name, id_ in zip(PEOPLE, IDS, strict=True)
    if canary(percent=50).admits("s1", id_, frozenset())
]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (at(FULL), at(Rollout(READ_ONLY)), {"lost": ["ada", "bob"]}),
        (at(Rollout(READ_ONLY), "read"), at(Rollout(READ_ONLY)), {"lost": ["ada", "bob"]}),
        (at(FULL, "read"), at(FULL), {}),
        (at(FULL, "read"), at(Rollout(READ_ONLY), "read"), {}),
        (at(Rollout(READ_ONLY)), {"server": one_server()}, {}),
        (at(FULL), at(canary("g2")), {"lost": ["ada"]}),
        (at(canary("g1")), at(canary("g2")), {"lost": ["ada"], "gained": ["bob"]}),
        (at(canary("g1")), at(canary("g1", "g2")), {"gained": ["bob"]}),
        (
            at(canary("g1")),
            {**at(canary("g1")), "members": in_group("g1", "bob")},
            {"lost": ["ada"], "gained": ["bob"]},
        ),
        ({"resources": []}, at(canary("g1")), {"gained": ["ada"]}),
        ({"resources": []}, at(canary(percent=1)), {"gained": ["ada", "bob"]}),
        ({"resources": []}, at(canary("g1", percent=1)), {"gained": ["ada", "bob"]}),
    ],
    ids=[
        *("stopped", "a scope that writes now", "a scope that writes", "reading", "a scope less"),
        *("begun", "others", "more", "other members", "a new server", "a part of the people"),
        "a group and a part",
    ],
)
def test_how_far_a_server_is_rolled_out(before, after, words):
    given = {**BOTH, "members": MEMBERS}
    there_and_back({**given, **before}, {**given, **after}, words)


def test_who_is_in_a_percentage_is_known_where_the_server_is():
    """Of whoever will come nobody knows it; some are."""
    crowd = Crowd(PEOPLE, IDS, [("okta", "groups", "staff")])
    given = {
        "direct": holding(*PEOPLE),
        "group_roles": [("g1", "g1", "r1", None)],
        "mappings": [("con_okta", "groups", "staff", "g1")],
    }
    assert 0 < len(HALF) < len(PEOPLE)
    before, after = at(Rollout(READ_ONLY)), at(canary(percent=50))
    expected = {"gained": [*HALF, "whoever has groups=staff at okta"]}
    there_and_back({**given, **before}, {**given, **after}, expected, crowd=crowd)


def test_each_server_is_rolled_out_to_its_own():
    servers = [
        replace(one_server(id_, a=None, risk="write"), rollout=canary(group))
        for id_, group in (("s1", "g1"), ("s2", "g2"))
    ]
    given = {**BOTH, "members": MEMBERS}
    found = told(ALL, moment(ALL, **given, resources=[]), moment(ALL, **given, resources=servers))
    assert found == {("s1", "a"): {"gained": ["ada"]}, ("s2", "a"): {"gained": ["bob"]}}


def test_what_everybody_holds_is_held_by_everybody_there_will_be():
    """Nobody else: the mask has no bit behind them."""
    crowd = Crowd(PEOPLE, IDS, [("okta", "groups", "staff")])
    builtin = replace(one_server("own", a=None), is_builtin=True)
    before, after = moment(crowd), moment(crowd, builtin=[builtin])
    assert [it.gained for it in compare(crowd, before, after, NOW)] == [0b111111]
    assert [it.lost for it in compare(crowd, after, before, NOW)] == [0b111111]


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


def clients(before, after):
    """Who gains and who loses, by server and scope."""
    one, other = (moment(ALL, **it) for it in (before, after))
    return {
        (it.server.removeprefix("https://"), it.scope): (it.clients_gained, it.clients_lost)
        for it in compare(ALL, one, other, NOW)
    }


def test_a_client_that_acts_for_itself_is_asked_in_its_own_name():
    """Its admin roles, its ceiling there, and its place in a percentage are its own."""
    every = {it: Machine(True, lambda _: ()) for it in ("bot", "job")}
    holds = {"machines": every, "client_roles": [("bot", "r1", None), ("job", "r1", None)]}
    part = canary(percent=50)
    some = tuple(it for it in sorted(every) if part.admits("s1", it, frozenset()))
    assert len(some) == 1
    found = clients({**holds, **at(Rollout(READ_ONLY))}, {**holds, **at(part)})
    assert found == {("s1.example/mcp", "a"): (some, ())}
    may_read = Machine(True, lambda it: (client_ceiling(frozenset({"authz.read"}), it),))
    before = {"machines": {"bot": Machine(True, lambda _: ()), "job": may_read}}
    after = {**before, "administrators": [("client", "job", "admin/auditor", None, None)]}
    place = administration_resource("https://authz.example", is_default_tenant=True).identifier
    gained = {(place.removeprefix("https://"), "authz.read"): (("job",), ())}
    assert clients(before, after) == gained


def test_several_clients_are_told_by_name():
    every = {it: Machine(True, lambda _: ()) for it in ("bot", "job", "zap")}
    before = {"machines": every, "client_roles": [("zap", "r1", None), ("bot", "r1", None)]}
    after = {"machines": every, "client_roles": [("job", "r1", None), ("bot", "r1", None)]}
    place = ("s1.example/mcp", "a")
    assert clients(before, after) == {place: (("job",), ("zap",))}
    assert clients({}, before) == {place: (("bot", "zap"), ())}
    [reached] = compare(ALL, moment(ALL), moment(ALL, **before), NOW)
    assert (reached.grows, reached.shrinks) == (True, False)
    [reached] = compare(ALL, moment(ALL, **before), moment(ALL), NOW)
    assert (reached.grows, reached.shrinks) == (False, True)


@pytest.mark.parametrize("size", [1, 8, 9, 100])
def test_each_of_the_crowd_has_a_bit(size):
    crowd = Crowd([f"p{n:03}" for n in range(size)])
    for number in range(size):
        assert mask_of(crowd, [number]) == 1 << number
        assert crowd.names(1 << number, None) == [f"p{number:03}"]
    assert mask_of(crowd, range(size)) == crowd.everybody


def test_values_are_those_that_people_may_come_with():
    """Each once and in order; of a connection that is off nobody comes."""
    connections = [Connection("con_okta", "okta", True), Connection("con_off", "off", False)]
    mappings = [
        *(("con_okta", "groups", value, "g1") for value in ("y", "x")),
        *(("con_off", "groups", "z", "g1"), ("con_gone", "groups", "z", "g1")),
    ]
    policy = moment(ALL, connections=connections, mappings=mappings).policy
    claims = [("okta", "groups", "x"), ("okta", "groups", "y")]
    assert claims_of([policy, policy]) == claims
    crowd = Crowd(PEOPLE, IDS, claims)
    given = {"connections": connections, "mappings": mappings[:1]}
    after = {**given, "group_roles": [("g1", "g1", "r1", None)]}
    expected = {"gained": ["whoever has groups=y at okta"]}
    there_and_back(given, after, expected, crowd=crowd)


def test_names_are_told_up_to_a_limit_in_their_order():
    crowd = Crowd([f"p{n:03}" for n in range(300)])
    mask = sum(1 << n for n in range(0, 300, 7))
    assert crowd.names(mask, 3) == ["p000", "p007", "p014"]
    assert len(crowd.names(mask, None)) == mask.bit_count() == 43
    assert crowd.names(0, None) == []
