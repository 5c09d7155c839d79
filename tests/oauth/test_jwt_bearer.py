"""Redeeming an assertion, as the token lane decides it: hand-made facts in, an outcome out (IDJAG-57 to -72)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from authz.audit.events import AssertionReused, TokenIssued, TokenRefused
from authz.directory.assurance import MFA, UNKNOWN_TIME
from authz.errors import InvalidGrant, InvalidRequest, OAuthError
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.facts import Changes, FactKeys, Facts, LinkedIdentity, Replay
from authz.oauth.grants import GRANTS
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.oauth.id_jag import REFUSED, IdJag
from authz.oauth.params import Params
from authz.oauth.trust import Trust, TrustSettings
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.snapshot import Connection, HeldRole, Scope
from authz.settings import Tokens
from tests.support.configured import CLIENT, NOW, RESOURCE, TENANT_ID, configuration, policy

TICK = timedelta(microseconds=1)
GRANT = GRANTS[JWT_BEARER]
AGENT = replace(CLIENT, auth_methods=frozenset({"client_secret_basic"}))
SETTINGS = TrustSettings(jwks_uri="https://idp.example/jwks")
TRUST = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", SETTINGS)
LIMITED = replace(
    RESOURCE,
    scopes={**RESOURCE.scopes, "logs.write": Scope("logs.write", tools=("erase", "rotate"))},
)
OTHER = replace(
    RESOURCE, id="res_2", identifier="https://b.example/", canonical="https://b.example"
)
CLOSED = replace(
    OTHER,
    id="res_3",
    identifier="https://c.example/",
    canonical="https://c.example",
    enabled=False,
)
POLICY = policy(
    resources=(LIMITED, OTHER, CLOSED), connections=(Connection("con_1", "okta", True),)
)
FOUND = IdJag(
    trust=TRUST,
    subject="u1",
    jti="j1",
    issued_at=NOW - timedelta(seconds=10),
    expires_at=NOW + timedelta(seconds=290),
    scopes=None,
    resources=(RESOURCE.canonical,),
    auth_time=NOW - timedelta(minutes=1),
    acr="urn:corp:mfa",
    amr=("pwd", "mfa"),
    jkt=None,
    email=None,
    email_verified=False,
    name=None,
    claims={"groups": ("dev",)},
    authorization_details=None,
)
TOLD = {"trust": "corp", "issuer": "https://idp.example", "jti": "j1"}
IDENTITY = LinkedIdentity("con_1", "u1", TENANT_ID, "usr_1", "active", None)
DEVELOPER = {"usr_1": (HeldRole("rol_dev"),)}
BOTH = frozenset({"logs.read", "logs.write"})
NO_AGENTS = Agents()
FIRST = Replay(FOUND.replay_key, FOUND.remembered_until, None)


def trusting(**changed):
    return replace(FOUND, trust=replace(TRUST, settings=replace(SETTINGS, **changed)))


def request(
    found=FOUND,
    *,
    fields=None,
    client=AGENT,
    confirmation=None,
    lifetime=300,
    policy=POLICY,
    agents=NO_AGENTS,
):
    return TokenRequest(
        configuration=configuration(policy=policy, agents=agents),
        client=client,
        params=Params((fields or {}).items()).only(GRANT.parameters),
        lifetimes=Tokens(access_token=timedelta(seconds=lifetime)),
        confirmation=confirmation,
        assertion=found,
        fresh=FreshNames(jti="at_new", family_id="grt_new", salt="salt"),
    )


def redeem(found=FOUND, *, identity=IDENTITY, roles=DEVELOPER, claimed=(), **values):
    identities = {} if identity is None else {("con_1", "u1"): identity}
    facts = Facts(identities=identities, roles=roles, claimed=set(claimed))
    return GRANT.decide(request(found, **values), facts, NOW)


def asking(scope):
    return {"fields": {"scope": scope}}


def test_an_assertion_becomes_a_token_and_no_refresh_token():
    """IDJAG-59 to -65: everything that is stored, recorded and answered."""
    outcome = redeem(**asking("logs.read logs.write admin"), confirmation={"jkt": "k"})
    [family], [token] = outcome.changes.new_families, outcome.changes.tokens
    end = NOW + timedelta(seconds=300)
    assert (family.id, family.salt, family.refreshable) == ("grt_new", "salt", False)
    assert (family.tenant_id, family.client_id) == (TENANT_ID, AGENT.id)
    assert (family.user_id, family.resource_id) == ("usr_1", RESOURCE.id)
    assert family.scopes == token.scopes == outcome.answer.scopes == BOTH
    assert family.idle_expires_at == family.expires_at == end
    assert (family.auth_time, family.acr, family.amr) == (FOUND.auth_time, FOUND.acr, FOUND.amr)
    assert (family.connection_id, family.session_digest) == ("con_1", None)
    assert family.signed_in_at == FOUND.issued_at
    assert family.created_at == family.rotated_at == NOW
    assert family.confirmation == {"jkt": "k"}
    assert family.authorization_details is None
    record = json.loads(token.decision)
    assert (record["subject"], record["client"]) == ("usr_1", AGENT.id)
    answer = outcome.answer
    assert (answer.subject, answer.audience) == ("usr_1", RESOURCE.identifier)
    assert answer.refresh_token is answer.id_token is None
    assert answer.tells_resource
    assert answer.connection == "okta"
    assert answer.expires_at == token.expires_at == end
    assert outcome.events == (
        TokenIssued(
            subject="usr_1",
            client=AGENT.id,
            grant_type=JWT_BEARER,
            jti="at_new",
            grant_id="grt_new",
            resource=RESOURCE.identifier,
            scopes=["logs.read", "logs.write"],
            removed={"admin": "role_missing"},
            policy_version=7,
            refresh_token=False,
            retry=False,
            bound="dpop",
            assertion=TOLD,
        ),
    )


def test_an_agent_that_has_ended_redeems_nothing():
    """M6."""
    agent = Agent("agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}), None, NOW + TICK)
    outcome = redeem(agents=Agents({AGENT.id: agent}))
    assert outcome.answer.expires_at == NOW + TICK
    ended = replace(agent, expires_at=NOW)
    assert refused(redeem(agents=Agents({AGENT.id: ended}))) == ("access_denied", "nothing_granted")


@pytest.mark.parametrize(("asked", "given"), [(899, 899), (900, 900), (901, 900)])
def test_a_quarter_of_an_hour_at_most(asked, given):
    """IDJAG-65: the identity provider's second thoughts are not heard before the next assertion."""
    answer = redeem(lifetime=asked).answer
    assert answer.expires_at == NOW + timedelta(seconds=given)


