"""Which requests are a workload's, and what its token is held against, by tables (WIF-01, WIF-05, CONF-05)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from authz import entropy
from authz.audit.events import TokenIssued, TokenRefused
from authz.clients.authentication import PARAMETERS
from authz.clients.client import Client
from authz.errors import (
    AccessDenied,
    InvalidAuthorizationDetails,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
)
from authz.jose import Profile
from authz.oauth import issuing, workload
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.facts import Facts, IssuedToken
from authz.oauth.grants import GRANTS
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.oauth.grants.workload import WorkloadGrant, is_presented, refusal
from authz.oauth.introspection import is_standing
from authz.oauth.params import Params
from authz.oauth.workload_rules import read_rules
from authz.oauth.workload_trust import Workloads, WorkloadSettings, WorkloadTrust, is_workload
from authz.policy.snapshot import Resource, Scope
from authz.settings import Tokens
from tests.support.configured import NOW, RESOURCE, TENANT_ID, configuration, policy
from tests.support.jwt_entries import spell

RULES = read_rules(
    [
        {
            "name": "router",
            "subject": "a:router",
            "resources": [RESOURCE.identifier],
            "roles": ["developer"],
        },
        {
            "name": "reader",
            "subject": "a:reader",
            "resources": [RESOURCE.identifier],
            "scopes": ["logs.read"],
        },
    ]
)
TRUST = WorkloadTrust("tru_1", "cluster", "https://c.example", WorkloadSettings(rules=RULES))
CLAIMS = {
    "iss": TRUST.issuer,
    "sub": "a:router",
    "iat": NOW.timestamp(),
    "exp": NOW.timestamp() + 300,
    "jti": "j1",
}
OTHER = Resource("res_2", "https://second.example", "https://second.example", "Second")
CONFIGURATION = replace(
    configuration(),
    policy=policy(resources=[replace(RESOURCE, is_default=True), OTHER]),
    workloads=Workloads.build({TRUST.issuer: TRUST}),
)


def token(header=None, claims=None):
    """Never verified here."""
    return spell({"alg": "ES256"} if header is None else header, claims or {}, key=lambda _: b"s")


GOOD = {"grant_type": JWT_BEARER, "assertion": token()}


@pytest.mark.parametrize(
    ("changed", "authorization", "is_ours"),
    [
        ({}, None, True),
        ({"client_id": "router"}, None, True),
        ({"client_secret": ""}, None, True),
        ({"assertion": token({"typ": "JWT"})}, None, True),
        ({"assertion": token({"typ": "application/JWT"})}, None, True),
        ({"assertion": token({"typ": "jose"})}, None, True),
        ({"assertion": token({"typ": None})}, None, True),
        ({"assertion": token({"typ": "oauth-id-jag+jwt"})}, None, False),
        ({"assertion": token({"typ": "at+jwt"})}, None, False),
        ({"assertion": token({"typ": ""})}, None, False),
        ({"assertion": token({"typ": "JWT "})}, None, False),
        ({"assertion": token({"typ": "application/application/jwt"})}, None, False),
        ({"assertion": token({"typ": ["JWT"]})}, None, False),
        ({"assertion": token({"typ": 1})}, None, False),
        ({"assertion": token([])}, None, False),
        ({"assertion": "x"}, None, False),
        ({"assertion": ""}, None, False),
        ({"assertion": "a.b.c.d.e"}, None, False),
        ({"grant_type": "client_credentials"}, None, False),
        ({"grant_type": JWT_BEARER + " "}, None, False),
        ({"grant_type": ""}, None, False),
        ({}, "", False),
        ({}, "Basic eDp5", False),
        ({}, "Bearer x", False),
        *(({name: "x"}, None, False) for name in sorted(PARAMETERS)),
    ],
)
def test_which_requests_need_no_client(changed, authorization, is_ours):
    """O21-13, WIF-05: everything that is not plainly a workload's goes the way of clients."""
    params = Params({**GOOD, **changed}.items())
    assert is_presented(params, authorization) is is_ours


def test_no_client_is_ever_registered_for_it():
    """It is not among the grants that a client's request is looked up in."""
    assert WorkloadGrant.allowed_with == frozenset()
    assert not any(isinstance(grant, WorkloadGrant) for grant in GRANTS.values())


