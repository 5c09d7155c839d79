"""The few rows that the many hang on, written as the server writes them: a tenant, an MCP server, a role, clients."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authz import entropy
from authz.admin import keys, scim_tokens, tenants, trust
from authz.admin.operator import Operator
from authz.clients.registered import client_of_row
from authz.db import migrate
from authz.db.models import (
    Client,
    Connection,
    Identity,
    Resource,
    Role,
    RoleBinding,
    RoleScope,
    Scope,
    User,
)
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.policy.snapshot import ANY_RESOURCE
from authz.services import Services, open_services
from authz.settings import Settings
from authz.tenants import DEFAULT_SLUG
from scripts.bench_parts.supplies import (
    DESK,
    IDP,
    PEOPLE,
    REDIRECT,
    RESOURCE,
    SCOPES,
    SECRETS,
    SERVICE,
    SIGNER,
    WEB,
    Supplies,
    public_jwk,
)


@dataclass(frozen=True)
class World:
    """What the many rows hang on."""

    configuration: TenantConfiguration
    algorithm: str
    resource_id: str
    role_id: str
    client_digest: str
    now: datetime

    @property
    def tenant_id(self) -> str:
        """The only one."""
        return self.configuration.tenant.id


def new_world(settings: Settings, supplies: Supplies) -> World:
    """In an empty database."""
    with open_services(settings) as services:
        migrate.upgrade(services.database)
        return _world(services, supplies)


def _world(services: Services, supplies: Supplies) -> World:
    now = datetime.now(UTC)
    first_keys = keys.generate_first()
    with services.database.write() as tx:
        tenant_id = tenants.create(
            tx,
            Operator.local("bench", now, services.envelope),
            slug=DEFAULT_SLUG,
            name="Bench",
            client_trust="open",
            keys=first_keys,
        ).id
        resource_id, role_id = _add_server(tx, tenant_id, now)
        digest = _add_clients(tx, tenant_id, supplies, now)
        operator = Operator.local("bench", now, services.envelope)
        _add_idp(tx, operator, tenant_id, role_id, supplies)
        supplies.scim_token = scim_tokens.add(
            tx, operator, tenant_id, name="bench", connection=None, lifetime=None
        ).token
        for client in (SERVICE, SIGNER):
            tx.add(
                RoleBinding(
                    id=entropy.new_id("rbi"),
                    tenant_id=tenant_id,
                    role_id=role_id,
                    subject_kind="client",
                    subject_id=client,
                )
            )
    with services.database.read() as tx:
        configuration = services.configurations.load(tx, tenant_id)
    algorithm = services.settings.keys.algorithm
    return World(configuration, algorithm, resource_id, role_id, digest, now)


def _add_server(tx: Transaction, tenant_id: str, now: datetime) -> tuple[str, str]:
    resource_id, role_id = entropy.new_id("res"), entropy.new_id("rol")
    tx.add(
        Resource(
            id=resource_id,
            tenant_id=tenant_id,
            identifier=RESOURCE,
            canonical=RESOURCE,
            name="Tools",
            owner="",
            status="active",
            identity="service_allowed",
            is_default=True,
            created_at=now,
        )
    )
    tx.add(Role(id=role_id, tenant_id=tenant_id, name="developer", description=""))
    tx.flush()
    for name in SCOPES:
        tx.add(
            Scope(
                resource_id=resource_id,
                name=name,
                tenant_id=tenant_id,
                description=name,
                risk="read",
                is_default=True,
                tools=[],
            )
        )
        tx.add(
            RoleScope(role_id=role_id, resource_id=ANY_RESOURCE, scope=name, tenant_id=tenant_id)
        )
    return resource_id, role_id


def _add_idp(
    tx: Transaction, operator: Operator, tenant_id: str, role_id: str, supplies: Supplies
) -> None:
    """An issuer of assertions whose people have accounts, and the role."""
    if supplies.key is None:
        return
    jwks = {"keys": [public_jwk(supplies.key)]}
    trust.add(tx, operator, tenant_id, slug="idp", issuer=IDP, settings={"jwks": jwks})
    connection_id = tx.scalars(select(Connection.id).where(Connection.slug == "idp")).one()
    for number in range(PEOPLE):
        user_id = entropy.new_id("usr")
        tx.add(
            User(
                id=user_id,
                tenant_id=tenant_id,
                login=f"person-{number}@idp.example.com",
                name="A person",
                password_hash=None,
                status="active",
                created_at=operator.now,
                updated_at=operator.now,
            )
        )
        tx.flush()
        tx.add(
            Identity(
                tenant_id=tenant_id,
                connection_id=connection_id,
                subject=f"person-{number}",
                user_id=user_id,
                linked_by="operator",
                linked_at=operator.now,
                last_sign_in_at=None,
            )
        )
        tx.add(
            RoleBinding(
                id=entropy.new_id("rbi"),
                tenant_id=tenant_id,
                role_id=role_id,
                subject_kind="user",
                subject_id=user_id,
            )
        )
    tx.flush()


def _add_clients(tx: Transaction, tenant_id: str, supplies: Supplies, now: datetime) -> str:
    """Answers the digest of the one that acts for people."""
    metadata: dict[str, dict[str, Any]] = {
        WEB: {
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_basic",
        },
        SERVICE: {
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
        },
    }
    if supplies.key is not None:
        metadata[DESK] = {
            "grant_types": [JWT_BEARER],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        metadata[SIGNER] = {
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [public_jwk(supplies.key)]},
        }
    rows = {}
    for id_, members in metadata.items():
        secrets = [SECRETS[id_]] if id_ in SECRETS else []
        rows[id_] = Client(
            tenant_id=tenant_id,
            id=id_,
            kind="registered",
            status="active",
            name=id_.capitalize(),
            metadata_=members,
            secrets=[{"digest": entropy.digest(it), "expires_at": None} for it in secrets],
            created_at=now,
            updated_at=now,
        )
    tx.add_all(rows.values())
    tx.flush()
    return client_of_row(rows[WEB]).digest