@pytest.mark.parametrize(
    ("changed", "auth_time", "acr", "signed_in_at"),
    [
        ({"auth_time": None}, UNKNOWN_TIME, "urn:corp:mfa", FOUND.issued_at),
        ({"acr": None}, FOUND.auth_time, MFA, FOUND.issued_at),
        ({"acr": None, "amr": ("pwd",)}, FOUND.auth_time, None, FOUND.issued_at),
        ({"issued_at": NOW + timedelta(seconds=30)}, FOUND.auth_time, "urn:corp:mfa", NOW),
    ],
)
def test_how_they_signed_in(changed, auth_time, acr, signed_in_at):
    """IDJAG-64, ATK-29: a clock ahead of ours makes nothing outlive a cut."""
    [family] = redeem(replace(FOUND, **changed)).changes.new_families
    assert (family.auth_time, family.acr, family.signed_in_at) == (auth_time, acr, signed_in_at)


def refused(outcome):
    assert isinstance(outcome.answer, OAuthError)
    assert outcome.answer.description.isascii()
    if isinstance(outcome.answer, InvalidGrant):
        assert outcome.answer.description == REFUSED
    assert outcome.changes == Changes()
    assert outcome.events == (
        TokenRefused(
            subject="usr_1",
            client=AGENT.id,
            grant_type=JWT_BEARER,
            error=outcome.answer.code,
            reason=outcome.answer.reason,
            grant_id=None,
            assertion=TOLD,
        ),
    )
    return outcome.answer.code, outcome.answer.reason


@pytest.mark.parametrize(
    "identity", [None, replace(IDENTITY, tenant_id="ten_2")], ids=["no", "other"]
)
def test_nobody_here_is_refused_without_a_name(identity):
    with pytest.raises(InvalidGrant) as refusal:
        redeem(identity=identity)
    assert (refusal.value.reason, refusal.value.description) == ("subject_unlinked", REFUSED)


