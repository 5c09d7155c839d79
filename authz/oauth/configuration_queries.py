"""What of the database makes a tenant's configuration: a fixed number of statements, for any number of tenants."""

from collections.abc import Mapping

from sqlalchemy import select

from authz.db.models import (
    AdminBinding,
    AgentClient,
    Client,
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
    UpstreamCredential,
)
from authz.db.models import Agent as AgentRow
from authz.db.models import Delegation as DelegationRow
from authz.db.models import Resource as ResourceRow
from authz.db.models import Scope as ScopeRow
from authz.db.models import Tenant as TenantRow
from authz.db.statements import AnyOf, Query
from authz.oauth.trust import ID_JAG
from authz.oauth.workload_trust import WORKLOAD

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
            TenantRow.change_control,
            TenantRow.scope_changes,
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
            ResourceRow.rollout,
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
            ScopeRow.unreviewed,
            ScopeRow.requires,
            ScopeRow.version,
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
    "client_groups": Query(
        select(Client.tenant_id, Client.id, Client.groups)
        .where(Client.groups.is_not(None))
        .where(AnyOf(Client.tenant_id, _TENANTS))
    ),
    "administrators": Query(
        select(
            AdminBinding.tenant_id,
            AdminBinding.subject_kind,
            AdminBinding.subject_id,
            AdminBinding.role_id,
            AdminBinding.expires_at,
            Group.name,
        )
        .outerjoin(Group, Group.id == AdminBinding.subject_id)
        .where(AnyOf(AdminBinding.tenant_id, _TENANTS))
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
    "credentials": Query(
        select(
            UpstreamCredential.tenant_id,
            UpstreamCredential.id,
            UpstreamCredential.resource_id,
            UpstreamCredential.name,
            UpstreamCredential.reference,
            UpstreamCredential.scopes,
        ).where(AnyOf(UpstreamCredential.tenant_id, _TENANTS))
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
            SigningKey.backend,
            SigningKey.key_reference,
        ).where(AnyOf(SigningKey.tenant_id, _TENANTS))
    ),
}
"""Everything about tenants, in a fixed number of statements."""

VERSIONS = Query(
    select(TenantRow.id, TenantRow.config_version).where(AnyOf(TenantRow.id, _TENANTS))
)
