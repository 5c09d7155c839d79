"""Who performs an operation, and the one way to finish it: version bumped, event recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import Changed, Event
from authz.db.models import Tenant
from authz.db.versions import bump
from authz.envelope import Envelope
from authz.errors import NotFound
from authz.oauth.configuration import derived_key


@dataclass(frozen=True)
class Operator:
    """The acting person or program and the moment; `envelope` opens the tenant's audit key."""

    name: str
    now: datetime
    envelope: Envelope

    def audit_key(self, tx: Session, tenant_id: str) -> bytes:
        """What the heads of the tenant's audit strands are sealed with."""
        sealed = tx.scalars(select(Tenant.token_secret).where(Tenant.id == tenant_id)).one()
        return derived_key(self.envelope.open(sealed, "token_secret", tenant_id), "audit")

    def record(self, tx: Session, tenant_id: str, *events: Event) -> None:
        """Append to the tenant's audit trail; the last thing an operation does."""
        audit.record(tx, tenant_id, *events, key=self.audit_key(tx, tenant_id), now=self.now)

    def changed(
        self,
        tx: Session,
        tenant_id: str,
        what: str,
        target: str,
        values: Mapping[str, Any] | None = None,
        *,
        subject: str | None = None,
        client: str | None = None,
        also: Sequence[Event] = (),
    ) -> None:
        """Bump the configuration version and record the change, after the events it caused.

        Always in this order: operations that locked the tenant and its trail in two orders would deadlock.
        """
        bump(tx, tenant_id)
        event = Changed(
            what=what,
            target=target,
            values=values or {},
            actor=self.name,
            subject=subject,
            client=client,
        )
        self.record(tx, tenant_id, *also, event)


def load_tenant(tx: Session, slug: str) -> Tenant:
    """The tenant's row. Raises NotFound naming the slug."""
    row = tx.scalars(select(Tenant).where(Tenant.slug == slug)).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {slug!r}; `authz tenants list` shows them")
    return row
