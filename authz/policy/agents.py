"""Agents as policy sees them: whose they are, how far they may go and until when (M6). Pure.

An agent works through clients of its own. What such a client gets, for itself or for a person, is never more than the
agent's record allows; the record gives nothing by itself, so what an agent gets for a person is never more than the
person has (S4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from authz.policy.reasons import Reason
from authz.policy.snapshot import Resource


@dataclass(frozen=True)
class Agent:
    """One agent's record."""

    id: str
    """The `sub` of the actor in tokens (`agt_…`): no user and no client is called like this."""
    slug: str
    owner_id: str
    """The person who answers for it."""
    enabled: bool
    resources: frozenset[str]
    """Ids of the MCP servers it may use; none if empty."""
    scope_ceiling: frozenset[str] | None = None
    expires_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it may act."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)

    def bound_at(self, resource: Resource, now: datetime) -> tuple[Reason, frozenset[str] | None]:
        """The most it gets there, and how that is told."""
        if not self.is_live(now):
            return Reason.AGENT_ENDED, frozenset()
        if resource.is_builtin:
            return Reason.AGENT_CEILING, None
        if resource.id not in self.resources:
            return Reason.AGENT_CEILING, frozenset()
        return Reason.AGENT_CEILING, self.scope_ceiling


@dataclass(frozen=True)
class Agents:
    """All agents of a tenant."""

    by_client: Mapping[str, Agent] = field(default_factory=dict)

    def of_client(self, client_id: str) -> Agent | None:
        """Whose client this is; None for clients that no agent has."""
        return self.by_client.get(client_id)

    def clients_of(self, agent_id: str) -> frozenset[str]:
        """All clients of an agent."""
        return frozenset(it for it, agent in self.by_client.items() if agent.id == agent_id)