FRESH = replace(LIMITED, scopes={"logs.read": Scope("logs.read", requires=Requirement(max_age=30))})
STALE = replace(POLICY, by_canonical={RESOURCE.canonical: FRESH}, resources={RESOURCE.id: FRESH})
DETAILS = '[{"type":"mcp_tool","locations":["https://mcp.example/mcp"],"tool":"%s"}]'
ERASE = [{"type": "mcp_tool", "locations": ["https://mcp.example/mcp"], "tool": "erase"}]
REFUSALS = [
    ("invalid_grant", "subject_disabled", {"identity": replace(IDENTITY, user_status="disabled")}),
    ("invalid_grant", "subject_disabled", {"identity": replace(IDENTITY, cut_at=FOUND.issued_at)}),
    ("invalid_grant", "binding_proof_missing", {"found": replace(FOUND, jkt="k")}),
    (
        "invalid_grant",
        "binding_proof_missing",
        {"found": replace(FOUND, jkt="k"), "confirmation": {"x5t#S256": "k"}},
    ),
    (
        "invalid_grant",
        "binding_other_key",
        {"found": replace(FOUND, jkt="k"), "confirmation": {"jkt": "l"}},
    ),
    ("invalid_target", "resource_malformed", {"fields": {"resource": "x"}}),
    ("invalid_target", "resource_malformed", {"found": trusting(resources=("x",))}),
    (
        "invalid_target",
        "resource_unknown",
        {
            "found": replace(FOUND, resources=(RESOURCE.canonical, "https://x.example/")),
            "fields": {"resource": RESOURCE.identifier},
        },
    ),
    (
        "invalid_target",
        "resource_unknown",
        {
            "found": replace(FOUND, resources=(RESOURCE.canonical, CLOSED.canonical)),
            "fields": {"resource": RESOURCE.identifier},
        },
    ),
    (
        "invalid_target",
        "resource_unknown",
        {"found": replace(trusting(resources=("https://x.example",)), resources=())},
    ),
    (
        "invalid_target",
        "resource_unknown",
        {"found": replace(trusting(resources=(CLOSED.identifier,)), resources=())},
    ),
    ("invalid_target", "id_jag_resource_missing", {"found": replace(FOUND, resources=())}),
    (
        "invalid_target",
        "id_jag_resource_of_other",
        {"found": trusting(resources=(OTHER.identifier,))},
    ),
    ("invalid_target", "id_jag_resource_not_granted", {"fields": {"resource": OTHER.identifier}}),
    ("invalid_scope", "scope_malformed", asking('a"')),
    (
        "invalid_grant",
        "id_jag_scope_not_subset",
        {"found": replace(trusting(strict_subset=True), scopes=BOTH), **asking("logs.read")},
    ),
    ("invalid_scope", "scope_not_asserted", asking("unheard.of")),
    ("invalid_scope", "scope_not_asserted", {"found": replace(FOUND, scopes=frozenset())}),
    (
        "invalid_scope",
        "scope_not_asserted",
        {"found": replace(FOUND, scopes=frozenset({"logs.read"})), **asking("logs.write x")},
    ),
    ("access_denied", "nothing_granted", asking("admin")),
    ("access_denied", "nothing_granted", {"roles": {}}),
    (
        "access_denied",
        "nothing_granted",
        {"found": trusting(scope_ceiling=("logs.read",)), **asking("logs.write")},
    ),
    (
        "access_denied",
        "nothing_granted",
        {"client": replace(AGENT, scope_ceiling=frozenset({"logs.read"})), **asking("logs.write")},
    ),
    (
        "insufficient_user_authentication",
        "sign_in_insufficient",
        {"policy": STALE, **asking("logs.read unheard.of")},
    ),
    ("access_denied", "nothing_granted", {"policy": STALE, "roles": {}, **asking("logs.read")}),
    (
        "invalid_authorization_details",
        "details_tool",
        {"fields": {"authorization_details": DETAILS % "unheard"}},
    ),
    (
        "invalid_authorization_details",
        "details_tool",
        {"found": replace(FOUND, authorization_details=[{**ERASE[0], "tool": "unheard"}])},
    ),
    (
        "invalid_authorization_details",
        "details_widened",
        {
            "found": replace(FOUND, authorization_details=ERASE),
            "fields": {"authorization_details": DETAILS % "rotate"},
        },
    ),
]


@pytest.mark.parametrize(("code", "reason", "broken"), REFUSALS)
def test_an_assertion_that_leads_to_nothing(code, reason, broken):
    """IDJAG-57 to -72, -82: recorded with the person, and nothing stored."""
    assert refused(redeem(**broken)) == (code, reason)


