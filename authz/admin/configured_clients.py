"""Clients that the configuration file declares: the database is made to agree, and only a difference is a change."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients
from authz.admin.client_metadata import Registration, checked_metadata
from authz.admin.operator import Operator
from authz.db.models import Client, Tenant
from authz.errors import Conflict, NotFound
from authz.settings import ConfiguredClient, Settings


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
    stored = [] if secret is None else [{"digest": entropy.digest(secret), "expires_at": None}]
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
        tx.get_one(Client, (tenant_id, configured.id)).secrets = stored
        return "added"
    if row.kind != "registered":
        raise Conflict(f"client {configured.id!r} is {row.kind} here, not a registered client")
    wanted = (configured.name, metadata, stored, configured.scope_ceiling)
    if (row.name, row.metadata_, row.secrets, row.scope_ceiling) == wanted:
        return None
    row.name, row.metadata_, row.secrets, row.scope_ceiling = wanted
    row.updated_at = operator.now
    operator.changed(
        tx, tenant_id, "client.configure", configured.id, {"name": row.name}, client=row.id
    )
    return "changed"
