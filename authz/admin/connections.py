"""Connections to identity providers: add, change, switch off, remove, look up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.admin.references import check_references
from authz.db.models import Connection, Domain, Identity, IssuedToken, TokenFamily
from authz.errors import Conflict, Invalid, NotFound
from authz.federation.connections import ACTIVE
from authz.federation.connector import Renewed
from authz.federation.registry import CONNECTORS, Connectors
from authz.policy.administration import Permission
from authz.policy.requirements import LOCAL
from authz.revocations.entries import CONNECTION, switch_off
from authz.tenants import is_slug

MAX_NAME_CHARS = 100


@dataclass(frozen=True)
class ConnectionLine:
    """A connection in a list."""

    slug: str
    name: str
    kind: str
    preset: str
    status: str
    is_listed: bool
    provisions: bool
    links_by_email: bool
    domains: list[str]
    """Proved or not."""
    people: int
    """Who has signed in through it, or was provisioned."""
    created_at: datetime


@dataclass(frozen=True)
class ConnectionDetails(ConnectionLine):
    """A connection with what its connector needs. Secrets are references."""

    id: str
    settings: Mapping[str, Any]
    addresses: Mapping[str, str]
    """What has to be entered at the identity provider."""


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    connectors: Connectors,
    *,
    slug: str,
    kind: str,
    preset: str,
    name: str,
    settings: Mapping[str, Any],
    is_listed: bool = True,
    provisions: bool = False,
    links_by_email: bool = False,
    issuer: str,
) -> ConnectionDetails:
    """A new connection. Nothing of it is trusted beyond what its settings pin. Raises Invalid, Conflict."""
    operator.must(Permission.CONNECTIONS_WRITE)
    check_references(operator, settings)
    if not is_slug(slug) or slug == LOCAL:
        raise Invalid(
            f"{slug!r} is not a name for a connection: lower-case letters, digits and inner hyphens, at most 63, "
            "and neither `default` nor `local`",
            field="slug",
        )
    checked = _checked(connectors, kind, preset, settings)
    if _find(tx, tenant_id, slug) is not None:
        raise Conflict(f"there is a connection {slug!r} already", field="slug")
    _check_name(name)
    row = Connection(
        id=entropy.new_id("con"),
        tenant_id=tenant_id,
        slug=slug,
        kind=kind,
        preset=preset,
        name=name,
        status=ACTIVE,
        settings=dict(checked),
        is_listed=is_listed,
        provisions=provisions,
        links_by_email=links_by_email,
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    values = {"kind": kind, "preset": preset, "settings": dict(checked)}
    operator.changed(tx, tenant_id, "connection.add", slug, values)
    return show(tx, tenant_id, slug, issuer)


def change(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    connectors: Connectors,
    slug: str,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    is_listed: bool | None = None,
    provisions: bool | None = None,
    links_by_email: bool | None = None,
    issuer: str,
) -> ConnectionDetails:
    """Change what is given; `settings` are merged into the stored ones, a null takes a member out."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = load(tx, tenant_id, slug)
    values: dict[str, Any] = {}
    if settings is not None:
        check_references(operator, settings, known=row.settings)
        merged = {**row.settings, **settings}
        kept = {member: value for member, value in merged.items() if value is not None}
        checked = _checked(connectors, row.kind, row.preset, kept)
        values["settings"] = dict(settings)
        row.settings = dict(checked)
    if name is not None:
        _check_name(name)
        row.name = values["name"] = name
    for member, wanted in (
        ("is_listed", is_listed),
        ("provisions", provisions),
        ("links_by_email", links_by_email),
    ):
        if wanted is not None:
            setattr(row, member, wanted)
            values[member] = wanted
    row.updated_at = operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "connection.change", slug, values)
    return show(tx, tenant_id, slug, issuer)