@pytest.mark.parametrize(
    ("good", "scopes"),
    [
        ({}, {"logs.read"}),
        ({"found": replace(FOUND, scopes=BOTH)}, BOTH),
        ({"found": replace(FOUND, scopes=BOTH), **asking("logs.read")}, {"logs.read"}),
        (
            {
                "found": replace(FOUND, scopes=frozenset({"logs.read"})),
                **asking("logs.read logs.write"),
            },
            {"logs.read"},
        ),
        (
            {
                "found": replace(trusting(strict_subset=True), scopes=frozenset({"logs.read"})),
                **asking("logs.read logs.write"),
            },
            {"logs.read"},
        ),
        ({"found": trusting(strict_subset=True), **asking("logs.write")}, {"logs.write"}),
        (
            {"found": trusting(scope_ceiling=("logs.read",)), **asking("logs.read logs.write")},
            {"logs.read"},
        ),
        (
            {
                "client": replace(AGENT, scope_ceiling=frozenset({"logs.write"})),
                **asking("logs.read logs.write"),
            },
            {"logs.write"},
        ),
        ({"found": replace(FOUND, jkt="k"), "confirmation": {"jkt": "k"}}, {"logs.read"}),
        ({"identity": replace(IDENTITY, cut_at=FOUND.issued_at - TICK)}, {"logs.read"}),
        (
            {"found": replace(trusting(resources=(RESOURCE.identifier,)), resources=())},
            {"logs.read"},
        ),
        ({"fields": {"resource": "https://MCP.example:443/mcp"}}, {"logs.read"}),
        ({"fields": {"authorization_details": DETAILS % "erase"}}, {"logs.write"}),
        ({"found": replace(FOUND, authorization_details=ERASE)}, {"logs.write"}),
    ],
)
def test_an_assertion_that_is_just_good_enough(good, scopes):
    assert redeem(**good).answer.scopes == scopes


@pytest.mark.parametrize(
    ("held", "sent", "scope", "stored"),
    [
        (None, DETAILS % "erase", "logs.write", ERASE),
        (ERASE, None, "logs.write logs.read", ERASE),
        (ERASE, DETAILS % "erase", "logs.write", ERASE),
        (ERASE, DETAILS % "erase", None, ERASE),
        (ERASE, None, "logs.read", None),
    ],
)
def test_the_limits_that_reach_the_token(held, sent, scope, stored):
    """RAR-01, IDJAG-17: of the assertion, or narrower ones of the request; they fall with their scope."""
    fields = {"authorization_details": sent, "scope": scope}
    found = replace(FOUND, authorization_details=held)
    outcome = redeem(found, fields={name: value for name, value in fields.items() if value})
    assert outcome.answer.authorization_details == stored
    assert outcome.changes.new_families[0].authorization_details == stored


def test_several_servers_and_one_is_asked_for():
    found = replace(FOUND, resources=(RESOURCE.canonical, OTHER.canonical))
    outcome = redeem(found, fields={"resource": "https://b.example"})
    assert outcome.answer.audience == OTHER.identifier
    assert refused(redeem(found)) == ("invalid_target", "id_jag_resource_ambiguous")


def test_groups_of_the_assertion_count_through_mappings_alone():
    """ATK-28."""
    grouped = replace(
        POLICY,
        group_roles={"g1": (HeldRole("rol_dev"),)},
        groups={"g1": "ops"},
        mappings={"con_1": (("groups", "dev", "g1"),), "con_2": (("groups", "qa", "g1"),)},
    )
    outcome = redeem(roles={}, policy=grouped)
    assert outcome.answer.scopes == {"logs.read"}
    for claims in ({}, {"roles": ("dev",)}):
        nobody = replace(FOUND, claims=claims)
        assert isinstance(redeem(nobody, roles={}, policy=grouped).answer, OAuthError)
    stranger = replace(FOUND, claims={"groups": ("qa",)})
    assert refused(redeem(stranger, roles={}, policy=grouped)) == (
        "access_denied",
        "nothing_granted",
    )


MINDED = replace(
    LIMITED,
    scopes={
        "logs.read": Scope(
            "logs.read",
            is_default=True,
            requires=Requirement(frozenset({"urn:corp:mfa"}), 3600, frozenset({"okta"})),
        )
    },
)
MINDING = replace(POLICY, by_canonical={RESOURCE.canonical: MINDED}, resources={"res_1": MINDED})


