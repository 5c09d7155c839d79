"""From the rows of `configuration_queries` to tenants' configurations."""

from collections.abc import Mapping, Sequence

from authz.clients.trust import TrustPolicy
from authz.db.statements import Row
from authz.envelope import Envelope
from authz.keys import Custody, StoredKey, unseal
from authz.keys.rotation import KeyLife
from authz.oauth import targets
from authz.oauth.assertion_subjects import names_of
from authz.oauth.configuration import TenantConfiguration, derived_key
from authz.oauth.delegations import Delegation, Delegations
from authz.oauth.targets import Target, Targets
from authz.oauth.trust import Trust, Trusts, settings_of
from authz.oauth.upstream_credentials import UpstreamCredential, UpstreamCredentials
from authz.oauth.workload_trust import Workloads, WorkloadTrust
from authz.oauth.workload_trust import settings_of as workload_settings_of
from authz.policy import requirements, rollout
from authz.policy import snapshot as policy_snapshot
from authz.policy.administration import admin_roles, administration_resource
from authz.policy.agents import Agent, Agents
from authz.policy.contracts import in_force
from authz.policy.openid import userinfo_resource
from authz.policy.signals import ssf_resource
from authz.policy.snapshot import Resource, Scope, build
from authz.tenants import DEFAULT_SLUG, Tenant, issuer_of


def build_all(
    rows: Mapping[str, list[Row]], issuer: str, envelope: Envelope, custody: Custody | None = None
) -> dict[str, TenantConfiguration]:
    """By tenant id; `rows` are the answers to `QUERIES` by their names, `issuer` is the default tenant's."""
    scopes: dict[str, dict[str, Scope]] = {}
    for resource_id, name, description, risk, is_default, tools, waiting, requires, version in rows[
        "scopes"
    ]:
        scopes.setdefault(resource_id, {})[name] = Scope(
            name,
            description,
            risk,
            bool(is_default),
            in_force(tools, waiting),
            None if requires is None else requirements.parse(requires),
            version,
        )
    built = {}
    for id_, slug, name, status, version, client_trust, registration, *modes, sealed in rows[
        "tenant"
    ]:
        changes, scope_changes = modes
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
                change_control=changes,
                scope_changes=scope_changes,
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
                client_groups=[row[1:] for row in _of(rows["client_groups"], id_)],
                connections=[
                    policy_snapshot.Connection(connection_id, slug_, status_ == "active")
                    for _, connection_id, slug_, status_ in _of(rows["connections"], id_)
                ],
                mappings=[row[1:] for row in _of(rows["mappings"], id_)],
                builtin=[
                    userinfo_resource(issuer_of(issuer, slug)),
                    ssf_resource(issuer_of(issuer, slug)),
                ],
                administration=administration_resource(
                    issuer_of(issuer, slug), is_default_tenant=slug == DEFAULT_SLUG
                ),
                admin_roles=admin_roles(),
                administrators=[row[1:] for row in _of(rows["administrators"], id_)],
            ),
            keys=unseal(
                (
                    StoredKey(
                        KeyLife(*life),
                        public_jwk,
                        None if sealed_key is None else bytes(sealed_key),
                        backend,
                        reference,
                    )
                    for _, *life, public_jwk, sealed_key, backend, reference in _of(
                        rows["keys"], id_
                    )
                ),
                envelope,
                id_,
                custody,
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
            credentials=UpstreamCredentials.of(
                UpstreamCredential(own_id, resource_id, label, reference, frozenset(needed))
                for _, own_id, resource_id, label, reference, needed in _of(
                    rows["credentials"], id_
                )
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
        stored_rollout,
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
        rollout=rollout.of_json(stored_rollout),
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
