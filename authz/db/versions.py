"""The number that says whether what is remembered of a tenant's configuration is still true."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from authz.db.models import Tenant


def bump(tx: Session, tenant_id: str) -> None:
    """Call in every transaction that changes what `oauth.configuration` reads, or a client."""
    tx.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id)
        .values(config_version=Tenant.config_version + 1)
    )
