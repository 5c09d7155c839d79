"""How many live grants an agent may have (pure), also within one batch (M13)."""

from dataclasses import replace

from authz import entropy
from authz.audit.events import TokenIssued, TokenRefused
from authz.oauth import quotas
from authz.oauth.authorization import FreshNames
from authz.oauth.facts import Changes, Facts
from authz.oauth.grants import GRANTS
from authz.policy.agents import Agent, Agents
from tests.oauth.test_grants import CODE, CONFIGURATION, DEVELOPER, TENANT_ID, VERIFIER, request
from tests.support.configured import CLIENT, NOW, RESOURCE

AGENT = Agent("agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}))
AGENTS = Agents({CLIENT.id: AGENT, "cli_2": AGENT, "cli_3": replace(AGENT, id="agt_2")})
BOUNDED = replace(CONFIGURATION, agents=AGENTS)
GRANT = GRANTS["authorization_code"]


def code(number):
    return replace(CODE, digest=entropy.digest(f"azc_{number}"))


def redeem(facts, number, most):
    sent = {"code": f"azc_{number}", "code_verifier": VERIFIER}
    asked = request("authorization_code", sent, configuration=BOUNDED)
    asked = replace(asked, fresh=FreshNames(f"at_{number}", f"grt_{number}", "salt"))
    clients = quotas.clients_of(GRANT, asked)
    assert clients == {CLIENT.id, "cli_2"}
    outcome = quotas.decide(GRANT, most, clients, asked, facts, NOW)
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
