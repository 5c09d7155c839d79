"""A tenant's configuration as one frozen value.

Everything a decision needs besides facts: the tenant, its policy, its keys, its trust rules and its secrets. How it is
read and remembered is `oauth.configurations`.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime

from authz.clients.client import Client
from authz.clients.trust import TrustPolicy
from authz.keys import KeyRing
from authz.oauth.delegations import Delegations
from authz.oauth.targets import Targets
from authz.oauth.trust import Trusts
from authz.oauth.upstream_credentials import UpstreamCredentials
from authz.oauth.workload_trust import Workloads
from authz.policy import Ceiling, client_ceiling
from authz.policy.agents import Agents
from authz.policy.snapshot import Policy, Resource
from authz.tenants import Tenant


@dataclass(frozen=True)
class TenantConfiguration:
    """One tenant at one version."""

    tenant: Tenant
    policy: Policy
    keys: KeyRing
    trust: TrustPolicy
    trusts: Trusts
    """The issuers whose assertions about people are redeemed."""
    workloads: Workloads
    """The issuers of workloads, and who of them may act."""
    agents: Agents
    delegations: Delegations
    """Who may exchange whose tokens."""
    targets: Targets
    """The authorization servers that ID-JAGs are issued for."""
    credentials: UpstreamCredentials
    """What MCP servers get of the systems behind them."""
    refresh_key: bytes
    """Keys the MAC of refresh tokens."""
    audit_key: bytes
    """Keys the MAC of audit heads."""
    dpop_key: bytes
    """Keys the MAC of DPoP nonces."""

    def ceilings(self, client: Client, resource: Resource, now: datetime) -> tuple[Ceiling, ...]:
        """The most a client gets there by itself, whoever it asks for: an operator's bound, and its agent's."""
        return self.ceilings_of(client.id, client.scope_ceiling, resource, now)

    def ceilings_of(
        self, client_id: str, bound: frozenset[str] | None, resource: Resource, now: datetime
    ) -> tuple[Ceiling, ...]:
        """The same of a client of which no more is known."""
        agent = self.agents.of_client(client_id)
        own = () if agent is None else (Ceiling(*agent.bound_at(resource, now)),)
        return (*own, client_ceiling(bound, resource))

    def may_act(self, resource: Resource) -> str | None:
        """The one client that may exchange tokens of this server, for the `may_act` claim (RFC 8693 §4.4).

        None if nobody may, or several: the claim names one party.
        """
        actors = self.delegations.actors.get(resource.id, frozenset())
        if resource.client_id and self.credentials.has_any(resource.id):
            actors = actors | {resource.client_id}
        return next(iter(actors)) if len(actors) == 1 else None

    def __repr__(self) -> str:
        return f"TenantConfiguration({self.tenant.slug!r}, version={self.tenant.version})"


def derived_key(token_secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, from the tenant's one stored secret."""
    return hmac.digest(token_secret, purpose.encode(), "sha256")
