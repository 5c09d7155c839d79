"""What is simulated is what is minted: ten thousand random cases through the grants themselves (item 4, L4, S4)."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from authz import entropy
from authz.admin.prediction import Case, SignIn, Way, predict
from authz.errors import OAuthError
from authz.oauth import issuing
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.delegations import Delegations
from authz.oauth.devices import DEVICE_GRANT
from authz.oauth.facts import Approval, Code, Device, Facts
from authz.oauth.grants import GRANTS
from authz.oauth.params import Params
from authz.oauth.subjects import client_subject, in_order
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.snapshot import ANY_RESOURCE, Connection, HeldRole, Resource, Scope, build
from authz.settings import Tokens
from tests.support.arrange import REDIRECT, VERIFIER, challenge
from tests.support.configured import CLIENT, NOW, TENANT_ID, configuration

POLICIES, CASES_OF_EACH = 250, 40
SCOPES = [f"s{number}" for number in range(8)]
ROLES = [f"rol_{number}" for number in range(6)]
GROUPS = [f"grp_{number}" for number in range(3)]
RISKS = ("read", "write", "destructive")
SLUGS = {"con_1": "okta", "con_2": "entra", "con_3": "old"}
LIFETIMES = Tokens()
WAYS = {
    Way.BROWSER: "authorization_code",
    Way.DEVICE: DEVICE_GRANT,
    Way.ITSELF: "client_credentials",
}
AGENT_CLIENT = replace(
    CLIENT,
    id="cli_agent",
    grant_types=frozenset({"authorization_code", "client_credentials", DEVICE_GRANT}),
    auth_methods=frozenset({"private_key_jwt"}),
)


def some(random, values, chance=0.5):
    return [it for it in values if random.random() < chance]


def maybe(random, make, chance=0.3):
    return make() if random.random() < chance else None


def requirement(random):
    return maybe(
        random,
        lambda: Requirement(
            acr=maybe(random, lambda: frozenset(some(random, ("pwd", "mfa")) or ["mfa"])),
            max_age=maybe(random, lambda: random.choice((60, 3600))),
            connection=maybe(random, lambda: frozenset(some(random, SLUGS.values()) or ["local"])),
        ),
    )


def end(random):
    return random.choice((None, None, NOW, NOW - timedelta(1), NOW + timedelta(1)))


def tenant(random):
    """Servers, roles that include each other, groups, connections, agents: all at random."""
    servers = [
        Resource(
            id=f"res_{number}",
            identifier=f"https://mcp{number}.example/mcp",
            canonical=f"https://mcp{number}.example/mcp",
            name="",
            enabled=random.random() > 0.05,
            is_user_required=random.random() < 0.2,
            scopes={
                name: Scope(
                    name,
                    risk=random.choice(RISKS),
                    is_default=random.random() < 0.4,
                    tools=(f"tool.{name}",),
                    requires=requirement(random),
                )
                for name in some(random, SCOPES, 0.8) or SCOPES[:1]
            },
        )
        for number in range(2)
    ]
    places = [ANY_RESOURCE, *(it.id for it in servers)]
    policy = build(
        random.randrange(1, 1000),
        resources=servers,
        roles=[(it, it.removeprefix("rol_")) for it in ROLES],
        role_scopes={
            (random.choice(ROLES), random.choice(places), random.choice(SCOPES)) for _ in range(20)
        },
        role_parents={(random.choice(ROLES), random.choice(ROLES)) for _ in range(5)},
        role_requires={it: made for it in ROLES if (made := requirement(random)) is not None},
        group_roles=[
            (group, f"Group {group}", random.choice(ROLES), end(random)) for group in GROUPS
        ],
        client_roles=[(AGENT_CLIENT.id, random.choice(ROLES), end(random)) for _ in range(2)],
        connections=[Connection(id_, slug, id_ != "con_3") for id_, slug in SLUGS.items()],
    )
    agent = Agent(
        id="agt_1",
        slug="robot",
        owner_id="usr_2",
        enabled=random.random() > 0.1,
        resources=frozenset(some(random, [it.id for it in servers], 0.8)),
        scope_ceiling=maybe(random, lambda: frozenset(some(random, SCOPES, 0.7))),
        expires_at=end(random),
    )
    agents = Agents({AGENT_CLIENT.id: agent} if random.random() < 0.6 else {})
    return replace(configuration(), policy=policy, agents=agents, delegations=Delegations())


def case(random, made):
    """Somebody, through a client, at a server, signed in one way or another."""
    client = replace(
        random.choice((CLIENT, AGENT_CLIENT)),
        scope_ceiling=maybe(random, lambda: frozenset(some(random, SCOPES, 0.7))),
    )
    way = random.choice((Way.BROWSER, Way.BROWSER, Way.DEVICE, Way.ITSELF))
    if way is not Way.BROWSER:
        client = replace(AGENT_CLIENT, scope_ceiling=client.scope_ceiling)
    resource = random.choice(list(made.policy.by_canonical.values()))
    requested = random.choice((None, frozenset(some(random, SCOPES)), frozenset(SCOPES)))
    if way is Way.ITSELF:
        return Case(client_subject(made.policy, client.id), client, resource, requested, way)
    sign_in = SignIn(
        NOW - random.choice((timedelta(), timedelta(seconds=61), timedelta(days=1))),
        random.choice((None, "pwd", "mfa")),
        ("pwd",),
        random.choice((None, *SLUGS)),
    )
    facts = Facts(
        roles={
            "usr_1": in_order(HeldRole(it, end(random)) for it in some(random, ROLES, 0.4)),
        },
        groups={"usr_1": frozenset(some(random, GROUPS, 0.4))},
    )
    subject = facts.subject("usr_1", enabled=True, authentication=sign_in.authentication)
    return Case(subject, client, resource, requested, way, sign_in)


def minted(made, asked, allowed):
    """The outcome of the grant, as in the batch; `allowed` is what the person consented to."""
    grant = GRANTS[WAYS[asked.way]]
    fields = {"code": "azc_1", "code_verifier": VERIFIER, "redirect_uri": REDIRECT}
    facts = Facts(roles={"usr_1": asked.subject.roles}, groups={"usr_1": asked.subject.groups})
    requested = None if asked.requested is None else asked.requested or None
    if asked.way is Way.ITSELF:
        fields = {"resource": asked.resource.identifier}
        if requested is not None:
            fields["scope"] = " ".join(sorted(requested))
    else:
        signed = {
            "user_id": "usr_1",
            "scopes": allowed,
            "auth_time": asked.sign_in.auth_time,
            "acr": asked.sign_in.acr,
            "amr": asked.sign_in.amr,
            "connection_id": asked.sign_in.connection_id,
            "session_digest": None,
            "signed_in_at": asked.sign_in.auth_time,
            "upstream_expires_at": None,
        }
        common = {
            "tenant_id": TENANT_ID,
            "client_id": asked.client.id,
            "resource_id": asked.resource.id,
            "requested": requested,
            "offline_access": False,
            "created_at": NOW,
            "expires_at": NOW + timedelta(seconds=60),
        }
    if asked.way is Way.BROWSER:
        digest = entropy.digest("azc_1")
        facts.codes[digest] = Code(
            digest=digest,
            redirect_uri=REDIRECT,
            code_challenge=challenge(),
            openid=None,
            nonce=None,
            authorization_details=None,
            dpop_jkt=None,
            **common,
            **signed,
        )
    if asked.way is Way.DEVICE:
        fields = {"device_code": "dvc_1"}
        digest = entropy.digest("dvc_1")
        facts.devices[digest] = Device(
            digest=digest,
            user_code="",
            status="approved",
            poll_interval=5,
            polled_at=None,
            asked_from="",
            approval=Approval(**signed),
            subject_enabled=True,
            consent_stands=True,
            **common,
        )
    request = TokenRequest(
        configuration=made,
        client=asked.client,
        params=Params(fields.items()).only(grant.parameters),
        lifetimes=LIFETIMES,
        fresh=FreshNames.drawn(),
    )
    try:
        grant.prepare(request)
        return grant.decide(request, facts, NOW)
    except OAuthError as error:
        return error


def test_ten_thousand_predictions_are_what_the_grants_mint():
    """The scopes, the stored record to the letter, and every claim that is known beforehand."""
    random = Random(20261126)
    tokens = refusals = lacking = through_agents = 0
    for _ in range(POLICIES):
        made = tenant(random)
        for _ in range(CASES_OF_EACH):
            asked = case(random, made)
            foreseen = predict(made, asked, NOW)
            outcome = minted(made, asked, foreseen.decision.granted)
            tokens_made = () if isinstance(outcome, OAuthError) else outcome.changes.tokens
            assert foreseen.is_token == bool(tokens_made), (asked, foreseen.obstacles, outcome)
            if not tokens_made:
                refusals += 1
                assert not foreseen.claims
                continue
            [token] = tokens_made
            record = foreseen.decision.as_json()
            assert json.loads(token.decision) == record
            assert token.scopes == frozenset(it.scope for it in foreseen.granted)
            claims = issuing.claims(outcome.answer, made)
            assert {n: v for n, v in claims.items() if n in foreseen.claims} == foreseen.claims
            assert claims.keys() - foreseen.claims.keys() == {"iat", "exp", "jti", "grant_id"}
            assert {it.scope: it.reason for it in foreseen.refused} == record["removed"]
            assert set(foreseen.tools) == {f"tool.{scope}" for scope in token.scopes}
            tokens += 1
            lacking += "required" in record
            through_agents += "act" in claims
    assert tokens + refusals == 10_000
    # The cases are worth something: none of the kinds is rare.
    assert min(tokens, refusals, lacking, through_agents) > 500


def test_a_refusal_for_want_of_a_role_names_those_that_hold_it():
    made = tenant(Random(1))
    [server, *_] = made.policy.by_canonical.values()
    nobody = Facts().subject("usr_9", enabled=True, authentication=SignIn(NOW).authentication)
    asked = Case(nobody, CLIENT, server, frozenset(server.scopes), Way.BROWSER, SignIn(NOW))
    foreseen = predict(made, asked, NOW)
    assert not foreseen.granted
    for refused in foreseen.refused:
        holding = {
            role.name
            for role in made.policy.roles.values()
            for place in role.grants
            if place in {(server.id, refused.scope), ("*", refused.scope)}
        }
        assert refused.reason == "role_missing"
        assert set(refused.roles) == holding


@pytest.mark.parametrize(
    ("changes", "way", "reason"),
    [
        ({"enabled": False}, Way.BROWSER, "client_blocked"),
        ({"grant_types": frozenset()}, Way.BROWSER, "grant_not_allowed"),
        ({"grant_types": frozenset()}, Way.ITSELF, "grant_not_allowed"),
        ({"auth_methods": frozenset({"none"})}, Way.ITSELF, "client_is_public"),
        ({"grant_types": frozenset()}, Way.DEVICE, "device_grant_not_allowed"),
        ({"kind": "dynamic"}, Way.DEVICE, "device_grant_not_allowed"),
    ],
)
def test_what_stops_a_client_before_policy_is_asked(changes, way, reason):
    made = tenant(Random(2))
    [server, *_] = made.policy.by_canonical.values()
    subject = Facts().subject("usr_9", enabled=True, authentication=None)
    asked = Case(subject, replace(AGENT_CLIENT, **changes), server, None, way, SignIn(NOW))
    assert reason in [it.reason for it in predict(made, asked, NOW).obstacles]
