"""A tenant's configuration without a database, for what decides without one: fixed keys, one MCP server, one client."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from authz.clients.client import Client
from authz.clients.trust import TrustPolicy
from authz.keys import ACCESS_TOKEN, KeyRing, RingKey, describe
from authz.keys.rotation import KeyLife
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.delegations import Delegations
from authz.oauth.targets import Targets
from authz.oauth.trust import Trusts
from authz.oauth.upstream_credentials import UpstreamCredentials
from authz.oauth.workload_trust import Workloads
from authz.policy.agents import Agents
from authz.policy.snapshot import Connection, Policy, Resource, Scope, build
from authz.tenants import Tenant
from tests.support.arrange import REDIRECT

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ISSUER = "https://as.example/t/acme"
TENANT_ID = "ten_1"
RESOURCE = Resource(
    id="res_1",
    identifier="https://mcp.example/mcp",
    canonical="https://mcp.example/mcp",
    name="Operations",
    scopes={
        "logs.read": Scope("logs.read", is_default=True),
        "logs.write": Scope("logs.write"),
        "admin": Scope("admin"),
    },
    client_id="cli_server",
)
CLIENT = Client(
    tenant_id=TENANT_ID,
    id="cli_1",
    kind="registered",
    enabled=True,
    name="App",
    redirect_uris=(REDIRECT, "http://127.0.0.1/back", "cursor://auth/back"),
    grant_types=frozenset({"authorization_code", "refresh_token"}),
    auth_methods=frozenset({"none"}),
)


def fixed_key(number: int = 1) -> ECKey:
    """The same P-256 key in every run, so that a failure can be repeated. Nothing secret about it."""
    private = ec.derive_private_key(number + 2**200, ec.SECP256R1())
    return ECKey(private, private)


def policy(
    *,
    resources: Iterable[Resource] = (RESOURCE,),
    client_roles: Iterable[Any] = (),
    builtin: Iterable[Resource] = (),
    connections: Iterable[Connection] = (),
) -> Policy:
    """Developers read and write logs; nobody holds `admin`."""
    return build(
        7,
        resources=resources,
        roles=[("rol_dev", "developer")],
        role_scopes=[("rol_dev", "*", "logs.read"), ("rol_dev", "*", "logs.write")],
        role_parents=[],
        group_roles=[],
        client_roles=client_roles,
        builtin=builtin,
        connections=connections,
    )


def configuration(**changes: Any) -> TenantConfiguration:
    """The tenant `acme` at version 7."""
    key = fixed_key()
    kid, public = describe(key, "ES256")
    # As rows are read: whoever verifies looks for the name.
    key = ECKey.import_key(key.raw_value, {"kid": kid, "alg": "ES256", "use": "sig"})
    life = KeyLife(kid, ACCESS_TOKEN, "ES256", NOW - timedelta(1), NOW - timedelta(1), None, None)
    made = TenantConfiguration(
        tenant=Tenant(
            id=TENANT_ID,
            slug="acme",
            name="Acme",
            issuer=ISSUER,
            enabled=True,
            version=7,
            client_trust="open",
            registration="off",
        ),
        policy=policy(),
        keys=KeyRing((RingKey(life, public, key),)),
        trust=TrustPolicy("open"),
        trusts=Trusts(),
        workloads=Workloads(),
        agents=Agents(),
        delegations=Delegations(),
        targets=Targets(),
        credentials=UpstreamCredentials(),
        refresh_key=b"r" * 32,
        audit_key=b"a" * 32,
        dpop_key=b"d" * 32,
    )
    return replace(made, **changes)