def check(claims=None, *, trust=TRUST, signed="h.p", client_id=None):
    return workload.check(
        CLAIMS if claims is None else claims, trust, signed=signed, client_id=client_id
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"events": {}}, "workload_other_kind"),
        ({"nonce": None}, "workload_other_kind"),
        ({"sub": "x" * 513}, "jwt_sub"),
        ({"sub": "a:nobody"}, "workload_unknown"),
        ({"iat": None}, "jwt_iat"),
        ({"iat": True}, "jwt_iat"),
        ({"iat": -1}, "jwt_iat"),
        ({"jti": ""}, "jwt_jti"),
        ({"jti": ["j"]}, "jwt_jti"),
        ({"jti": "x" * 257}, "jwt_jti"),
        ({"jti": "a\x00b"}, "jwt_jti"),
    ],
    ids=str,
)
def test_what_a_token_may_not_say(changed, reason):
    with pytest.raises(InvalidGrant) as refused:
        check({**CLAIMS, **changed})
    assert (refused.value.reason, refused.value.description) == (reason, workload.REFUSED)


def test_tokens_are_told_apart():
    """WIF-03: by name, else by all that was signed; per entry and issuer, and never across the two ways."""
    other = replace(TRUST, id="tru_2")
    moved = replace(TRUST, issuer="https://d.example")
    unnamed = {name: value for name, value in CLAIMS.items() if name != "jti"}
    keys = [
        check().replay_key,
        check({**CLAIMS, "jti": "j2"}).replay_key,
        check(trust=other).replay_key,
        check(trust=moved).replay_key,
        check(unnamed).replay_key,
        check(unnamed, signed="h.q").replay_key,
        check({**CLAIMS, "jti": entropy.digest("h.p")}).replay_key,
    ]
    assert len(set(keys)) == len(keys)
    assert check(signed="h.q").replay_key == keys[0]
    # Nodes of two versions share the table: what is digested stays as it is.
    said = [("jti", "j1"), ("signed", entropy.digest("h.p"))]
    entry = ("workload", TRUST.issuer, TRUST.id)
    assert [keys[0], keys[4]] == [entropy.digest("\0".join((*entry, *it))) for it in said]
    assert check().remembered_until == NOW + timedelta(seconds=300 + 120)


def test_a_repr_tells_no_subject():
    assert repr(check()) == "Workload(trust='cluster', rule='router')"


def request(found, **params):
    return TokenRequest(
        configuration=CONFIGURATION,
        client=workload.as_client(found, TENANT_ID),
        params=Params({"resource": RESOURCE.identifier, **params}.items()),
        lifetimes=Tokens(),
        workload=found,
        fresh=FreshNames(jti="at_new", family_id="grt_new", salt="salt"),
    )


def test_a_decision_changes_one_row_and_says_one_thing():
    found = check()
    outcome = WorkloadGrant().decide(request(found, scope="logs.write admin"), Facts(), NOW)
    assert outcome.answer.scopes == frozenset({"logs.write"})
    assert outcome.answer.subject == outcome.answer.client_id == found.id
    assert is_workload(found.id)
    assert outcome.answer.expires_at <= NOW + timedelta(minutes=15)
    [made] = outcome.changes.tokens
    assert (made.subject, made.client_id, made.family_id) == (found.id, found.id, "grt_new")
    assert made.resource_id == RESOURCE.id
    record = json.loads(made.decision)
    assert (record["subject"], record["client"]) == (found.id, found.id)
    assert json.loads(made.decision)["granted"] == {"logs.write": "role developer"}
    assert replace(outcome.changes, tokens=()) == type(outcome.changes)()
    [event] = outcome.events
    assert isinstance(event, TokenIssued)
    assert event.workload == {"trust": "cluster", "rule": "router", "asserted": "a:router"}
    assert issuing.claims(outcome.answer, CONFIGURATION)["client_id"] == found.id


def test_scopes_of_a_rule_name_the_rule():
    found = check({**CLAIMS, "sub": "a:reader"})
    outcome = WorkloadGrant().decide(request(found), Facts(), NOW)
    [made] = outcome.changes.tokens
    assert json.loads(made.decision)["granted"] == {"logs.read": "rule reader of cluster"}
    with pytest.raises(InvalidScope):
        WorkloadGrant().decide(request(found, scope="logs.write"), Facts(), NOW)


def test_a_refusal_names_the_workload():
    told = refusal(request(check()), InvalidScope("no", reason="scope_not_held"))
    assert isinstance(told, TokenRefused)
    assert (told.error, told.reason) == ("invalid_scope", "scope_not_held")
    assert (told.subject, told.client, told.grant_type) == (check().id, check().id, JWT_BEARER)
    assert told.workload["rule"] == "router"


