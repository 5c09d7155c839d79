"""A tenant's configuration as one frozen value, and the cache that is never stale.

Everything a decision needs besides facts: the tenant, its policy, its keys, its trust rules and its secrets. Read under
`config_version`: the plain lane checks the number in the transaction that uses the value, the token lane in the
transaction of the batch. A change bumps the number in its own transaction (`db.versions`), so no message bus is needed.
"""

import hmac
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.clients.client import Client
from authz.clients.trust import TrustPolicy
from authz.db.models import Agent as AgentRow
from authz.db.models import (
    AgentClient,
    ClientTrustRule,
    Connection,
    Group,
    GroupMapping,
    Role,
    RoleBinding,
    RoleParent,
    RoleScope,
    SigningKey,
    TargetServer,
    TrustedIssuer,
)
from authz.db.models import Delegation as DelegationRow
from authz.db.models import Resource as ResourceRow
from authz.db.models import Scope as ScopeRow
from authz.db.models import Tenant as TenantRow
from authz.db.statements import AnyOf, Query, Row
from authz.envelope import Envelope
from authz.keys import KeyRing, unseal
from authz.keys.rotation import KeyLife
from authz.oauth import targets
from authz.oauth.assertion_subjects import names_of
from authz.oauth.delegations import Delegation, Delegations
from authz.oauth.targets import Target, Targets
from authz.oauth.trust import ID_JAG, Trust, Trusts, settings_of
from authz.oauth.workload_trust import WORKLOAD, Workloads, WorkloadTrust
from authz.oauth.workload_trust import settings_of as workload_settings_of
from authz.policy import Ceiling, client_ceiling, requirements
from authz.policy import snapshot as policy_snapshot
from authz.policy.agents import Agent, Agents
from authz.policy.openid import userinfo_resource
from authz.policy.signals import ssf_resource
from authz.policy.snapshot import Policy, Resource, Scope, build
from authz.tenants import Tenant, issuer_of

