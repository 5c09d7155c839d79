"""Agents, and which client may exchange tokens of one MCP server for tokens of another."""

from authz.admin import agents, delegations
from authz.admin.agents import AgentLine
from authz.admin.delegations import DelegationLine
from authz.web.api.kit import Change, Listing, Route, Thing, listed

AGENT = Thing(
    "/agents/{agent}",
    "agent",
    "One agent, by name or id",
    lambda look: agents.show(look.tx, look.tenant_id, look.path["agent"], look.now),
    AgentLine,
    omit=frozenset({"used_at", "live_grants"}),
)
DELEGATION = Thing(
    "/delegations/{delegation}",
    "delegation",
    "One rule",
    lambda look: delegations.show(look.tx, look.tenant_id, look.path["delegation"]),
    DelegationLine,
)
_OF_AGENT = {"agent": "slug"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/agents",
        "agents",
        "The fleet, by name",
        listed(lambda look: agents.list_(look.tx, look.tenant_id, look.now), "slug"),
        AgentLine,
    ),
    Change("POST", "/agents", "agents.add", "Add an agent", made=lambda it: (it.slug,)),
    AGENT,
    Change(
        "PATCH",
        "/agents/{agent}",
        "agents.change",
        "Change what is given",
        inputs=_OF_AGENT,
        thing=AGENT,
    ),
    Change(
        "POST",
        "/agents/{agent}/kill",
        "agents.kill",
        "Switch it off everywhere, for good",
        inputs=_OF_AGENT,
    ),
    Change("POST", "/agents/{agent}/wake", "agents.wake", "Let it act again", inputs=_OF_AGENT),
    Change(
        "POST",
        "/agents/{agent}/clients",
        "agents.give_client",
        "A client becomes the agent's",
        inputs=_OF_AGENT,
    ),
    Change(
        "DELETE",
        "/agents/{agent}/clients/{client}",
        "agents.take_client",
        "A client is the agent's no longer",
        inputs={**_OF_AGENT, "client": "client_id"},
        thing=AGENT,
    ),
    Listing(
        "/delegations",
        "delegations",
        "Who exchanges whose tokens",
        listed(
            lambda look: delegations.list_(look.tx, look.tenant_id),
            *("client_id", "from_server", "to_server"),
        ),
        DelegationLine,
    ),
    Change(
        "POST",
        "/delegations",
        "delegations.add",
        "Let a client exchange tokens",
        made=lambda it: (it.id,),
    ),
    DELEGATION,
    Change(
        "DELETE",
        "/delegations/{delegation}",
        "delegations.remove",
        "Take a rule away",
        inputs={"delegation": "delegation_id"},
        thing=DELEGATION,
    ),
)
