"""Polling and redeeming a device code by table (RFC 8628 §3.4, §3.5): hand-made facts in, an outcome out.

The flows over sockets are in tests/flows/test_device.py; here is the edge of each comparison, and what is stored and
recorded with each answer.
"""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from authz import entropy
from authz.audit.events import FamilyRevoked, TokenIssued, TokenRefused
from authz.errors import InvalidRequest, OAuthError, UnauthorizedClient
from authz.oauth import refresh
from authz.oauth.authorization import FreshNames, Outcome, TokenRequest
from authz.oauth.devices import APPROVED, DENIED, DEVICE_GRANT, ENDED, PENDING, SPENT
from authz.oauth.facts import Approval, Changes, Device, FactKeys, Facts, Family
from authz.oauth.grants import GRANTS
from authz.oauth.grants.device_code import REFUSED
from authz.oauth.params import Params
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.snapshot import HeldRole, Scope
from authz.settings import Tokens
from tests.support.configured import CLIENT, NOW, RESOURCE, TENANT_ID, configuration, policy

TICK = timedelta(microseconds=1)
CONFIGURATION = configuration()
LIFETIMES = Tokens()
DEVELOPER = {"usr_1": (HeldRole("rol_dev"),)}
BOTH = frozenset({"logs.read", "logs.write"})
TV = replace(CLIENT, grant_types=frozenset({DEVICE_GRANT, "refresh_token"}))
APPROVAL = Approval(
    user_id="usr_1",
    scopes=BOTH,
    auth_time=NOW - timedelta(minutes=1),
    acr="1",
    amr=("pwd",),
    connection_id=None,
    session_digest="d1",
    signed_in_at=NOW - timedelta(minutes=1),
    upstream_expires_at=None,
)
WAITING = Device(
    digest=entropy.digest("azd_1"),
    tenant_id=TENANT_ID,
    user_code="u",
    client_id=TV.id,
    resource_id=RESOURCE.id,
    requested=BOTH | {"admin"},
    offline_access=False,
    status=PENDING,
    poll_interval=5,
    polled_at=None,
    asked_from="192.0.2.1",
    created_at=NOW - timedelta(minutes=2),
    expires_at=NOW + timedelta(minutes=8),
)
ALLOWED = replace(
    WAITING, status=APPROVED, approval=APPROVAL, subject_enabled=True, consent_stands=True
)
FAMILY = Family(
    id="grt_new",
    tenant_id=TENANT_ID,
    client_id=TV.id,
    user_id="usr_1",
    resource_id=RESOURCE.id,
    scopes=BOTH,
    refreshable=True,
    salt="salt",
    generation=1,
    rotated_at=NOW,
    auth_time=APPROVAL.auth_time,
    acr="1",
    amr=("pwd",),
    connection_id=None,
    session_digest="d1",
    signed_in_at=NOW - timedelta(minutes=1),
    confirmation=None,
    authorization_details=None,
    created_at=NOW,
    idle_expires_at=NOW + LIFETIMES.refresh_idle,
    expires_at=NOW + LIFETIMES.refresh_absolute,
    revoked_at=None,
    revoked_because=None,
)


def request(fields=None, *, client=TV, confirmation=None, configuration=CONFIGURATION):
    sent = {"device_code": "azd_1", **(fields or {})}
    return TokenRequest(
        configuration=configuration,
        client=client,
        params=Params(sent.items()).only(GRANTS[DEVICE_GRANT].parameters),
        lifetimes=LIFETIMES,
        confirmation=confirmation,
        fresh=FreshNames(jti="at_new", family_id="grt_new", salt="salt"),
    )


def poll(device=ALLOWED, *, now=NOW, families=(), roles=DEVELOPER, fields=None, **values):
    """The outcome; a refusal that changes nothing is raised, and read the same here."""
    asked = request(fields, **values)
    facts = Facts(
        devices={device.digest: device},
        families={family.id: family for family in families},
        roles=roles,
    )
    try:
        return GRANTS[DEVICE_GRANT].decide(asked, facts, now)
    except OAuthError as error:
        return Outcome(error)