_TENANTS = "tenants"
QUERIES: Mapping[str, Query] = {
    "tenant": Query(
        select(
            TenantRow.id,
            TenantRow.slug,
            TenantRow.name,
            TenantRow.status,
            TenantRow.config_version,
            TenantRow.client_trust,
            TenantRow.registration,
            TenantRow.token_secret,
        ).where(AnyOf(TenantRow.id, _TENANTS))
    ),
    "resources": Query(
        select(
            ResourceRow.tenant_id,
            ResourceRow.id,
            ResourceRow.identifier,
            ResourceRow.canonical,
            ResourceRow.name,
            ResourceRow.owner,
            ResourceRow.status,
            ResourceRow.is_default,
            ResourceRow.client_id,
            ResourceRow.identity,
            ResourceRow.server_id,
            ResourceRow.status_list,
        ).where(AnyOf(ResourceRow.tenant_id, _TENANTS))
    ),
    "scopes": Query(
        select(
            ScopeRow.resource_id,
            ScopeRow.name,
            ScopeRow.description,
            ScopeRow.risk,
            ScopeRow.is_default,
            ScopeRow.tools,
            ScopeRow.requires,
        ).where(AnyOf(ScopeRow.tenant_id, _TENANTS))
    ),
    "roles": Query(
        select(Role.tenant_id, Role.id, Role.name, Role.requires).where(
            AnyOf(Role.tenant_id, _TENANTS)
        )
    ),
    "role_scopes": Query(
        select(
            RoleScope.tenant_id, RoleScope.role_id, RoleScope.resource_id, RoleScope.scope
        ).where(AnyOf(RoleScope.tenant_id, _TENANTS))
    ),
    "role_parents": Query(
        select(RoleParent.tenant_id, RoleParent.role_id, RoleParent.parent_id).where(
            AnyOf(RoleParent.tenant_id, _TENANTS)
        )
    ),
    "group_roles": Query(
        select(Group.tenant_id, Group.id, Group.name, RoleBinding.role_id, RoleBinding.expires_at)
        .join_from(RoleBinding, Group, RoleBinding.subject_id == Group.id)
        .where(RoleBinding.subject_kind == "group")
        .where(AnyOf(RoleBinding.tenant_id, _TENANTS))
    ),
    "client_roles": Query(
        select(
            RoleBinding.tenant_id,
            RoleBinding.subject_id,
            RoleBinding.role_id,
            RoleBinding.expires_at,
        )
        .where(RoleBinding.subject_kind == "client")
        .where(AnyOf(RoleBinding.tenant_id, _TENANTS))
    ),
    "connections": Query(
        select(Connection.tenant_id, Connection.id, Connection.slug, Connection.status).where(
            AnyOf(Connection.tenant_id, _TENANTS)
        )
    ),
    "trusted_issuers": Query(
        select(
            TrustedIssuer.tenant_id,
            TrustedIssuer.id,
            TrustedIssuer.slug,
            TrustedIssuer.kind,
            TrustedIssuer.connection_id,
            TrustedIssuer.issuer,
            TrustedIssuer.settings,
            Connection.kind.label("connection_kind"),
            Connection.settings.label("connection_settings"),
        )
        .join(Connection, Connection.id == TrustedIssuer.connection_id)
        .where(TrustedIssuer.kind == ID_JAG)
        .where(TrustedIssuer.status == "active")
        .where(AnyOf(TrustedIssuer.tenant_id, _TENANTS))
    ),
    "workload_issuers": Query(
        select(
            TrustedIssuer.tenant_id,
            TrustedIssuer.id,
            TrustedIssuer.slug,
            TrustedIssuer.issuer,
            TrustedIssuer.settings,
        )
        .where(TrustedIssuer.kind == WORKLOAD)
        .where(TrustedIssuer.status == "active")
        .where(AnyOf(TrustedIssuer.tenant_id, _TENANTS))
    ),
    "agents": Query(
        select(
            AgentRow.tenant_id,
            AgentClient.client_id,
            AgentRow.id,
            AgentRow.slug,
            AgentRow.owner_id,
            AgentRow.status,
            AgentRow.resources,
            AgentRow.scope_ceiling,
            AgentRow.expires_at,
        )
        .join_from(AgentRow, AgentClient, AgentClient.agent_id == AgentRow.id)
        .where(AnyOf(AgentRow.tenant_id, _TENANTS))
    ),
    "delegations": Query(
        select(
            DelegationRow.tenant_id,
            DelegationRow.id,
            DelegationRow.client_id,
            DelegationRow.from_id,
            DelegationRow.to_id,
            DelegationRow.carries,
            DelegationRow.max_depth,
        ).where(AnyOf(DelegationRow.tenant_id, _TENANTS))
    ),
    "targets": Query(
        select(
            TargetServer.tenant_id,
            TargetServer.id,
            TargetServer.slug,
            TargetServer.issuer,
            TargetServer.settings,
        )
        .where(TargetServer.status == "active")
        .where(AnyOf(TargetServer.tenant_id, _TENANTS))
    ),
    "mappings": Query(
        select(
            GroupMapping.tenant_id,
            GroupMapping.connection_id,
            GroupMapping.claim,
            GroupMapping.value,
            GroupMapping.group_id,
        ).where(AnyOf(GroupMapping.tenant_id, _TENANTS))
    ),
    "trust": Query(
        select(ClientTrustRule.tenant_id, ClientTrustRule.pattern, ClientTrustRule.verdict).where(
            AnyOf(ClientTrustRule.tenant_id, _TENANTS)
        )
    ),
    "keys": Query(
        select(
            SigningKey.tenant_id,
            SigningKey.id,
            SigningKey.purpose,
            SigningKey.algorithm,
            SigningKey.publish_at,
            SigningKey.activate_at,
            SigningKey.retire_at,
            SigningKey.gone_at,
            SigningKey.public_jwk,
            SigningKey.private_key,
        ).where(AnyOf(SigningKey.tenant_id, _TENANTS))
    ),
}
"""Everything about tenants, in a fixed number of statements."""

VERSIONS = Query(
    select(TenantRow.id, TenantRow.config_version).where(AnyOf(TenantRow.id, _TENANTS))
)


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
    refresh_key: bytes
    """Keys the MAC of refresh tokens."""
    audit_key: bytes
    """Keys the MAC of audit heads."""
    dpop_key: bytes
    """Keys the MAC of DPoP nonces."""

    def ceilings(self, client: Client, resource: Resource, now: datetime) -> tuple[Ceiling, ...]:
        """The most a client gets there by itself, whoever it asks for: an operator's bound, and its agent's."""
        agent = self.agents.of_client(client.id)
        own = () if agent is None else (Ceiling(*agent.bound_at(resource, now)),)
        return (*own, client_ceiling(client.scope_ceiling, resource))

    def __repr__(self) -> str:
        return f"TenantConfiguration({self.tenant.slug!r}, version={self.tenant.version})"


