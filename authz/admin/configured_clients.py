"""Clients that the configuration file declares: the database is made to agree, and only a difference is a change."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients
from authz.admin.client_metadata import Registration, checked_metadata
from authz.admin.operator import Operator
from authz.db.models import Client, Tenant
from authz.errors import Conflict, NotFound
from authz.policy.administration import Permission
from authz.settings import ConfiguredClient, Settings

OVERLAP = timedelta(hours=1)
"""How long the secret before a rotated one is good."""


def apply(
    tx: Session,
    operator: Operator,
    configured: ConfiguredClient,
    secret: str | None,
    settings: Settings,
) -> str | None:
    """Add or update one client; answers `added`, `changed`, or None when nothing differs.

    A client that leaves the file stays in the database until somebody removes it: a lost line must not sign out
    everybody who uses the client.
    """
    tenant_id = tx.scalars(select(Tenant.id).where(Tenant.slug == configured.tenant)).one_or_none()
    if tenant_id is None:
        raise NotFound(
            f"client {configured.id!r} is configured for the tenant {configured.tenant!r}, which does not exist"
        )
    registration = Registration(
        name=configured.name,
        redirect_uris=configured.redirect_uris,
        grant_types=configured.grant_types,
        auth_method=configured.auth_method,
        jwks_uri=configured.jwks_uri,
        dpop_bound=configured.dpop_bound,
        push_only=configured.push_only,
        fapi=configured.fapi,
        token_endpoint_audience=configured.token_endpoint_audience,
        private_schemes=settings.clients.private_redirect_schemes,
        development=settings.server.development,
    )
    metadata = checked_metadata(registration)
    row = tx.get(Client, (tenant_id, configured.id))
    if row is None:
        clients.add(
            tx,
            operator,
            tenant_id,
            registration,
            client_id=configured.id,
            scope_ceiling=configured.scope_ceiling,
        )
        tx.get_one(Client, (tenant_id, configured.id)).secrets = _stored(secret)
        return "added"
    if row.kind != "registered":
        raise Conflict(f"client {configured.id!r} is {row.kind} here, not a registered client")
    # Those of before that are still good beside it stay so.
    stored = row.secrets if _is_current(row, secret) else _stored(secret)
    wanted = (configured.name, metadata, stored, configured.scope_ceiling)
    if (row.name, row.metadata_, row.secrets, row.scope_ceiling) == wanted:
        return None
    row.name, row.metadata_, row.secrets, row.scope_ceiling = wanted
    row.updated_at = operator.now
    operator.changed(
        tx, tenant_id, "client.configure", configured.id, {"name": row.name}, client=row.id
    )
    return "changed"


def follow_secret(
    tx: Session, operator: Operator, configured: ConfiguredClient, secret: str
) -> bool:
    """Take over a secret that was rotated where the file points to; whether it was.

    The one before stays good for `OVERLAP`: client and server read the new one at two moments (V5). One that an
    administrator made instead stays until the next start.
    """
    operator.must(Permission.CLIENTS_WRITE)
    tenant_id = tx.scalars(select(Tenant.id).where(Tenant.slug == configured.tenant)).one_or_none()
    row = None if tenant_id is None else tx.get(Client, (tenant_id, configured.id))
    digest = entropy.digest(secret)
    if tenant_id is None or row is None or any(it["digest"] == digest for it in row.secrets):
        return False
    until = operator.now + OVERLAP
    row.secrets = [*_stored(secret), *_ending(row.secrets, operator.now, until)]
    row.updated_at = operator.now
    values = {"others_until": until.isoformat()}
    operator.changed(tx, tenant_id, "client.rotate_secret", row.id, values, client=row.id)
    return True


def _stored(secret: str | None) -> list[dict[str, Any]]:
    return [] if secret is None else [{"digest": entropy.digest(secret), "expires_at": None}]


def _is_current(row: Client, secret: str | None) -> bool:
    lasting = [it["digest"] for it in row.secrets if it["expires_at"] is None]
    return secret is not None and lasting == [entropy.digest(secret)]


def _ending(secrets: list[dict[str, Any]], now: datetime, until: datetime) -> list[dict[str, Any]]:
    ending = []
    for it in secrets:
        expires_at = it["expires_at"] and datetime.fromisoformat(it["expires_at"])
        if expires_at is None or expires_at > now:
            last = until if expires_at is None else min(until, expires_at)
            ending.append({"digest": it["digest"], "expires_at": last.isoformat()})
    return ending
