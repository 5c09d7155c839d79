"""Who administers, keys, the settings of a tenant, the tenants themselves; and the trail of all that was done."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from authz.admin import admins, audit, audit_holds, explain, keys, tenants
from authz.admin.admins import AdminLine
from authz.admin.audit_holds import HoldLine, Retention
from authz.admin.explain import Explanation
from authz.admin.keys import KeyLine
from authz.admin.paging import Slice
from authz.admin.tenants import TenantLine
from authz.admin.trace_events import Entry
from authz.errors import Invalid
from authz.policy.administration import ADMIN_ROLES, AdminRole, Permission
from authz.web.api.kit import TENANT, Change, Listing, Look, Route, Thing, Window, listed

_EXACT = ("person", "subject", "actor", "client", "resource", "kind", "reason")


@dataclass(frozen=True)
class Bearer:
    """Who asks, as this server sees them."""

    name: str
    user_id: str | None
    login: str | None
    permissions: list[str]
    owned: list[str]
    """The MCP servers they own, by id."""
    signed_in_at: datetime | None
    is_stale: bool
    """Whether a change of trust, keys or roles takes a new sign-in first."""


def _bearer(look: Look) -> Bearer:
    who = look.operator
    return Bearer(
        name=who.name,
        user_id=who.user_id,
        login=who.login,
        permissions=sorted(who.permissions),
        owned=sorted(who.owned),
        signed_in_at=who.authenticated_at,
        is_stale=who.is_stale,
    )


def _trail(look: Look, part: Window) -> Slice[Entry]:
    found = audit.search(
        look.tx,
        look.tenant_id,
        **{name: part.find(name) for name in _EXACT},
        since=_moment(part, "since"),
        until=_moment(part, "until"),
        after=part.after,
        limit=part.limit,
    )
    return Slice(found.entries, found.next)


def _moment(part: Window, name: str) -> datetime | None:
    text = part.find(name)
    if text is None:
        return None
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    raise Invalid(f"{name} {text[:80]!r} is no moment; write 2026-12-31T00:00:00Z")


def _admin_roles(_: Look) -> Sequence[AdminRole]:
    return list(ADMIN_ROLES.values())


def _settings(look: Look) -> TenantLine:
    return tenants.show(look.tx, look.base, look.tenant.slug)


ADMIN = Thing(
    "/admins/{role}/{kind}/{holder}",
    "admin",
    "One administrator",
    lambda look: admins.show(
        look.tx,
        look.tenant_id,
        role=look.path["role"],
        kind=look.path["kind"],
        holder=look.path["holder"],
    ),
    AdminLine,
)
SETTINGS = Thing("/settings", "settings", "The settings of this tenant", _settings, TenantLine)
RETENTION = Thing(
    "/audit-retention",
    "audit_retention",
    "How long events are kept; `days` is null where that is for ever",
    lambda look: audit_holds.retention(look.tx, look.tenant_id),
    Retention,
    permission=Permission.AUDIT_READ,
)
TENANT_THING = Thing(
    "/tenants/{slug}",
    "tenant",
    "One tenant",
    lambda look: tenants.show(look.tx, look.base, look.path["slug"]),
    TenantLine,
    is_of_base=True,
)
_OWN = {TENANT: "slug"}

ROUTES: tuple[Route, ...] = (
    Thing("/me", "me", "Who asks, and what they may do", _bearer, Bearer),
    Listing(
        "/admins",
        "admins",
        "Who administers, by role",
        listed(lambda look: admins.list_(look.tx, look.tenant_id), *("role", "holder_id", "kind")),
        AdminLine,
    ),
    Listing(
        "/admin-roles",
        "admin_roles",
        "What admin roles may",
        listed(_admin_roles, "name"),
        AdminRole,
    ),
    Change(
        "POST",
        "/admins",
        "admins.grant",
        "Give an admin role; an existing binding gets the new end",
        made=lambda it: (it.role, it.kind, it.holder),
    ),
    ADMIN,
    Change(
        "DELETE",
        "/admins/{role}/{kind}/{holder}",
        "admins.revoke",
        "Take an admin role away, at once",
        inputs={"role": "role", "kind": "kind", "holder": "holder"},
        thing=ADMIN,
    ),
    Listing(
        "/keys",
        "keys",
        "Signing keys with their state",
        listed(
            lambda look: keys.list_(look.tx, look.tenant_id, look.now),
            *("purpose", "algorithm", "activate_at", "id"),
        ),
        KeyLine,
    ),
    Change(
        "POST",
        "/keys/rotate",
        "keys.rotate",
        "Publish a successor; `at_once` where the old key is in wrong hands",
    ),
    Thing(
        "/tokens/{jti}",
        "token",
        "Why an access token holds what it holds",
        lambda look: explain.explain(look.tx, look.tenant_id, look.path["jti"], look.now),
        Explanation,
    ),
    Listing(
        "/audit",
        "audit",
        "The audit trail, the newest first",
        _trail,
        Entry,
        filters={
            **dict.fromkeys(_EXACT, "Exactly this"),
            "person": "Whom it is about, or who did it, by id",
            "since": "Not before this moment",
            "until": "Before this moment",
        },
        searches=False,
        permission=Permission.AUDIT_READ,
    ),
    Listing(
        "/audit-holds",
        "audit_holds",
        "Legal holds, also those that are over: of whom, by whom, why and until when",
        listed(
            lambda look: audit_holds.list_(look.tx, look.tenant_id, look.now), *("placed_at", "id")
        ),
        HoldLine,
        permission=Permission.AUDIT_READ,
    ),
    Change(
        "POST",
        "/audit-holds",
        "audit_holds.place",
        "Keep what the trail tells of a person, or all of it, whatever the retention is",
        made=lambda it: (it.id,),
    ),
    Thing(
        "/audit-holds/{hold}",
        "audit_hold",
        "One legal hold",
        lambda look: audit_holds.show(look.tx, look.tenant_id, look.path["hold"], look.now),
        HoldLine,
        permission=Permission.AUDIT_READ,
    ),
    Change(
        "POST",
        "/audit-holds/{hold}/release",
        "audit_holds.release",
        "End a legal hold; what is older than the retention is removed within the hour",
        inputs={"hold": "hold_id"},
    ),
    RETENTION,
    Change(
        "PUT",
        "/audit-retention",
        "audit_holds.set_retention",
        "How many days events are kept, or null; older ones are removed for good",
        thing=RETENTION,
    ),
    SETTINGS,
    Change(
        "PUT",
        "/settings/name",
        "tenants.rename",
        "What people read at the top of every page",
        inputs=_OWN,
        thing=SETTINGS,
    ),
    Change(
        "PUT",
        "/settings/client-trust",
        "tenants.set_client_trust",
        "What a metadata document needs to be used here",
        inputs=_OWN,
        thing=SETTINGS,
    ),
    Change(
        "PUT",
        "/settings/registration",
        "tenants.set_registration",
        "Who may register a client by itself",
        inputs=_OWN,
        thing=SETTINGS,
    ),
    Change(
        "PUT",
        "/settings/change-control",
        "tenants.set_change_control",
        "Whether changes of policy take a second person",
        inputs=_OWN,
        thing=SETTINGS,
    ),
    Change(
        "PUT",
        "/settings/scope-changes",
        "tenants.set_scope_changes",
        "Whether a tool that is added to a scope waits for a review",
        inputs=_OWN,
        thing=SETTINGS,
    ),
    Listing(
        "/tenants",
        "tenants",
        "All tenants, by name",
        listed(lambda look: tenants.list_(look.tx, look.base), "slug"),
        TenantLine,
        is_of_base=True,
    ),
    Change(
        "POST",
        "/tenants",
        "tenants.create",
        "A new issuer with keys, clients, people and policy of its own",
        is_of_base=True,
        made=lambda it: (it.slug,),
        told=lambda look, it: tenants.show(look.tx, look.base, it.slug),
        kind=TenantLine,
    ),
    TENANT_THING,
    Change(
        "PUT",
        "/tenants/{slug}/status",
        "tenants.set_status",
        "Switch a whole tenant off or on",
        inputs={"slug": "slug"},
        thing=TENANT_THING,
        is_of_base=True,
    ),
)