class Configurations:
    """The cache of this process, and how to fill it."""

    def __init__(self, issuer: str, envelope: Envelope) -> None:
        self._issuer = issuer
        self._envelope = envelope
        self._by_id: dict[str, TenantConfiguration] = {}
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def find_known(self, slug: str) -> TenantConfiguration | None:
        """What this process last saw; may be behind, so decide nothing on it without checking its version."""
        tenant_id = self._ids.get(slug)
        return None if tenant_id is None else self._by_id.get(tenant_id)

    def find_by_id(self, tenant_id: str) -> TenantConfiguration | None:
        """As `find_known`, by id."""
        return self._by_id.get(tenant_id)

    def find(self, tx: Session, slug: str) -> TenantConfiguration | None:
        """The tenant as of this transaction; None when there is no such tenant or it is disabled."""
        row = tx.execute(
            select(TenantRow.id, TenantRow.config_version).where(TenantRow.slug == slug)
        ).one_or_none()
        if row is None:
            return None
        known = self._by_id.get(row.id)
        if known is None or known.tenant.version != row.config_version:
            known = self.load(tx, row.id)
        return known if known.tenant.enabled else None

    def load(self, tx: Session, tenant_id: str) -> TenantConfiguration:
        """Read it from the rows of this transaction and remember it."""
        engine = "sqlite" if tx.get_bind().dialect.name == "sqlite" else "postgresql"
        connection = tx.connection()
        rows = []
        for query in QUERIES.values():
            call = query(tenants=[tenant_id])
            raw = connection.exec_driver_sql(
                query.text(engine), query.parameters(engine, call.values)
            )
            rows.append(query.rows(engine, (tuple(row) for row in raw)))
        return self.install(rows)[tenant_id]

    def install(self, rows: Sequence[list[Row]]) -> dict[str, TenantConfiguration]:
        """Build from the rows of `QUERIES`, in their order, and remember; an older version never replaces a newer."""
        built = _build(dict(zip(QUERIES, rows, strict=True)), self._issuer, self._envelope)
        with self._lock:
            for id_, configuration in built.items():
                known = self._by_id.get(id_)
                if known is None or known.tenant.version <= configuration.tenant.version:
                    self._by_id[id_] = configuration
                    self._ids[configuration.tenant.slug] = id_
        return built


