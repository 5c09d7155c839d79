"""An installation in use: an MCP server, clients, people who let one of them act, and what that left behind.

The few rows are written as the server writes them, the many by `bulk`. All is as the protocol leaves it: refresh
tokens spell under the tenant's secret, access tokens are signed and recorded, consents stand.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TextIO

from sqlalchemy.orm import Session as Transaction

from authz import entropy
from authz.admin import keys, tenants
from authz.admin.operator import Operator
from authz.clients.registered import client_of_row
from authz.clock import numeric_date
from authz.db import migrate
from authz.db.models import (
    Client,
    Consent,
    IssuedToken,
    Resource,
    Role,
    RoleBinding,
    RoleScope,
    Scope,
    Session,
    TokenFamily,
    User,
)
from authz.db.types import canonical_json
from authz.keys import ACCESS_TOKEN
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Family
from authz.oauth.issuing import TOKEN_TYP
from authz.oauth.refresh import spell
from authz.policy import Decision
from authz.policy.snapshot import ANY_RESOURCE
from authz.services import Services, open_services
from authz.settings import Settings
from authz.tenants import DEFAULT_SLUG
from scripts.bench_parts.bulk import Bulk, Shape, bulk
from scripts.bench_parts.supplies import (
    INTROSPECTED,
    REDIRECT,
    RESOURCE,
    SCOPES,
    SECRETS,
    SERVICE,
    SESSIONS,
    SIGNER,
    WEB,
    Supplies,
    public_jwk,
    spread,
    write_lines,
)

_MOST_PEOPLE = 100_000
_CHUNK = 50_000
_COOKIE = f"authz-session-{DEFAULT_SLUG}"
_DAY = timedelta(days=1)


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


def seed(settings: Settings, supplies: Supplies, *, stored: int, used: int) -> None:
    """Create everything: `stored` families with an access token each, `used` of them with a refresh token to spend."""
    with open_services(settings) as services:
        migrate.upgrade(services.database)
        world = _world(services, supplies)
    with bulk(settings.database.url) as target:
        people = [entropy.new_id("usr") for _ in range(min(stored, _MOST_PEOPLE))]
        _add_people(target, world, people)
        write_lines(supplies.cookies, _add_sessions(target, world, people))
        _add_families(target, world, people, supplies, stored=stored, used=used)
        target.finish()


def _world(services: Services, supplies: Supplies) -> World:
    now = datetime.now(UTC)
    first_keys = keys.generate_first()
    with services.database.write() as tx:
        tenant_id = tenants.create(
            tx,
            Operator("bench", now, services.envelope),
            slug=DEFAULT_SLUG,
            name="Bench",
            client_trust="open",
            keys=first_keys,
        ).id
        resource_id, role_id = _add_server(tx, tenant_id, now)
        digest = _add_clients(tx, tenant_id, supplies, now)
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


def _add_people(target: Bulk, world: World, people: list[str]) -> None:
    """Each of them holds the role and has let the client act for them."""
    moments = {"created_at": world.now, "updated_at": world.now}
    user = Shape(
        User.__table__,
        target.dialect,
        ("id", "login"),
        {"tenant_id": world.tenant_id, "name": "A person", "status": "active", **moments},
    )
    target.write(user, (user.row(id_, f"{id_.lower()}@example.com") for id_ in people))
    binding = Shape(
        RoleBinding.__table__,
        target.dialect,
        ("id", "subject_id"),
        {"tenant_id": world.tenant_id, "role_id": world.role_id, "subject_kind": "user"},
    )
    target.write(binding, (binding.row(entropy.new_id("rbi"), id_) for id_ in people))
    consent = Shape(
        Consent.__table__,
        target.dialect,
        ("user_id",),
        {
            "tenant_id": world.tenant_id,
            "client_id": WEB,
            "resource_id": world.resource_id,
            "scopes": frozenset(SCOPES),
            "redirect_uris": [REDIRECT],
            "client_digest": world.client_digest,
            "remembered": True,
            **moments,
        },
    )
    target.write(consent, (consent.row(id_) for id_ in people))


def _add_sessions(target: Bulk, world: World, people: list[str]) -> list[str]:
    """Browsers of some of them; answers their cookies."""
    session = Shape(
        Session.__table__,
        target.dialect,
        ("digest", "user_id"),
        {
            "tenant_id": world.tenant_id,
            "auth_time": world.now,
            "amr": ["pwd"],
            "created_at": world.now,
            "expires_at": world.now + _DAY,
        },
    )
    chosen = people[:: spread(len(people), SESSIONS)][:SESSIONS]
    tokens = {entropy.new_token("ses"): user for user in chosen}
    target.write(
        session, (session.row(entropy.digest(token), user) for token, user in tokens.items())
    )
    return [f"{_COOKIE}={token}" for token in tokens]


class _Born(NamedTuple):
    """One family and its access token, before they are rows."""

    user_id: str
    family_id: str
    salt: str
    jti: str


def _add_families(
    target: Bulk,
    world: World,
    people: list[str],
    supplies: Supplies,
    *,
    stored: int,
    used: int,
) -> None:
    values = _family_values(world)
    family = Shape(TokenFamily.__table__, target.dialect, ("id", "user_id", "salt"), values)
    token = Shape(
        IssuedToken.__table__,
        target.dialect,
        ("jti", "family_id", "subject", "decision"),
        {
            "tenant_id": world.tenant_id,
            "client_id": WEB,
            "resource_id": world.resource_id,
            "scopes": frozenset(SCOPES),
            "issued_at": world.now,
            "expires_at": world.now + _DAY,
        },
    )
    head, tail = _decision(world).split("SUBJECT")
    every, every_token = spread(stored, used), spread(stored, INTROSPECTED)
    with ExitStack() as stack:
        refresh = stack.enter_context(supplies.refresh_tokens.open("w"))
        access = stack.enter_context(supplies.access_tokens.open("w"))
        for first in range(0, stored, _CHUNK):
            born = list(_births(people, first, min(first + _CHUNK, stored)))
            target.write(family, (family.row(b.family_id, b.user_id, b.salt) for b in born))
            target.write(
                token,
                (token.row(b.jti, b.family_id, b.user_id, head + b.user_id + tail) for b in born),
            )
            _write_refresh_tokens(refresh, world, values, born[-first % every :: every])
            _write_access_tokens(access, world, born[-first % every_token :: every_token])


def _births(people: list[str], first: int, end: int) -> Iterator[_Born]:
    for number in range(first, end):
        yield _Born(
            people[number % len(people)],
            entropy.new_id("grt"),
            entropy.new_id("s"),
            entropy.new_id("at"),
        )


def _family_values(world: World) -> dict[str, Any]:
    return {
        "tenant_id": world.tenant_id,
        "client_id": WEB,
        "resource_id": world.resource_id,
        "scopes": frozenset(SCOPES),
        "refreshable": True,
        "generation": 1,
        "rotated_at": world.now,
        "auth_time": world.now,
        "amr": ["pwd"],
        "created_at": world.now,
        "idle_expires_at": world.now + timedelta(days=14),
        "expires_at": world.now + timedelta(days=90),
    }


def _decision(world: World) -> str:
    """What policy says to all of them, with a word where the person's id stands."""
    decision = Decision(
        policy_version=world.configuration.tenant.version,
        subject="SUBJECT",
        client=WEB,
        resource=RESOURCE,
        requested=frozenset(SCOPES),
        sources=dict.fromkeys(SCOPES, "role developer"),
        removed={},
    )
    return canonical_json(decision.as_json())


def _write_refresh_tokens(
    output: TextIO, world: World, values: dict[str, Any], born: list[_Born]
) -> None:
    unset = dict.fromkeys(column.name for column in TokenFamily.__table__.columns)
    for it in born:
        row = {**unset, **values, "id": it.family_id, "user_id": it.user_id, "salt": it.salt}
        output.write(f"{spell(world.configuration.refresh_key, Family(**row))}\n")


def _write_access_tokens(output: TextIO, world: World, born: list[_Born]) -> None:
    tenant = world.configuration.tenant
    common = {
        "iss": tenant.issuer,
        "aud": RESOURCE,
        "client_id": WEB,
        "iat": numeric_date(world.now),
        "exp": numeric_date(world.now + _DAY),
        "scope": " ".join(sorted(SCOPES)),
        "tenant": tenant.slug,
        "auth_time": numeric_date(world.now),
        "amr": ["pwd"],
    }
    for it in born:
        claims = {**common, "sub": it.user_id, "jti": it.jti, "grant_id": it.family_id}
        token = world.configuration.keys.sign(
            ACCESS_TOKEN, world.algorithm, TOKEN_TYP, claims, world.now
        )
        output.write(f"{token}\n")
