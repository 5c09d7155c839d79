"""Tenants: create with everything an issuer needs, disable, say which clients are let in."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.client_trust import cut_off_fallen, trust_policy
from authz.admin.keys import add_first_keys
from authz.admin.operator import Operator, load_tenant
from authz.clients.trust import MODES
from authz.db.models import IssuedToken, Tenant
from authz.errors import Conflict, Invalid
from authz.keys import NewKey
from authz.policy.administration import Permission
from authz.revocations.entries import TENANT, switch_off
from authz.tenants import (
    CHANGE_CONTROL_MODES,
    DEFAULT_SLUG,
    REGISTRATION_MODES,
    SCOPE_CHANGES_MODES,
    is_slug,
    issuer_of,
)

MAX_NAME_CHARS = 100


@dataclass(frozen=True)
class TenantLine:
    """A tenant in a list."""

    id: str
    slug: str
    name: str
    issuer: str
    status: str
    client_trust: str
    registration: str
    change_control: str
    scope_changes: str


def create(
    tx: Session,
    operator: Operator,
    *,
    slug: str,
    name: str,
    client_trust: str,
    keys: Sequence[NewKey],
) -> Tenant:
    """A new issuer with keys and secrets of its own. `keys` come from `admin.keys.generate_first`.

    Raises Invalid for a bad slug or trust mode, Conflict when the slug is taken.
    """
    operator.must(Permission.TENANTS_WRITE)
    if slug != DEFAULT_SLUG and not is_slug(slug):
        raise Invalid(
            f"{slug!r} is not a slug: lower-case letters, digits and inner hyphens, at most 63",
            field="slug",
        )
    if client_trust not in MODES:
        raise Invalid(
            f"client trust {client_trust!r} is not one of {', '.join(MODES)}", field="client_trust"
        )
    if tx.scalars(select(Tenant.id).where(Tenant.slug == slug)).one_or_none() is not None:
        raise Conflict(f"the tenant {slug!r} exists already", field="slug")
    tenant_id = entropy.new_id("ten")
    _check_name(name)
    row = Tenant(
        id=tenant_id,
        slug=slug,
        name=name,
        status="active",
        config_version=1,
        client_trust=client_trust,
        registration="off",
        token_secret=operator.envelope.seal(entropy.new_key(), "token_secret", tenant_id),
        created_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    add_first_keys(tx, operator, tenant_id, keys)
    operator.changed(tx, tenant_id, "tenant.create", slug, {"name": name, "trust": client_trust})
    return row


def default_trust(*, development: bool) -> str:
    """The trust mode a new tenant gets when nobody says: only what was approved, outside of development."""
    return "open" if development else "allow_list"


def exist(tx: Session) -> bool:
    """Whether there is any tenant: an installation without one cannot serve anybody."""
    return tx.scalars(select(Tenant.id).limit(1)).first() is not None


def list_(tx: Session, base: str) -> list[TenantLine]:
    """All tenants, by slug."""
    return [_line(row, base) for row in tx.scalars(select(Tenant).order_by(Tenant.slug))]


def show(tx: Session, base: str, slug: str) -> TenantLine:
    """One tenant. Raises NotFound."""
    return _line(load_tenant(tx, slug), base)


def set_status(tx: Session, operator: Operator, *, slug: str, status: str) -> None:
    """Switch a whole tenant off or on; a disabled issuer answers 404 everywhere."""
    operator.must(Permission.TENANTS_WRITE)
    if status not in ("active", "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    row = load_tenant(tx, slug)
    row.status = status
    tx.flush()
    if status == "disabled":
        which = IssuedToken.tenant_id == row.id
        switch_off(tx, row.id, TENANT, [slug], which, operator.now)
    operator.changed(tx, row.id, "tenant.status", slug, {"status": status})


def rename(tx: Session, operator: Operator, *, slug: str, name: str) -> None:
    """What people read at the top of every page; the issuer stays what it is."""
    operator.must(_settings_of(operator, slug))
    _check_name(name)
    row = load_tenant(tx, slug)
    row.name = name
    operator.changed(tx, row.id, "tenant.rename", slug, {"name": name})


def set_client_trust(tx: Session, operator: Operator, *, slug: str, mode: str) -> None:
    """What a metadata document needs to be used here: `open`, `allow_list` or `deny_list`."""
    operator.must(_settings_of(operator, slug))
    if mode not in MODES:
        raise Invalid(f"client trust {mode!r} is not one of {', '.join(MODES)}", field="mode")
    row = load_tenant(tx, slug)
    before = trust_policy(tx, row.id)
    row.client_trust = mode
    tx.flush()
    cut_off_fallen(tx, operator, row.id, before)
    operator.changed(tx, row.id, "tenant.client_trust", slug, {"mode": mode})


def set_registration(tx: Session, operator: Operator, *, slug: str, mode: str) -> None:
    """Who may register a client by itself: nobody (`off`), holders of an initial access `token`, or anybody (`open`).

    Clients that registered while it was on go on working; `clients.remove` and `clients.block` end them.
    """
    operator.must(_settings_of(operator, slug))
    if mode not in REGISTRATION_MODES:
        raise Invalid(
            f"registration {mode!r} is not one of {', '.join(REGISTRATION_MODES)}", field="mode"
        )
    row = load_tenant(tx, slug)
    row.registration = mode
    operator.changed(tx, row.id, "tenant.registration", slug, {"mode": mode})


def _line(row: Tenant, base: str) -> TenantLine:
    return TenantLine(
        id=row.id,
        slug=row.slug,
        name=row.name,
        issuer=issuer_of(base, row.slug),
        status=row.status,
        client_trust=row.client_trust,
        registration=row.registration,
        change_control=row.change_control,
        scope_changes=row.scope_changes,
    )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(
            f"the name of a tenant has 1 to {MAX_NAME_CHARS} printable characters", field="name"
        )


def set_change_control(tx: Session, operator: Operator, *, slug: str, mode: str) -> None:
    """Whether changes of policy take a second person from now on.

    An owner decides this alone, also to switch it off: without one nobody could, and the trail tells of it.
    """
    operator.must(Permission.ADMINS_WRITE)
    if mode not in CHANGE_CONTROL_MODES:
        raise Invalid(
            f"change control {mode!r} is not one of {', '.join(CHANGE_CONTROL_MODES)}", field="mode"
        )
    if operator.home not in (None, slug):
        operator.must(Permission.TENANTS_WRITE)
    row = load_tenant(tx, slug)
    row.change_control = mode
    operator.changed(tx, row.id, "tenant.change_control", slug, {"mode": mode})


def set_scope_changes(tx: Session, operator: Operator, *, slug: str, mode: str) -> None:
    """Whether a tool that is added to a scope from now on counts at once, or when somebody else reviewed it (S12).

    What waits goes on waiting when it is switched off, until it is approved.
    """
    operator.must(Permission.ADMINS_WRITE)
    if mode not in SCOPE_CHANGES_MODES:
        raise Invalid(
            f"scope changes {mode!r} is not one of {', '.join(SCOPE_CHANGES_MODES)}", field="mode"
        )
    if operator.home not in (None, slug):
        operator.must(Permission.TENANTS_WRITE)
    row = load_tenant(tx, slug)
    row.scope_changes = mode
    operator.changed(tx, row.id, "tenant.scope_changes", slug, {"mode": mode})


def _settings_of(operator: Operator, slug: str) -> Permission:
    """The settings of one's own tenant, or another tenant's."""
    return Permission.SETTINGS_WRITE if operator.home == slug else Permission.TENANTS_WRITE