@pytest.mark.parametrize(
    ("changed", "scopes"),
    [
        ({}, BOTH),
        ({"acr": "2"}, {"logs.read"}),
        ({"auth_time": NOW - timedelta(days=1)}, {"logs.read"}),
    ],
)
def test_how_the_person_signed_in_counts_for_their_device(changed, scopes):
    """S15: what a scope demands of the sign-in is asked of the one that allowed the device."""
    write = Scope("logs.write", requires=Requirement(frozenset({"1"}), 3600))
    minded = replace(RESOURCE, scopes={**RESOURCE.scopes, "logs.write": write})
    minding = replace(CONFIGURATION, policy=policy(resources=[minded]))
    device = replace(ALLOWED, approval=replace(APPROVAL, **changed))
    outcome = poll(device, configuration=minding)
    assert outcome.answer.scopes == scopes
    elsewhere = replace(ALLOWED, approval=replace(APPROVAL, connection_id="con_gone"))
    assert poll(elsewhere).answer.reason == "nothing_granted"


@pytest.mark.parametrize(("ends_at", "scopes"), [(NOW + TICK, BOTH), (NOW, None)])
def test_a_device_of_an_agent_gets_nothing_once_that_has_ended(ends_at, scopes):
    """M6."""
    agent = Agent("agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}), None, ends_at)
    outcome = poll(configuration=replace(CONFIGURATION, agents=Agents({TV.id: agent})))
    if scopes is None:
        assert outcome.answer.reason == "nothing_granted"
    else:
        assert (outcome.answer.scopes, outcome.answer.expires_at) == (scopes, ends_at)


def test_what_a_poll_has_to_name():
    """DEV-03, RFC 8628 §3.4."""
    prepare = GRANTS[DEVICE_GRANT].prepare
    assert prepare(request()) == FactKeys(devices=frozenset({WAITING.digest}))
    with pytest.raises(InvalidRequest, match=r"\[device_code_missing\]"):
        prepare(request({"device_code": ""}))
    for other in (CLIENT, replace(TV, kind="dynamic"), replace(TV, kind="cimd")):
        with pytest.raises(
            UnauthorizedClient, match=r": the client .* \[device_grant_not_allowed\]"
        ):
            prepare(request(client=other))


def test_an_allowed_device_gets_a_family_and_a_token():
    """DEV-01: everything that is stored, recorded and answered."""
    outcome = poll(confirmation={"jkt": "k"})
    [token] = outcome.changes.tokens
    family = replace(FAMILY, confirmation={"jkt": "k"})
    assert outcome.changes == Changes(
        devices=(replace(ALLOWED, status=SPENT, family_id="grt_new"),),
        new_families=(family,),
        tokens=(token,),
    )
    assert (token.family_id, token.subject, token.scopes) == ("grt_new", "usr_1", BOTH)
    record = json.loads(token.decision)
    assert (record["subject"], record["client"]) == ("usr_1", TV.id)
    answer = outcome.answer
    assert (answer.subject, answer.client_id, answer.scopes) == ("usr_1", TV.id, BOTH)
    assert answer.expires_at == NOW + LIFETIMES.access_token
    assert (answer.auth_time, answer.acr, answer.amr) == (APPROVAL.auth_time, "1", ("pwd",))
    assert answer.refresh_token == refresh.spell(CONFIGURATION.refresh_key, family)
    assert answer.id_token is None
    assert outcome.events == (
        TokenIssued(
            subject="usr_1",
            client=TV.id,
            grant_type=DEVICE_GRANT,
            jti="at_new",
            grant_id="grt_new",
            resource=RESOURCE.identifier,
            scopes=["logs.read", "logs.write"],
            removed={"admin": "role_missing"},
            policy_version=7,
            refresh_token=True,
            retry=False,
            bound="dpop",
        ),
    )


DESTROYING = replace(
    CONFIGURATION,
    policy=policy(
        resources=[
            replace(
                RESOURCE,
                scopes={
                    **RESOURCE.scopes,
                    "logs.write": Scope("logs.write", risk="destructive"),
                },
            )
        ]
    ),
)


@pytest.mark.parametrize(
    ("good", "scopes", "removed"),
    [
        ({"now": ALLOWED.expires_at - TICK}, BOTH, "role_missing"),
        ({"fields": {"resource": "https://MCP.example:443/mcp"}}, BOTH, "role_missing"),
        ({"device": replace(ALLOWED, requested=None)}, {"logs.read"}, None),
        ({"configuration": DESTROYING}, {"logs.read"}, "device_ceiling"),
        (
            {"client": replace(TV, scope_ceiling=frozenset({"logs.read"}))},
            {"logs.read"},
            "client_ceiling",
        ),
        (
            {
                "device": replace(
                    ALLOWED, approval=replace(APPROVAL, scopes=frozenset({"logs.read"}))
                )
            },
            {"logs.read"},
            "consent_withheld",
        ),
    ],
)
def test_a_device_gets_no_more_than_everyone_allows(good, scopes, removed):
    """DEV-03, L9: the last of what was removed says by whom."""
    outcome = poll(**good)
    assert outcome.answer.scopes == scopes
    [event] = outcome.events
    assert (event.removed.get("logs.write") or event.removed.get("admin")) == removed


@pytest.mark.parametrize(
    ("expected", "code", "broken"),
    [
        ("device_code_expired", "expired_token", {"now": ALLOWED.expires_at}),
        ("device_denied", "access_denied", {"device": replace(WAITING, status=DENIED)}),
        ("access_ended", "invalid_grant", {"device": replace(WAITING, status=ENDED)}),
        ("resource_gone", "invalid_target", {"device": replace(ALLOWED, resource_id="res_2")}),
        ("resource_malformed", "invalid_target", {"fields": {"resource": "x"}}),
        (
            "resource_not_authorized",
            "invalid_target",
            {"fields": {"resource": "https://mcp.example/other"}},
        ),
        (
            "subject_disabled",
            "invalid_grant",
            {"device": replace(ALLOWED, subject_enabled=False)},
        ),
        ("consent_revoked", "invalid_grant", {"device": replace(ALLOWED, consent_stands=False)}),
    ],
)
def test_a_device_that_may_not_redeem(expected, code, broken):
    """RFC 8628 §3.5: the reason, nothing issued or spent, and who is known is recorded."""
    outcome = poll(**broken)
    assert (outcome.answer.reason, outcome.answer.code) == (expected, code)
    assert outcome.answer.description.isascii()
    assert outcome.changes == Changes()
    if code == "invalid_grant":
        assert outcome.answer.description == REFUSED
    known = broken.get("device", ALLOWED).approval is not None
    assert outcome.events == (
        TokenRefused(
            subject="usr_1" if known else None,
            client=TV.id,
            grant_type=DEVICE_GRANT,
            error=code,
            reason=expected,
            grant_id=None,
        ),
    )


@pytest.mark.parametrize(
    ("expected", "device"),
    [
        ("device_code_unknown", replace(ALLOWED, digest="0" * 64)),
        ("device_code_unknown", replace(ALLOWED, tenant_id="ten_2")),
        ("device_code_of_other_client", replace(ALLOWED, client_id="cli_2")),
        ("device_code_of_other_client", replace(ALLOWED, client_id="cli_2", status=SPENT)),
    ],
)
def test_a_code_that_is_not_this_clients_tells_nothing(expected, device):
    """One public sentence, no event in a stranger's name, and no family ends."""
    outcome = poll(replace(device, family_id="grt_new"), families=[FAMILY])
    assert outcome == Outcome(outcome.answer)
    assert (outcome.answer.reason, outcome.answer.code) == (expected, "invalid_grant")
    assert outcome.answer.description == REFUSED


@pytest.mark.parametrize(
    "broken",
    [
        {"roles": {}},
        {"client": replace(TV, scope_ceiling=frozenset({"admin"}))},
        {"device": replace(ALLOWED, approval=replace(APPROVAL, scopes=frozenset()))},
    ],
)
def test_an_answer_that_leaves_nothing_is_used_up(broken):
    """The device is told once, and its code is spent all the same."""
    outcome = poll(**broken)
    assert (outcome.answer.reason, outcome.answer.code) == ("nothing_granted", "access_denied")
    assert outcome.answer.description.isascii()
    device = broken.get("device", ALLOWED)
    assert outcome.changes == Changes(devices=(replace(device, status=SPENT),))
    [event] = outcome.events
    assert (event.subject, event.client, event.reason) == ("usr_1", TV.id, "nothing_granted")


def test_a_replay_ends_what_the_code_made():
    """O21-08: once, and only the family this code made."""
    spent = replace(ALLOWED, status=SPENT, family_id="grt_new")
    outcome = poll(spent, families=[FAMILY, replace(FAMILY, id="grt_2")])
    assert (outcome.answer.reason, outcome.answer.code) == ("device_code_spent", "invalid_grant")
    assert outcome.answer.description == REFUSED
    ended = replace(FAMILY, revoked_at=NOW, revoked_because="device_code_replayed")
    assert outcome.changes == Changes(families=(ended,))
    refused = TokenRefused(
        subject="usr_1",
        client=TV.id,
        grant_type=DEVICE_GRANT,
        error="invalid_grant",
        reason="device_code_spent",
        grant_id="grt_new",
    )
    assert outcome.events == (
        refused,
        FamilyRevoked(
            subject="usr_1", client=TV.id, grant_id="grt_new", reason="device_code_replayed"
        ),
    )
    again = poll(spent, families=[ended])
    assert (again.changes, again.events) == (Changes(), (refused,))
    nothing_made = poll(replace(spent, family_id=None), families=[FAMILY])
    assert (nothing_made.answer.reason, nothing_made.changes) == ("device_code_spent", Changes())
    others = poll(spent, families=[replace(FAMILY, tenant_id="ten_2")])
    assert others.changes == Changes()


@pytest.mark.parametrize(
    ("ago", "interval", "slower"),
    [
        (None, 5, None),
        (timedelta(seconds=4), 5, None),
        (timedelta(seconds=4) - TICK, 5, 10),
        (timedelta(seconds=8, milliseconds=900), 10, 15),
        (timedelta(seconds=9), 10, None),
        (timedelta(0), 5, 10),
    ],
)
def test_whoever_asks_too_soon_waits_longer(ago, interval, slower):
    """RFC 8628 §3.5: five seconds more each time, and one second is left to the network."""
    device = replace(WAITING, poll_interval=interval, polled_at=None if ago is None else NOW - ago)
    outcome = poll(device)
    told = "slow_down" if slower else "authorization_pending"
    why = "polled_too_soon" if slower else "device_pending"
    assert (outcome.answer.code, outcome.answer.reason) == (told, why)
    assert outcome.answer.description.isascii()
    noted = replace(device, polled_at=NOW, poll_interval=slower or interval)
    assert outcome == Outcome(outcome.answer, Changes(devices=(noted,)))


@pytest.mark.parametrize(
    ("client", "offline_access", "given"),
    [
        (TV, False, True),
        (replace(TV, grant_types=frozenset({DEVICE_GRANT})), False, False),
        (replace(TV, grant_types=frozenset({DEVICE_GRANT})), True, True),
    ],
)
def test_which_device_gets_a_refresh_token(client, offline_access, given):
    """MCP-AS-80."""
    outcome = poll(replace(ALLOWED, offline_access=offline_access), client=client)
    assert (outcome.answer.refresh_token is not None) is given
    assert outcome.changes.new_families[0].refreshable is given
