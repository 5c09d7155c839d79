"""Who performs an operation, whether they may, and the one way to finish it: version bumped, event recorded.

Every operation that changes something begins with `operator.must(...)`, so console, API and command line have the same
permission, and a page that forgets to ask opens nothing (V3). `tests/test_architecture.py` holds every operation to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import Changed, Event
from authz.db.models import Tenant
from authz.db.versions import bump
from authz.envelope import Envelope
from authz.errors import Forbidden, NeedsApproval, NotFound, StaleSignIn
from authz.oauth.configuration import derived_key
from authz.policy.administration import ADMIN_ROLES, FRESH, Permission

FRESH_FOR = timedelta(minutes=15)
"""How long a sign-in is good for changes of trust, keys and roles."""
EVERYTHING = frozenset(Permission)


@dataclass(frozen=True)
class Operator:
    """The acting person or program and the moment; `envelope` opens the tenant's audit key."""

    name: str
    now: datetime
    envelope: Envelope
    permissions: frozenset[Permission]
    user_id: str | None = None
    """The person, when it is one who signed in."""
    login: str | None = None
    home: str | None = None
    """The tenant they administer, by its slug; None for the machine's own."""
    references: tuple[str, ...] = ()
    """Beginnings of the secret references that somebody with a home may name (`secrets.allowed`)."""
    owned: frozenset[str] = frozenset()
    """The MCP servers they own, by id."""
    needs_second: bool = False
    """Whether changes of policy have to be approved by somebody else (`admin.changes`)."""
    is_seconded: bool = False
    """Whether somebody else approved what they do now."""
    agents_per_owner: int = 0
    """How many agents one person may answer for, by the settings; 0 is no quota."""
    authenticated_at: datetime | None = None
    """When the person last proved who they are; None for programs, which prove it at every call."""

    @classmethod
    def local(
        cls, name: str, now: datetime, envelope: Envelope, *, agents_per_owner: int = 0
    ) -> "Operator":
        """The server itself, or a shell on its machine: who reads the database and the keys has everything anyhow."""
        return cls(name, now, envelope, EVERYTHING, agents_per_owner=agents_per_owner)

    def may(self, permission: Permission, *, resource_id: str | None = None) -> bool:
        """Whether they hold it, or own the MCP server that is all it is about."""
        if permission in self.permissions:
            return True
        is_theirs = resource_id is not None and resource_id in self.owned
        return is_theirs and Permission.SERVERS_OWN in self.permissions

    def must(self, permission: Permission, *, resource_id: str | None = None) -> None:
        """The first line of every operation. Raises Forbidden, StaleSignIn, or NeedsApproval."""
        self.must_narrow(permission, resource_id=resource_id)
        if self.needs_second and permission is Permission.POLICY_WRITE:
            raise NeedsApproval(
                "changes of policy are approved by a second person here; ask for this one, with a reason",
                permission=permission,
            )

    def must_narrow(self, permission: Permission, *, resource_id: str | None = None) -> None:
        """The same for what can only take access away, which takes nobody else. Raises Forbidden, or StaleSignIn."""
        if not self.may(permission, resource_id=resource_id):
            raise Forbidden(_takes(permission), permission=permission)
        if permission in FRESH and self.is_stale:
            minutes = int(FRESH_FOR.total_seconds() // 60)
            raise StaleSignIn(
                f"this takes a sign-in of the last {minutes} minutes; sign in again",
                permission=permission,
            )

    def must_see(self, permission: Permission) -> None:
        """As `must`, for reading: no fresh sign-in. Raises Forbidden."""
        if not self.may(permission):
            raise Forbidden(_takes(permission), permission=permission)

    @property
    def is_stale(self) -> bool:
        """Whether they signed in too long ago for changes of trust, keys and roles."""
        return self.authenticated_at is not None and self.now - self.authenticated_at > FRESH_FOR

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
        event = self.event(what, target, values, subject=subject, client=client)
        self.record(tx, tenant_id, *also, event)

    def event(
        self,
        what: str,
        target: str,
        values: Mapping[str, Any] | None = None,
        *,
        subject: str | None = None,
        client: str | None = None,
    ) -> Changed:
        """What `changed` records; those of many things at once are for `changed_all`."""
        return Changed(
            what=what,
            target=target,
            values=values or {},
            actor=self.name,
            subject=subject,
            client=client,
        )

    def changed_all(self, tx: Session, tenant_id: str, events: Sequence[Changed]) -> None:
        """As `changed`, of many things at once: an event for each, and one new version for all of them."""
        if events:
            bump(tx, tenant_id)
            self.record(tx, tenant_id, *events)


def load_tenant(tx: Session, slug: str) -> Tenant:
    """The tenant's row. Raises NotFound naming the slug."""
    row = tx.scalars(select(Tenant).where(Tenant.slug == slug)).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {slug!r}; `authz tenants list` shows them")
    return row


def _takes(permission: Permission) -> str:
    roles = ", ".join(it.name for it in ADMIN_ROLES.values() if permission in it.permissions)
    return f"this takes the permission {permission}, which the admin roles {roles} hold"
