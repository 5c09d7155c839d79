"""A tenant with N people who each let one client act for them: the rows a refresh needs, and the tokens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import keys, tenants
from authz.admin.operator import Operator
from authz.db import migrate
from authz.db.models import (
    Client,
    Consent,
    Resource,
    Role,
    RoleBinding,
    RoleScope,
    Scope,
    TokenFamily,
    User,
)
from authz.oauth.configuration import derived_key
from authz.oauth.facts import Family
from authz.oauth.refresh import spell
from authz.policy.snapshot import ANY_RESOURCE
from authz.services import open_services
from authz.settings import Settings
from authz.tenants import DEFAULT_SLUG

CLIENT, SECRET = "web", "web-secret-0123456789abcdef0123456789abcdef"
RESOURCE = "https://mcp.example.com/mcp"
REDIRECT = "https://client.example.com/cb"
SCOPES = ("tools:read", "tools:call")


def seed(settings: Settings, count: int, tokens: Path) -> None:
    """Create everything, and write one refresh token a line."""
    now = datetime.now(UTC)
    with open_services(settings) as services:
        migrate.upgrade(services.database)
        operator = Operator("bench", now, services.envelope)
        first_keys = keys.generate_first()
        with services.database.write() as tx:
            tenant = tenants.create(
                tx,
                operator,
                slug=DEFAULT_SLUG,
                name="Bench",
                client_trust="open",
                keys=first_keys,
            )
            secret = services.envelope.open(tenant.token_secret, "token_secret", tenant.id)
            resource_id, role_id = _add_server(tx, tenant.id, now)
            families = [_add_person(tx, tenant.id, resource_id, role_id, now) for _ in range(count)]
            tx.flush()
            columns = [column.name for column in TokenFamily.__table__.c]
            values = [Family(**{c: getattr(f, c) for c in columns}) for f in families]
    refresh_key = derived_key(secret, "refresh")
    tokens.write_text("".join(f"{spell(refresh_key, value)}\n" for value in values))


def _add_server(tx: Session, tenant_id: str, now: datetime) -> tuple[str, str]:
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
    tx.add(
        Client(
            tenant_id=tenant_id,
            id=CLIENT,
            kind="registered",
            status="active",
            name="Web",
            metadata_={
                "redirect_uris": [REDIRECT],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            secrets=[{"digest": entropy.digest(SECRET), "expires_at": None}],
            created_at=now,
            updated_at=now,
        )
    )
    return resource_id, role_id


def _add_person(
    tx: Session, tenant_id: str, resource_id: str, role_id: str, now: datetime
) -> TokenFamily:
    user_id = entropy.new_id("usr")
    tx.add(
        User(
            id=user_id,
            tenant_id=tenant_id,
            login=f"{user_id.lower()}@example.com",
            name="A person",
            status="active",
            created_at=now,
            updated_at=now,
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
    tx.add(
        Consent(
            tenant_id=tenant_id,
            user_id=user_id,
            client_id=CLIENT,
            resource_id=resource_id,
            scopes=frozenset(SCOPES),
            redirect_uris=[REDIRECT],
            client_digest="0" * 64,
            remembered=True,
            created_at=now,
            updated_at=now,
        )
    )
    family = TokenFamily(
        id=entropy.new_id("grt"),
        tenant_id=tenant_id,
        client_id=CLIENT,
        user_id=user_id,
        resource_id=resource_id,
        scopes=frozenset(SCOPES),
        refreshable=True,
        salt=entropy.new_id("s"),
        generation=1,
        rotated_at=now,
        auth_time=now,
        amr=["pwd"],
        created_at=now,
        idle_expires_at=now + timedelta(days=14),
        expires_at=now + timedelta(days=90),
    )
    tx.add(family)
    return family
