"""How many live grants an agent may have (pure), also within one batch (M13)."""

from dataclasses import replace

import pytest

from authz import entropy
from authz.audit.events import TokenIssued, TokenRefused
from authz.oauth import quotas
from authz.oauth.authorization import FreshNames
from authz.oauth.devices import DEVICE_GRANT, SPENT
from authz.oauth.facts import Changes, Facts
from authz.oauth.grants import GRANTS
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.policy.agents import Agent, Agents
from tests.oauth import test_device_code, test_jwt_bearer
from tests.oauth.test_grants import CODE, CONFIGURATION, DEVELOPER, TENANT_ID, VERIFIER, request
from tests.oauth.test_workload import check
from tests.support.configured import CLIENT, NOW, RESOURCE

AGENT = Agent("agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}))
AGENTS = Agents({CLIENT.id: AGENT, "cli_2": AGENT, "cli_3": replace(AGENT, id="agt_2")})
BOUNDED = replace(CONFIGURATION, agents=AGENTS)
GRANT = GRANTS["authorization_code"]
BOTH = frozenset({CLIENT.id, "cli_2"})
BEGIN = ("authorization_code", DEVICE_GRANT, JWT_BEARER)


@pytest.mark.parametrize("grant_type", GRANTS)
def test_where_a_grant_begins_the_clients_of_the_agent_are_counted(grant_type):
    """M13: all of them together, and nobody where no agent asks or nothing begins."""
    asked = request("authorization_code", {}, configuration=BOUNDED)
    grant = GRANTS[grant_type]
    nobody = replace(asked, configuration=CONFIGURATION)
    of_workload = replace(asked, workload=check())
    counted = quotas.clients_of(grant, asked)
    assert counted == (BOTH if grant_type in BEGIN else frozenset())
    assert quotas.clients_of(grant, nobody) == quotas.clients_of(grant, of_workload) == frozenset()


def code(number):
    return replace(CODE, digest=entropy.digest(f"azc_{number}"))


def redeem(facts, number, most):
    sent = {"code": f"azc_{number}", "code_verifier": VERIFIER}
    asked = request("authorization_code", sent, configuration=BOUNDED)
    asked = replace(asked, fresh=FreshNames(f"at_{number}", f"grt_{number}", "salt"))
    outcome = quotas.decide(GRANT, most, BOTH, asked, facts, NOW)
    facts.apply(outcome.changes)
    return outcome


def test_what_begins_in_a_batch_counts_for_the_rest_of_it():
    """Two codes redeemed in one transaction are two grants; all clients of the agent share the number."""
    facts = Facts(codes={it.digest: it for it in map(code, range(3))}, roles=DEVELOPER)
    facts.grants[TENANT_ID, "cli_2"] = 1
    facts.grants[TENANT_ID, "cli_3"] = 9
    facts.grants["ten_2", CLIENT.id] = 9
    for number in range(2):
        outcome = redeem(facts, number, most=3)
        assert isinstance(outcome.events[0], TokenIssued)
        assert facts.grants[TENANT_ID, CLIENT.id] == number + 1
        assert facts.families.keys() == {f"grt_{it}" for it in range(number + 1)}
    full = redeem(facts, 2, most=3)
    assert full.answer.reason == "agent_grants_full"
    # Spent all the same, and nothing came of it.
    spent = replace(code(2), spent_at=NOW)
    assert full.changes == Changes(codes=(spent,))
    assert facts.codes[spent.digest] == spent
    assert facts.grants[TENANT_ID, CLIENT.id] == 2
    [event] = full.events
    assert isinstance(event, TokenRefused)
    assert (event.subject, event.client, event.grant_id) == ("usr_1", CLIENT.id, None)
    assert (event.grant_type, event.assertion) == ("authorization_code", None)


def test_where_nothing_begins_the_grant_has_its_say():
    """What is refused for another reason is told as that, also to an agent that has its fill."""
    spent = replace(code(0), spent_at=NOW)
    outcome = redeem(Facts(codes={spent.digest: spent}, roles=DEVELOPER), 0, most=0)
    assert outcome.answer.reason == "code_spent"


def test_a_device_code_is_spent_by_the_refusal():
    device = test_device_code.ALLOWED
    asked = test_device_code.request(configuration=BOUNDED)
    facts = Facts(devices={device.digest: device}, roles=DEVELOPER)
    outcome = quotas.decide(GRANTS[DEVICE_GRANT], 0, BOTH, asked, facts, NOW)
    assert outcome.answer.reason == "agent_grants_full"
    assert outcome.changes == Changes(devices=(replace(device, status=SPENT, family_id=None),))


def test_an_assertion_is_not_spent_by_the_refusal():
    """IDJAG-66: it may be presented again once there is room, and the trail names it."""
    asked = test_jwt_bearer.request(test_jwt_bearer.trusting(assertion_reuse="until_exp"))
    key = test_jwt_bearer.FOUND.replay_key
    facts = Facts(
        identities={("con_1", "u1"): test_jwt_bearer.IDENTITY}, roles=DEVELOPER, claimed={key}
    )
    outcome = quotas.decide(GRANTS[JWT_BEARER], 0, BOTH, asked, facts, NOW)
    assert outcome.answer.reason == "agent_grants_full"
    assert outcome.changes == Changes()
    assert facts.claimed == {key}
    [event] = outcome.events
    assert (event.grant_type, event.assertion) == (JWT_BEARER, test_jwt_bearer.TOLD)
    assert quotas.decide(GRANTS[JWT_BEARER], 1, BOTH, asked, facts, NOW).answer.scopes
    assert not facts.claimed