def derived_key(token_secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, from the tenant's one stored secret."""
    return hmac.digest(token_secret, purpose.encode(), "sha256")


def _build(
    rows: Mapping[str, list[Row]], issuer: str, envelope: Envelope
) -> dict[str, TenantConfiguration]:
    scopes: dict[str, dict[str, Scope]] = {}
    for resource_id, name, description, risk, is_default, tools, requires in rows["scopes"]:
        scopes.setdefault(resource_id, {})[name] = Scope(
            name,
            description,
            risk,
            bool(is_default),
            tuple(tools),
            None if requires is None else requirements.parse(requires),
        )
    built = {}
    for id_, slug, name, status, version, client_trust, registration, sealed in rows["tenant"]:
        secret = envelope.open(bytes(sealed), "token_secret", id_)
        rules = [(pattern, verdict) for _, pattern, verdict in _of(rows["trust"], id_)]
        own, elsewhere = _resources(_of(rows["resources"], id_), scopes)
        built[id_] = TenantConfiguration(
            tenant=Tenant(
                id=id_,
                slug=slug,
                name=name,
                issuer=issuer_of(issuer, slug),
                enabled=status == "active",
                version=version,
                client_trust=client_trust,
                registration=registration,
            ),
            policy=build(
                version,
                resources=own,
                roles=[row[1:3] for row in _of(rows["roles"], id_)],
                role_requires={
                    role_id: requirements.parse(requires)
                    for _, role_id, _, requires in _of(rows["roles"], id_)
                    if requires is not None
                },
                role_scopes=[row[1:] for row in _of(rows["role_scopes"], id_)],
                role_parents=[row[1:] for row in _of(rows["role_parents"], id_)],
                group_roles=[row[1:] for row in _of(rows["group_roles"], id_)],
                client_roles=[row[1:] for row in _of(rows["client_roles"], id_)],
                connections=[
                    policy_snapshot.Connection(connection_id, slug_, status_ == "active")
                    for _, connection_id, slug_, status_ in _of(rows["connections"], id_)
                ],
                mappings=[row[1:] for row in _of(rows["mappings"], id_)],
                builtin=[
                    userinfo_resource(issuer_of(issuer, slug)),
                    ssf_resource(issuer_of(issuer, slug)),
                ],
            ),
            keys=unseal(
                (
                    (KeyLife(*life), public_jwk, None if key is None else bytes(key))
                    for _, *life, public_jwk, key in _of(rows["keys"], id_)
                ),
                envelope,
                id_,
            ),
            trust=TrustPolicy(
                mode=client_trust,
                allow=frozenset(p for p, verdict in rules if verdict == "allow"),
                deny=frozenset(p for p, verdict in rules if verdict == "deny"),
            ),
            trusts=_trusts(_of(rows["trusted_issuers"], id_)),
            workloads=_workloads(_of(rows["workload_issuers"], id_)),
            agents=_agents(_of(rows["agents"], id_)),
            delegations=Delegations.of(
                Delegation(rule_id, client_id, from_id, to_id, _sets(carries), max_depth)
                for _, rule_id, client_id, from_id, to_id, carries, max_depth in _of(
                    rows["delegations"], id_
                )
            ),
            targets=Targets(
                {
                    issuer_: Target(
                        target_id,
                        slug_,
                        issuer_,
                        targets.settings_of(settings),
                        elsewhere.get(target_id, {}),
                    )
                    for _, target_id, slug_, issuer_, settings in _of(rows["targets"], id_)
                }
            ),
            refresh_key=derived_key(secret, "refresh"),
            audit_key=derived_key(secret, "audit"),
            dpop_key=derived_key(secret, "dpop"),
        )
    return built


def _resources(
    rows: list[Row], scopes: Mapping[str, Mapping[str, Scope]]
) -> tuple[list[Resource], dict[str, dict[str, Resource]]]:
    """Those we issue tokens for, and the enabled ones of each other authorization server, by canonical identifier."""
    own: list[Resource] = []
    elsewhere: dict[str, dict[str, Resource]] = {}
    for row in rows:
        resource, server_id = _resource(row, scopes.get(row[1], {}))
        if server_id is None:
            own.append(resource)
        elif resource.enabled:
            elsewhere.setdefault(server_id, {})[resource.canonical] = resource
    return own, elsewhere


def _resource(row: Row, scopes: Mapping[str, Scope]) -> tuple[Resource, str | None]:
    (
        _,
        id_,
        identifier,
        canonical,
        name,
        owner,
        status,
        is_default,
        client_id,
        identity,
        server_id,
        status_list,
    ) = row
    resource = Resource(
        id=id_,
        identifier=identifier,
        canonical=canonical,
        name=name,
        owner=owner,
        enabled=status == "active",
        is_default=bool(is_default),
        scopes=scopes,
        client_id=client_id,
        is_user_required=identity == "user_required",
        status_list=bool(status_list),
    )
    return resource, server_id


def _agents(rows: list[Row]) -> Agents:
    return Agents(
        {
            client_id: Agent(
                agent_id,
                slug,
                owner_id,
                status == "active",
                frozenset(resources),
                None if ceiling is None else frozenset(ceiling),
                expires_at,
            )
            for _, client_id, agent_id, slug, owner_id, status, resources, ceiling, expires_at in rows
        }
    )


def _sets(carries: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    return {scope: frozenset(by) for scope, by in carries.items()}


def _trusts(rows: list[Row]) -> Trusts:
    by_issuer: dict[str, tuple[Trust, ...]] = {}
    for _, id_, slug, kind, connection_id, issuer, stored, *connection in sorted(
        rows, key=lambda row: str(row[2])
    ):
        settings = settings_of(stored)
        names = names_of(settings.subject, settings.saml_issuer, *connection)
        trust = Trust(id_, slug, kind, connection_id, issuer, settings, names)
        by_issuer[issuer] = (*by_issuer.get(issuer, ()), trust)
    return Trusts(by_issuer)


def _workloads(rows: list[Row]) -> Workloads:
    return Workloads.build(
        {
            issuer: WorkloadTrust(trust_id, slug, issuer, workload_settings_of(settings))
            for _, trust_id, slug, issuer, settings in rows
        }
    )


def _of(rows: list[Row], tenant_id: str) -> list[Row]:
    return [row for row in rows if row[0] == tenant_id]
