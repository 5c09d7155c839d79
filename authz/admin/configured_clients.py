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
        made = tx.get_one(Client, (tenant_id, configured.id))
        made.secrets, made.configured_digest = _stored(secret), _digest(secret)
        return "added"
    if row.kind != "registered":
        raise Conflict(f"client {configured.id!r} is {row.kind} here, not a registered client")
    row.configured_digest = _digest(secret)
    # Those of before stay good beside it for a while: it may have been rotated while nobody was there to follow (V5).
    stored = row.secrets if _is_current(row, secret) else _followed(row, secret, operator.now)
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
    digest = _digest(secret)
    # Not whether it is among the stored ones: one that is gone back to is there, and ends.
    if tenant_id is None or row is None or row.configured_digest == digest:
        return False
    # Another process may have the one before in its cache still, and would turn everything back, in turns with us.
    ending = [it for it in row.secrets if it["digest"] == digest and it["expires_at"] is not None]
    if any(_lasts(it, operator.now + OVERLAP / 2) for it in ending):
        return False
    row.configured_digest = digest
    if _is_current(row, secret):
        return False
    row.secrets = _followed(row, secret, operator.now)
    row.updated_at = operator.now
    values = {"others_until": (operator.now + OVERLAP).isoformat()}
    operator.changed(tx, tenant_id, "client.rotate_secret", row.id, values, client=row.id)
    return True


def _digest(secret: str | None) -> str | None:
    return None if secret is None else entropy.digest(secret)


def _stored(secret: str | None) -> list[dict[str, Any]]:
    return [] if secret is None else [{"digest": entropy.digest(secret), "expires_at": None}]


def _is_current(row: Client, secret: str | None) -> bool:
    lasting = [it["digest"] for it in row.secrets if it["expires_at"] is None]
    return secret is not None and lasting == [entropy.digest(secret)]


def _followed(row: Client, secret: str | None, now: datetime) -> list[dict[str, Any]]:
    """The new one, and those beside it that end; none where the client proves itself in another way now."""
    if secret is None:
        return []
    ending = []
    for it in row.secrets:
        if _lasts(it, now) and it["digest"] != entropy.digest(secret):
            last = now + OVERLAP if _lasts(it, now + OVERLAP) else _end(it)
            ending.append({"digest": it["digest"], "expires_at": last.isoformat()})
    return [*_stored(secret), *ending]


def _lasts(stored: dict[str, Any], moment: datetime) -> bool:
    return stored["expires_at"] is None or _end(stored) > moment


def _end(stored: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(stored["expires_at"])
