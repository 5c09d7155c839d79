"""How many live grants an agent may have, through all its clients (M13). Pure; asked only where the settings say so."""

from dataclasses import replace
from datetime import datetime

from authz.audit.events import TokenIssued
from authz.errors import AccessDenied
from authz.oauth.authorization import Grant, Outcome, TokenRequest
from authz.oauth.devices import DEVICE_GRANT
from authz.oauth.facts import Changes, Facts
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.oauth.grants.shared import refused

_BEGIN_GRANTS = frozenset({"authorization_code", DEVICE_GRANT, JWT_BEARER})


def clients_of(grant: Grant, request: TokenRequest) -> frozenset[str]:
    """All clients of the agent that asks; none where no grant begins, or no agent asks."""
    agents = request.configuration.agents
    agent = agents.of_client(request.client.id)
    if agent is None or grant.grant_type not in _BEGIN_GRANTS or request.workload is not None:
        return frozenset()
    return agents.clients_of(agent.id)


def decide(
    grant: Grant,
    most: int,
    clients: frozenset[str],
    request: TokenRequest,
    facts: Facts,
    now: datetime,
) -> Outcome:
    """The grant's own decision, unless it would begin one more than the agent may have."""
    unclaimed = set(facts.claimed)
    outcome = grant.decide(request, facts, now)
    if not outcome.changes.new_families:
        return outcome
    tenant_id = request.configuration.tenant.id
    if sum(facts.grants[tenant_id, it] for it in clients) < most:
        return outcome
    facts.claimed = unclaimed
    (family,) = outcome.changes.new_families
    issued = next(it for it in outcome.events if isinstance(it, TokenIssued))
    # Spent all the same: the answer to this code has been given.
    spent = Changes(
        codes=tuple(replace(it, family_id=None) for it in outcome.changes.codes),
        devices=tuple(replace(it, family_id=None) for it in outcome.changes.devices),
    )
    error = AccessDenied("the agent has as many grants as it may have", reason="agent_grants_full")
    refusal = refused(
        error,
        grant_type=grant.grant_type,
        client=request.client.id,
        subject=family.user_id,
        grant=None,
        assertion=issued.assertion,
    )
    return replace(refusal, changes=spent)