def test_a_token_stands_on_its_rule():
    """ATK-59: on nothing else that has a row."""
    found = check()
    token = IssuedToken(
        jti="at_1",
        tenant_id=TENANT_ID,
        client_id=found.id,
        subject=found.id,
        resource_id=RESOURCE.id,
        expires_at=NOW + timedelta(minutes=5),
        revoked_at=None,
        family_id=None,
        family_revoked_at=None,
        connection_id=None,
        subject_enabled=False,
        client_kind=None,
        client_status=None,
        client_ceiling=None,
    )
    elsewhere = replace(RULES[0], resources=("https://other.example",))
    narrowed = replace(TRUST, settings=WorkloadSettings(rules=(elsewhere,)))
    gone = replace(TRUST, settings=WorkloadSettings(rules=RULES[1:]))
    assert is_standing(token, CONFIGURATION, NOW)
    assert not is_standing(replace(token, revoked_at=NOW), CONFIGURATION, NOW)
    assert not is_standing(token, CONFIGURATION, NOW + timedelta(minutes=5))
    assert not is_standing(replace(token, subject="wkl_other"), CONFIGURATION, NOW)
    for entries in ({}, {"i": narrowed}, {"i": gone}, {"i": replace(TRUST, id="tru_2")}):
        changed = replace(CONFIGURATION, workloads=Workloads.build(entries))
        assert not is_standing(token, changed, NOW)


def test_whom_two_rules_match_is_nobody():
    """WIF-02."""
    wide = read_rules(
        [
            {"name": "wide", "subject": "a:*", "resources": ["r"], "roles": ["x"]},
            {"name": "router", "subject": "a:router", "resources": ["r"], "roles": ["x"]},
        ]
    )
    entry = replace(TRUST, settings=WorkloadSettings(rules=wide))
    with pytest.raises(InvalidGrant) as refused:
        check(trust=entry)
    assert refused.value.reason == "workload_ambiguous"
    assert check({**CLAIMS, "sub": "a:other"}, trust=entry).rule.name == "wide"


@pytest.mark.parametrize("jti", ["j", "x" * 256])
def test_a_name_of_a_token_has_bounds(jti):
    assert check({**CLAIMS, "jti": jti}).mark == ("jti", jti)


def test_a_subject_has_a_bound():
    name = "a:" + "x" * 510
    given = {"name": "long", "subject": name, "resources": ["r"], "roles": ["x"]}
    entry = replace(TRUST, settings=WorkloadSettings(rules=read_rules([given])))
    assert check({**CLAIMS, "sub": name}, trust=entry).subject == name


def test_a_client_id_names_the_rule_or_the_workload():
    known = check()
    for name in (None, "router", known.id):
        assert check(client_id=name) == known
    for name in ("reader", "a:router", "", TRUST.id_of(RULES[1])):
        with pytest.raises(InvalidGrant) as refused:
            check(client_id=name)
        assert refused.value.reason == "workload_client_id"


def test_in_the_place_of_a_client_it_may_do_nothing_else():
    made = workload.as_client(check(), TENANT_ID)
    assert made == Client(
        tenant_id=TENANT_ID,
        id=check().id,
        kind="workload",
        enabled=True,
        name="router",
        redirect_uris=(),
        grant_types=frozenset(),
        auth_methods=frozenset(),
    )
    assert made.is_confidential
    assert not any(made.may_use(grant_type) for grant_type in GRANTS)


@pytest.mark.parametrize(
    ("params", "error", "reason"),
    [
        ({"resource": ""}, InvalidTarget, "resource_missing"),
        ({"resource": "https://other.example"}, InvalidTarget, "resource_unknown"),
        ({"resource": OTHER.identifier}, InvalidTarget, "workload_resource"),
        ({"scope": "admin"}, InvalidScope, "scope_not_held"),
        ({"scope": "nothing.there"}, InvalidScope, "scope_unknown"),
        ({"authorization_details": "[7]"}, InvalidAuthorizationDetails, None),
    ],
)
def test_what_a_request_may_not_ask(params, error, reason):
    """WIF-04."""
    with pytest.raises(error) as refused:
        WorkloadGrant().decide(request(check(), **params), Facts(), NOW)
    assert reason is None or refused.value.reason == reason


def test_a_server_of_other_rules_looks_like_none():
    """WIF-04: what else is registered is none of its business."""
    off = replace(OTHER, id="res_3", identifier="https://off.example", enabled=False)
    others = [OTHER, replace(off, canonical=off.identifier)]
    changed = replace(CONFIGURATION, policy=policy(resources=[RESOURCE, *others]))
    told = set()
    for address in ("https://nowhere.example", *(it.identifier for it in others)):
        asked = replace(request(check(), resource=address), configuration=changed)
        with pytest.raises(InvalidTarget) as refused:
            WorkloadGrant().decide(asked, Facts(), NOW)
        told.add(refused.value.description)
    assert told == {"the resource is not registered here"}