@pytest.mark.parametrize(
    ("changed", "is_met"),
    [
        ({}, True),
        ({"acr": "urn:other"}, False),
        ({"acr": None}, False),
        ({"auth_time": None}, False),
        ({"auth_time": NOW - timedelta(hours=1, seconds=1)}, False),
    ],
)
def test_what_the_identity_provider_says_of_the_sign_in_counts(changed, is_met):
    """S15, IDJAG-64."""
    outcome = redeem(replace(FOUND, **changed), policy=MINDING)
    if is_met:
        assert outcome.answer.scopes == {"logs.read"}
    else:
        assert refused(outcome)[1] == "sign_in_insufficient"


def test_a_client_that_refreshes_elsewhere_gets_no_refresh_token_here():
    """IDJAG-65."""
    client = replace(AGENT, grant_types=frozenset({JWT_BEARER, "refresh_token"}))
    outcome = redeem(client=client)
    assert outcome.answer.refresh_token is None
    assert outcome.changes.new_families[0].refreshable is False


def test_exactly_what_the_assertion_holds_may_be_asked_for():
    """C-8."""
    found = replace(trusting(strict_subset=True), scopes=BOTH)
    assert redeem(found, **asking("logs.read logs.write")).answer.scopes == BOTH


def test_limits_hold_for_the_scopes_that_are_asked_for():
    """RAR-03: the request may drop a limit with its scope, and with nothing else."""
    held = replace(FOUND, authorization_details=[*ERASE, {**ERASE[0], "tool": "rotate"}])
    sent = {"authorization_details": DETAILS % "erase"}
    assert refused(redeem(held, fields=sent))[1] == "details_dropped"
    assert refused(redeem(held, fields={**sent, "scope": "logs.write"}))[1] == "details_dropped"
    reading = redeem(held, fields={**sent, "scope": "logs.read"})
    assert (reading.answer.scopes, reading.answer.authorization_details) == ({"logs.read"}, None)


# -- once, or until it expires ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reuse", "client", "is_single"),
    [
        ("deny", AGENT, True),
        ("until_exp", AGENT, False),
        ("until_exp", replace(CLIENT, kind="cimd"), True),
    ],
    ids=["deny", "until exp", "proves nothing"],
)
def test_what_the_lane_has_to_know(reuse, client, is_single):
    """CONF-01, CONF-06, IDJAG-66."""
    found = trusting(assertion_reuse=reuse)
    keys = GRANT.prepare(request(found, client=client))
    [replay] = keys.replays
    assert keys == FactKeys(identities=frozenset({("con_1", "u1")}), replays=(replay,))
    assert (replay.key, replay.expires_at) == (FOUND.replay_key, FOUND.remembered_until)
    # What is refused for another reason, such as an account that is not there yet, may be presented again.
    assert not replay.spent_by_refusal
    assert (replay.refusal is not None) is is_single
    if replay.refusal is not None:
        assert isinstance(replay.refusal, InvalidGrant)
        assert replay.refusal.reason == "id_jag_replayed"
        assert replay.refusal.description == REFUSED


def test_without_an_assertion_there_is_nothing_to_prepare():
    with pytest.raises(InvalidRequest) as refusal:
        GRANT.prepare(request(None))
    assert refusal.value.reason == "assertion_missing"
    assert refusal.value.description.isascii()


def test_presenting_it_again_is_an_event_where_it_is_allowed():
    """CONF-01."""
    found = trusting(assertion_reuse="until_exp")
    first = redeem(found, claimed={FOUND.replay_key})
    assert [type(event) for event in first.events] == [TokenIssued]
    again = redeem(found)
    assert again.answer == first.answer
    assert again.events == (
        *first.events,
        AssertionReused(subject="usr_1", client=AGENT.id, trust="corp"),
    )
    # Under single use the lane has refused before; nothing is counted here.
    assert redeem().events == redeem(claimed={FOUND.replay_key}).events


def test_a_claim_is_handed_out_once():
    facts = Facts(claimed={FIRST.key, "other"})
    assert facts.claim(FIRST)
    assert not facts.claim(FIRST)
    assert facts.claimed == {"other"}


def test_the_grant_reads_no_other_parameters():
    assert GRANT.parameters == {"assertion", "scope", "resource", "authorization_details"}
    assert GRANT.allowed_with == {JWT_BEARER}
    assert JWT_BEARER == "urn:ietf:params:oauth:grant-type:jwt-bearer"