def renew(
    tx: Session, operator: Operator, tenant_id: str, slug: str, found: Renewed
) -> ConnectionLine:
    """Take over what the provider publishes of itself; `found` was fetched before, from the settings stored now."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = load(tx, tenant_id, slug)
    row.settings, row.updated_at = dict(found.settings), operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "connection.renew", slug, {"changes": list(found.changes)})
    return _line(tx, row)


def set_status(
    tx: Session, operator: Operator, tenant_id: str, slug: str, status: str
) -> ConnectionLine:
    """Switch it off or on. Off: nobody signs in through it, and nothing that came from it is good any more."""
    operator.must(Permission.CONNECTIONS_WRITE)
    if status not in (ACTIVE, "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    row = load(tx, tenant_id, slug)
    row.status, row.updated_at = status, operator.now
    tx.flush()
    if status != ACTIVE:
        _cut_off(tx, operator, row)
    operator.changed(tx, tenant_id, "connection.status", slug, {"status": status})
    return _line(tx, row)


def remove(tx: Session, operator: Operator, tenant_id: str, slug: str) -> ConnectionLine:
    """Forget it, its links, domains and mappings. Accounts stay; whoever only came through it cannot sign in."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = load(tx, tenant_id, slug)
    line = _line(tx, row)
    _cut_off(tx, operator, row)
    tx.delete(row)
    tx.flush()
    operator.changed(tx, tenant_id, "connection.remove", slug, {"people": line.people})
    return line


def list_(tx: Session, tenant_id: str) -> list[ConnectionLine]:
    """All of them by slug."""
    rows = tx.scalars(
        select(Connection).where(Connection.tenant_id == tenant_id).order_by(Connection.slug)
    )
    return [_line(tx, row) for row in rows]


def show(tx: Session, tenant_id: str, slug: str, issuer: str) -> ConnectionDetails:
    """Everything about one. Raises NotFound."""
    row = load(tx, tenant_id, slug)
    base = f"{issuer}/federation/{slug}"
    return ConnectionDetails(
        **vars(_line(tx, row)),
        id=row.id,
        settings=row.settings,
        addresses=_ADDRESSES[row.kind](base) if row.kind in _ADDRESSES else {},
    )


def load(tx: Session, tenant_id: str, slug: str) -> Connection:
    """The row. Raises NotFound."""
    row = _find(tx, tenant_id, slug)
    if row is None:
        raise NotFound(f"there is no connection {slug!r}; `authz connections list` shows them")
    return row


_ADDRESSES = {
    "oidc": lambda base: {
        "redirect_uri": f"{base}/callback",
        "backchannel_logout_uri": f"{base}/backchannel-logout",
        "initiate_login_uri": f"{base}/initiate",
    },
    "saml": lambda base: {"entity_id": f"{base}/metadata", "acs_url": f"{base}/acs"},
}


def _find(tx: Session, tenant_id: str, slug: str) -> Connection | None:
    return tx.scalars(
        select(Connection).where(Connection.tenant_id == tenant_id, Connection.slug == slug)
    ).one_or_none()


def _cut_off(tx: Session, operator: Operator, row: Connection) -> None:
    families = select(TokenFamily.id).where(TokenFamily.connection_id == row.id)
    which = IssuedToken.family_id.in_(families)
    switch_off(tx, row.tenant_id, CONNECTION, [row.slug], which, operator.now)


def _checked(
    connectors: Connectors, kind: str, preset: str, settings: Mapping[str, Any]
) -> Mapping[str, Any]:
    if kind not in CONNECTORS:
        raise Invalid(
            f"{kind!r} is no kind of identity provider; known are {', '.join(CONNECTORS)}",
            field="kind",
        )
    return connectors.of(kind).check(settings, preset)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(
            f"the name of a connection has 1 to {MAX_NAME_CHARS} printable characters", field="name"
        )


def _line(tx: Session, row: Connection) -> ConnectionLine:
    people = tx.scalar(
        select(func.count()).select_from(Identity).where(Identity.connection_id == row.id)
    )
    domains = tx.scalars(
        select(Domain.name).where(Domain.connection_id == row.id).order_by(Domain.name)
    )
    return ConnectionLine(
        slug=row.slug,
        name=row.name,
        kind=row.kind,
        preset=row.preset,
        status=row.status,
        is_listed=row.is_listed,
        provisions=row.provisions,
        links_by_email=row.links_by_email,
        domains=list(domains),
        people=people or 0,
        created_at=row.created_at,
    )
