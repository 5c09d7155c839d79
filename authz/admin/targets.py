"""Authorization servers that ID-JAGs are issued for, and what each is told (IDJAG-47, E12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients
from authz.admin.operator import Operator
from authz.admin.resources import load_target
from authz.db.models import Resource, TargetServer
from authz.errors import Conflict, Invalid, about
from authz.oauth.targets import TargetSettings, check_issuer, check_settings
from authz.policy.administration import Permission
from authz.tenants import is_slug


@dataclass(frozen=True)
class TargetLine:
    """An authorization server in a list."""

    slug: str
    issuer: str
    status: str
    servers: list[str]
    """The MCP servers of its own that are registered here."""
    settings: Mapping[str, Any]
    """What differs from the defaults."""
    created_at: datetime


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    slug: str,
    issuer: str,
    own_issuer: str,
    settings: Mapping[str, Any],
) -> TargetLine:
    """Know an authorization server. Raises Invalid naming the member, Conflict."""
    operator.must(Permission.TRUST_WRITE)
    if not is_slug(slug):
        raise Invalid(
            f"{slug!r} is not a name for an authorization server: lower-case letters, digits and inner hyphens, "
            "at most 63",
            field="slug",
        )
    check_issuer(issuer)
    if issuer == own_issuer:
        # What it may lead to here is policy without a detour (IDJAG-43).
        raise Invalid(
            f"{issuer} is this server; tokens for its MCP servers need no ID-JAG", field="issuer"
        )
    taken = tx.scalars(
        select(TargetServer.slug).where(
            TargetServer.tenant_id == tenant_id,
            (TargetServer.slug == slug) | (TargetServer.issuer == issuer),
        )
    ).first()
    if taken is not None:
        raise Conflict(
            f"there is an authorization server {taken!r} with this name or issuer already",
            field="slug" if taken == slug else "issuer",
        )
    row = TargetServer(
        id=entropy.new_id("tgt"),
        tenant_id=tenant_id,
        slug=slug,
        issuer=issuer,
        status="active",
        settings=_checked(tx, tenant_id, settings).as_json(),
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    values = {"issuer": issuer, "settings": row.settings}
    operator.changed(tx, tenant_id, "target.add", slug, values)
    return _line(tx, row)


def change(
    tx: Session, operator: Operator, tenant_id: str, slug: str, settings: Mapping[str, Any]
) -> TargetLine:
    """Change what is given; a null takes a member back to its default."""
    operator.must(Permission.TRUST_WRITE)
    row = load_target(tx, tenant_id, slug)
    merged = {**row.settings, **settings}
    checked = _checked(tx, tenant_id, {k: v for k, v in merged.items() if v is not None})
    row.settings, row.updated_at = checked.as_json(), operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "target.change", slug, {"settings": dict(settings)})
    return _line(tx, row)


def map_client(
    tx: Session, operator: Operator, tenant_id: str, slug: str, client_id: str, there: str | None
) -> TargetLine:
    """What a client of ours is called there; None: it is not known there (any more)."""
    operator.must(Permission.TRUST_WRITE)
    row = load_target(tx, tenant_id, slug)
    mapped = dict(row.settings.get("clients", {}))
    if there is None:
        mapped.pop(client_id, None)
    else:
        with about("client_id"):
            clients.load(tx, tenant_id, client_id)
        mapped[client_id] = there
    with about("there"):
        return change(tx, operator, tenant_id, slug, {"clients": mapped})


def set_status(
    tx: Session, operator: Operator, tenant_id: str, slug: str, status: str
) -> TargetLine:
    """Issue for it again, or no longer; what was issued is good for its minutes."""
    operator.must(Permission.TRUST_WRITE)
    if status not in ("active", "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    row = load_target(tx, tenant_id, slug)
    row.status, row.updated_at = status, operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "target.status", slug, {"status": status})
    return _line(tx, row)


def remove(tx: Session, operator: Operator, tenant_id: str, slug: str) -> TargetLine:
    """Forget it. Raises Conflict while MCP servers of its own are registered."""
    operator.must(Permission.TRUST_WRITE)
    row = load_target(tx, tenant_id, slug)
    line = _line(tx, row)
    if line.servers:
        raise Conflict(
            f"{slug} has {', '.join(line.servers)}; `authz targets disable {slug}` stops it without forgetting"
        )
    tx.delete(row)
    tx.flush()
    operator.changed(tx, tenant_id, "target.remove", slug, {"issuer": line.issuer})
    return line


def list_(tx: Session, tenant_id: str) -> list[TargetLine]:
    """All of them, by slug."""
    rows = tx.scalars(
        select(TargetServer).where(TargetServer.tenant_id == tenant_id).order_by(TargetServer.slug)
    ).all()
    return [_line(tx, row) for row in rows]


def show(tx: Session, tenant_id: str, slug: str) -> TargetLine:
    """One of them. Raises NotFound."""
    return _line(tx, load_target(tx, tenant_id, slug))


def _checked(tx: Session, tenant_id: str, settings: Mapping[str, Any]) -> TargetSettings:
    checked = check_settings(settings)
    with about("clients"):
        for client_id in checked.clients:
            clients.load(tx, tenant_id, client_id)
    return checked


def _line(tx: Session, row: TargetServer) -> TargetLine:
    servers = tx.scalars(
        select(Resource.identifier)
        .where(Resource.server_id == row.id)
        .order_by(Resource.identifier)
    )
    return TargetLine(
        slug=row.slug,
        issuer=row.issuer,
        status=row.status,
        servers=list(servers),
        settings=row.settings,
        created_at=row.created_at,
    )