def test_a_server_that_is_off_is_off_for_whom_it_is_for():
    off = policy(resources=[replace(RESOURCE, enabled=False)])
    asked = replace(request(check()), configuration=replace(CONFIGURATION, policy=off))
    with pytest.raises(InvalidTarget) as refused:
        WorkloadGrant().decide(asked, Facts(), NOW)
    assert refused.value.reason == "resource_disabled"


def test_without_a_token_there_is_nobody():
    asked = replace(request(check()), workload=None)
    with pytest.raises(InvalidRequest) as refused:
        WorkloadGrant().prepare(asked)
    assert refused.value.reason == "assertion_missing"


@pytest.mark.parametrize(
    ("settings", "audiences", "required"),
    [
        ({}, {"https://as.example"}, {"jti"}),
        ({"assertion_reuse": "until_exp"}, {"https://as.example"}, set()),
        ({"audiences": ("a", "b")}, {"a", "b"}, {"jti"}),
    ],
)
def test_what_a_token_is_held_against(settings, audiences, required):
    """WIF-03, CONF-04: our name where none is set; each token once needs a name of each."""
    given = WorkloadSettings(algorithms=("ES256",), max_lifetime_seconds=90, **settings)
    profile = workload.profile_of(replace(TRUST, settings=given), "https://as.example")
    assert profile == Profile(
        typ=workload.TYPS,
        algorithms=("ES256",),
        issuer=TRUST.issuer,
        audiences=frozenset(audiences),
        max_lifetime=timedelta(seconds=90),
        required=frozenset(required),
    )


def test_the_entry_is_told_where_somebody_asks_why():
    for of, source in ((None, "rule router"), ("cluster", "rule router of cluster")):
        subject = workload.subject_of("wkl_1", RULES[0], CONFIGURATION.policy, of=of)
        assert subject.scopes_from == source


def test_a_server_that_wants_a_person_is_not_for_workloads():
    """M11."""
    wanting = replace(RESOURCE, is_user_required=True)
    changed = replace(CONFIGURATION, policy=policy(resources=[wanting]))
    with pytest.raises(UnauthorizedClient):
        WorkloadGrant().decide(replace(request(check()), configuration=changed), Facts(), NOW)


def test_nothing_asked_and_nothing_left_is_policys_answer():
    found = replace(check(), rule=replace(RULES[0], roles=("gone",)))
    with pytest.raises(AccessDenied) as refused:
        WorkloadGrant().decide(request(found), Facts(), NOW)
    assert refused.value.reason == "nothing_granted"


def test_limits_on_tools_choose_the_scopes():
    """RAR-01: whoever asks for one tool gets its scope, and the limit."""
    scopes = {"logs.read": Scope("logs.read"), "logs.write": Scope("logs.write", tools=("put",))}
    changed = replace(CONFIGURATION, policy=policy(resources=[replace(RESOURCE, scopes=scopes)]))
    limit = {"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "put"}
    asked = request(check(), authorization_details=json.dumps([limit]))
    outcome = WorkloadGrant().decide(replace(asked, configuration=changed), Facts(), NOW)
    assert outcome.answer.scopes == frozenset({"logs.write"})
    assert outcome.answer.authorization_details == [limit]


@pytest.mark.parametrize("minutes", [10, 30])
def test_a_token_lives_a_quarter_of_an_hour_at_most(minutes):
    lifetimes = Tokens(access_token=timedelta(minutes=minutes))
    asked = replace(request(check()), lifetimes=lifetimes)
    outcome = WorkloadGrant().decide(asked, Facts(), NOW)
    assert outcome.answer.expires_at == NOW + timedelta(minutes=min(minutes, 15))


@pytest.mark.parametrize("reuse", ["deny", "until_exp"])
def test_what_is_remembered_of_a_token(reuse):
    """CONF-01: a second presentation is refused, or told."""
    found = check(
        trust=replace(TRUST, settings=WorkloadSettings(rules=RULES, assertion_reuse=reuse))
    )
    [replay] = WorkloadGrant().prepare(request(found)).replays
    assert (replay.key, replay.expires_at) == (found.replay_key, found.remembered_until)
    refused = (
        None if replay.refusal is None else (replay.refusal.reason, replay.refusal.description)
    )
    assert refused == (("workload_replayed", workload.REFUSED) if reuse == "deny" else None)
    first = WorkloadGrant().decide(request(found), Facts(claimed={replay.key}), NOW)
    again = WorkloadGrant().decide(request(found), Facts(), NOW)
    assert [event.kind for event in first.events] == ["token.issued"]
    told = [event for event in again.events if event.kind == "assertion.reused"]
    assert len(told) == (reuse == "until_exp")
    assert all((it.subject, it.client, it.trust) == (found.id, found.id, "cluster") for it in told)
    assert first.events[0].grant_type == JWT_BEARER
