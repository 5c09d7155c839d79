"""MCP servers: add, default, disable, enable, owner, identity, look up. Their scopes are `admin.scopes`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.conditions import check_connections
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope, ScopeLine, check_scope, scopes_of, store_scope
from authz.db.models import Client, IssuedToken, Resource, Scope, TargetServer
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission
from authz.revocations.entries import RESOURCE, switch_off
from authz.urls import UrlError, canonical_resource, read_url

MAX_TEXT_CHARS = 200
SERVICE_ALLOWED, USER_REQUIRED = "service_allowed", "user_required"
IDENTITIES = (SERVICE_ALLOWED, USER_REQUIRED)
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True)
class ResourceLine:
    """An MCP server in a list."""

    id: str
    identifier: str
    name: str
    owner: str
    status: str
    is_default: bool
    scopes: int
    identity: str
    issued_by: str | None
    """The authorization server its tokens come from, if that is not this one."""


@dataclass(frozen=True)
class ResourceDetails:
    """An MCP server with its scopes, and what its operator has to publish."""

    id: str
    identifier: str
    name: str
    owner: str
    status: str
    is_default: bool
    identity: str
    issued_by: str | None
    client_id: str | None
    """The client with which it asks about its tokens."""
    status_list: bool
    created_at: datetime
    scopes: list[ScopeLine]
    metadata_url: str
    """Where clients look for the document (RFC 9728 §3.1)."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The document the server has to answer there (MCP-RS-01)."""


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    identifier: str,
    name: str,
    owner: str = "",
    scopes: Sequence[NewScope] = (),
    is_default: bool = False,
    issued_by: str | None = None,
) -> ResourceLine:
    """Register an MCP server. `identifier` is issued as `aud` exactly as spelled here.

    Without a named owner, whoever registers it answers for it (S17).
    With `issued_by`, the slug of another authorization server, no token for it is issued here: only ID-JAGs are.
    """
    operator.must(Permission.POLICY_WRITE)
    with about("issued_by"):
        server = None if issued_by is None else load_target(tx, tenant_id, issued_by)
    if server is not None and is_default:
        raise Invalid("the default is a server that tokens are issued for here")
    with about("identifier"):
        canonical = _canonical(identifier)
    taken = tx.scalars(
        select(Resource.identifier).where(
            Resource.tenant_id == tenant_id, Resource.canonical == canonical
        )
    ).one_or_none()
    if taken is not None:
        raise Conflict(f"the server {taken!r} is registered already", field="identifier")
    with about("scopes"):
        for scope in scopes:
            check_scope(scope)
            check_connections(tx, tenant_id, scope.requires)
    if len({scope.name for scope in scopes}) != len(scopes):
        raise Invalid("a scope is named twice", field="scopes")
    row = Resource(
        id=entropy.new_id("res"),
        tenant_id=tenant_id,
        identifier=identifier,
        canonical=canonical,
        name=_text("name", name or identifier),
        owner=_text("owner", owner or _acting(operator)),
        status="active",
        is_default=False,
        identity=SERVICE_ALLOWED,
        server_id=None if server is None else server.id,
        status_list=False,
        created_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    if is_default:
        _make_default(tx, row)
    for scope in scopes:
        store_scope(tx, operator, tenant_id, row.id, scope)
    tx.flush()
    values = {
        "resource": identifier,
        "default": is_default,
        "issued_by": issued_by,
        "scopes": {scope.name: scope.risk for scope in scopes},
    }
    operator.changed(tx, tenant_id, "resource.add", row.id, values)
    return _line(row, len(scopes), issued_by)


def set_identity(
    tx: Session, operator: Operator, tenant_id: str, reference: str, identity: str
) -> ResourceLine:
    """Whether there has to be a person behind every token for this server (M11)."""
    row = load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    if identity not in IDENTITIES:
        raise Invalid(
            f"identity {identity!r} is not one of {', '.join(IDENTITIES)}", field="identity"
        )
    row.identity = identity
    tx.flush()
    operator.changed(tx, tenant_id, "resource.identity", row.id, {"identity": identity})
    return _told(tx, row)


def set_default(tx: Session, operator: Operator, tenant_id: str, reference: str) -> ResourceLine:
    """The server that a request without `resource` is for (RI-04); the one before is it no longer."""
    operator.must(Permission.POLICY_WRITE)
    row = load(tx, tenant_id, reference)
    if row.server_id is not None:
        raise Conflict(f"no tokens for {row.identifier} are issued here")
    if row.status != "active":
        raise Conflict(f"{row.identifier} is disabled; `authz resources enable` comes first")
    _make_default(tx, row)
    operator.changed(tx, tenant_id, "resource.default", row.id, {"resource": row.identifier})
    return _told(tx, row)


def unset_default(tx: Session, operator: Operator, tenant_id: str, reference: str) -> ResourceLine:
    """No longer the server that a request without `resource` is for; a tenant may have none."""
    operator.must(Permission.POLICY_WRITE)
    row = load(tx, tenant_id, reference)
    row.is_default = False
    tx.flush()
    operator.changed(tx, tenant_id, "resource.not_default", row.id, {"resource": row.identifier})
    return _told(tx, row)


def set_name(
    tx: Session, operator: Operator, tenant_id: str, reference: str, name: str
) -> ResourceLine:
    """What people read; the URL stays."""
    row = load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    row.name = _text("name", name or row.identifier)
    tx.flush()
    operator.changed(tx, tenant_id, "resource.name", row.id, {"name": row.name})
    return _told(tx, row)


def set_status(
    tx: Session, operator: Operator, tenant_id: str, reference: str, status: str
) -> ResourceLine:
    """Switch a server off (no new tokens, refreshes fail, access tokens end) or on again.

    Raises Conflict for one that would go live without an owner (S17).
    """
    row = load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    if status not in ("active", "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    if status == "active" and not row.owner:
        raise Conflict(
            f"nobody is recorded to own {row.identifier}; `authz resources owner` comes first",
            field="status",
        )
    row.status = status
    tx.flush()
    if status == "disabled":
        which = IssuedToken.resource_id == row.id
        switch_off(
            tx, tenant_id, RESOURCE, [row.identifier], which, operator.now, resource_id=row.id
        )
    operator.changed(tx, tenant_id, "resource.status", row.id, {"status": status})
    return _told(tx, row)


def set_owner(
    tx: Session, operator: Operator, tenant_id: str, reference: str, owner: str
) -> ResourceLine:
    """Who answers for the server: a team or an address, shown to people."""
    operator.must(Permission.POLICY_WRITE)
    row = load(tx, tenant_id, reference)
    row.owner = _text("owner", owner)
    tx.flush()
    # Not the value: it may be somebody's address, and the trail keeps what it got.
    operator.changed(tx, tenant_id, "resource.owner", row.id)
    return _told(tx, row)


def set_client(
    tx: Session, operator: Operator, tenant_id: str, reference: str, client_id: str | None
) -> ResourceLine:
    """With which client the server asks about its tokens (RFC 7662); None: with none."""
    row = load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    if client_id is not None:
        client = tx.get(Client, (tenant_id, client_id))
        if client is None:
            raise NotFound(
                f"there is no client {client_id!r}; `authz clients list` shows them",
                field="client_id",
            )
        if client.metadata_.get("token_endpoint_auth_method", "none") == "none":
            raise Invalid(
                f"the client {client_id!r} does not authenticate, so its answers would be anybody's; "
                "use one with a secret or keys",
                field="client_id",
            )
    row.client_id = client_id
    tx.flush()
    operator.changed(tx, tenant_id, "resource.client", row.id, {"client": client_id})
    return _told(tx, row)


def set_status_list(
    tx: Session, operator: Operator, tenant_id: str, reference: str, *, wanted: bool
) -> ResourceLine:
    """Whether tokens for the server have a place in a token status list from now on."""
    row = load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    row.status_list = wanted
    tx.flush()
    operator.changed(tx, tenant_id, "resource.status_list", row.id, {"wanted": wanted})
    return _told(tx, row)


def list_(tx: Session, tenant_id: str) -> list[ResourceLine]:
    """All MCP servers of a tenant, by identifier."""
    counts = dict(
        tx.execute(
            select(Scope.resource_id, func.count())
            .where(Scope.tenant_id == tenant_id)
            .group_by(Scope.resource_id)
        ).all()
    )
    rows = tx.scalars(
        select(Resource).where(Resource.tenant_id == tenant_id).order_by(Resource.identifier)
    )
    servers = _slugs(tx, tenant_id)
    return [_line(row, counts.get(row.id, 0), servers.get(row.server_id or "")) for row in rows]


def show(tx: Session, tenant_id: str, reference: str, *, issuer: str) -> ResourceDetails:
    """One MCP server, with the metadata document that makes clients find this issuer."""
    row = load(tx, tenant_id, reference)
    scopes = scopes_of(tx, row.id)
    return ResourceDetails(
        id=row.id,
        identifier=row.identifier,
        name=row.name,
        owner=row.owner,
        status=row.status,
        is_default=row.is_default,
        identity=row.identity,
        issued_by=_slugs(tx, tenant_id).get(row.server_id or ""),
        client_id=row.client_id,
        status_list=row.status_list,
        created_at=row.created_at,
        scopes=scopes,
        metadata_url=metadata_url(row.identifier),
        metadata={
            "resource": row.identifier,
            "authorization_servers": [issuer],
            "scopes_supported": [scope.name for scope in scopes],
            "bearer_methods_supported": ["header"],
            "resource_name": row.name,
        },
    )


def load(tx: Session, tenant_id: str, reference: str) -> Resource:
    """The server an operator means by its URL or id. Raises NotFound."""
    is_id = reference.startswith("res_")
    wanted = Resource.id == reference if is_id else Resource.canonical == _canonical(reference)
    row = tx.scalars(select(Resource).where(Resource.tenant_id == tenant_id, wanted)).one_or_none()
    if row is None:
        raise NotFound(f"there is no MCP server {reference!r}; `authz resources list` shows them")
    return row


def metadata_url(identifier: str) -> str:
    """The well-known name goes between authority and path (RFC 9728 §3.1)."""
    parts = read_url("resource", identifier)
    authority = parts.host if parts.port is None else f"{parts.host}:{parts.port}"
    path = "" if parts.path == "/" else parts.path
    query = "" if parts.query is None else f"?{parts.query}"
    return f"{parts.scheme}://{authority}{WELL_KNOWN}{path}{query}"


def _canonical(text: str) -> str:
    try:
        return canonical_resource(text)
    except UrlError as error:
        raise Invalid(str(error)) from None


def _text(what: str, text: str) -> str:
    if len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise Invalid(
            f"the {what} of a server has {MAX_TEXT_CHARS} printable characters at most", field=what
        )
    return text


def _acting(operator: Operator) -> str:
    """Who answers for what the operator registers: a person by their login, which owns it from then on.

    A program or a shell is no person: with the spaces, which no login has, nobody can be provisioned who is called
    like it and would administer all that it registered.
    """
    if operator.login is not None and len(operator.login) <= MAX_TEXT_CHARS:
        return operator.login
    return f"{operator.name} (registered it)"


def _make_default(tx: Session, row: Resource) -> None:
    tx.execute(
        update(Resource)
        .where(Resource.tenant_id == row.tenant_id, Resource.id != row.id)
        .values(is_default=False)
    )
    row.is_default = True
    tx.flush()


def load_target(tx: Session, tenant_id: str, slug: str) -> TargetServer:
    """Another authorization server, by its short name. Raises NotFound."""
    row = tx.scalars(
        select(TargetServer).where(TargetServer.tenant_id == tenant_id, TargetServer.slug == slug)
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no authorization server {slug!r}; `authz targets list` shows them"
        )
    return row


def _slugs(tx: Session, tenant_id: str) -> dict[str, str]:
    rows = tx.execute(
        select(TargetServer.id, TargetServer.slug).where(TargetServer.tenant_id == tenant_id)
    )
    return {row.id: row.slug for row in rows}


def _told(tx: Session, row: Resource) -> ResourceLine:
    issued_by = _slugs(tx, row.tenant_id).get(row.server_id or "")
    return _line(row, len(scopes_of(tx, row.id)), issued_by)


def _line(row: Resource, scopes: int, issued_by: str | None) -> ResourceLine:
    return ResourceLine(
        id=row.id,
        identifier=row.identifier,
        name=row.name,
        owner=row.owner,
        status=row.status,
        is_default=row.is_default,
        scopes=scopes,
        identity=row.identity,
        issued_by=issued_by,
    )
