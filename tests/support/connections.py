"""Connections straight into the database, for tests that are not about adding them."""

from typing import Any

from authz import entropy
from authz.db.models import Connection, Domain


def connection(tenant_id: str, slug: str, now: Any, **changed: Any) -> Connection:
    """An active OpenID connection that may do nothing beyond signing in who is linked."""
    values: dict[str, Any] = {
        "kind": "oidc",
        "preset": "generic",
        "name": slug.title(),
        "status": "active",
        "settings": {},
        "is_listed": True,
        "provisions": False,
        "links_by_email": False,
        "created_at": now,
        "updated_at": now,
    }
    return Connection(
        id=entropy.new_id("con"), tenant_id=tenant_id, slug=slug, **{**values, **changed}
    )


def domain(
    row: Connection, name: str, now: Any, *, verified: bool = True, mandatory: bool = False
) -> Domain:
    """A domain of this connection."""
    return Domain(
        tenant_id=row.tenant_id,
        name=name,
        connection_id=row.id,
        challenge="authz-verification_x",
        is_mandatory=mandatory,
        created_at=now,
        verified_at=now if verified else None,
    )
