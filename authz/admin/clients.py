"""Clients: pre-register, rotate secrets, block, approve, bound, limit, remove, look up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.admins import guard_ceiling, guard_client
from authz.admin.client_metadata import SECRET_METHODS, Registration, checked_metadata
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.admin.revocation import cut_off_clients, revoke_families
from authz.audit.events import Event
from authz.db.models import AgentClient, Client, Consent, Delegation
from authz.directory import groups as directory
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission
from authz.policy.scopes import is_scope_name

RESERVED_PREFIXES = ("usr_", "agt_", "grp_", "wkl_")
"""Kinds of `sub` that a client identifier must never be taken for (O21-28)."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,126}")


@dataclass(frozen=True)
class ClientLine:
    """A client in a list."""

    id: str
    name: str
    kind: str
    status: str
    auth_method: str
    created_at: datetime


@dataclass(frozen=True)
class ClientDetails(ClientLine):
    """A client with its rules; never a secret, only until when each is good."""

    metadata: Mapping[str, Any]
    scope_ceiling: frozenset[str] | None
    groups: list[str] | None
    """Names of the groups of people it is limited to; null is everybody. Of a group that is gone, nothing."""
    secrets: list[str | None]
    """When each stored secret expires; null is never."""


@dataclass(frozen=True)
class WithSecret:
    """A client and the secret that is shown this once; only its digest is stored."""

    client: ClientLine
    secret: str | None

    def __repr__(self) -> str:
        return f"WithSecret({self.client.id!r})"


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    registration: Registration,
    *,
    client_id: str | None = None,
    scope_ceiling: frozenset[str] | None = None,
) -> WithSecret:
    """Pre-register a client. Its identifier is generated unless the operator chooses one."""
    operator.must(Permission.CLIENTS_WRITE)
    guard_ceiling(operator, scope_ceiling)
    chosen = entropy.new_id("cli") if client_id is None else _check_id(client_id)
    if tx.get(Client, (tenant_id, chosen)) is not None:
        raise Conflict(f"there is a client {chosen!r} already", field="client_id")
    with about("scope_ceiling"):
        ceiling = _check_ceiling(scope_ceiling)
    secret = entropy.new_token("cls") if registration.auth_method in SECRET_METHODS else None
    row = Client(
        tenant_id=tenant_id,
        id=chosen,
        kind="registered",
        status="active",
        name=registration.name,
        metadata_=checked_metadata(registration),
        secrets=[] if secret is None else [_stored(secret, None)],
        scope_ceiling=ceiling,
        fetched_at=None,
        fresh_until=None,
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    values = _values(registration)
    operator.changed(tx, tenant_id, "client.add", chosen, values, client=chosen)
    return WithSecret(line(row), secret)


def change_registration(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, registration: Registration
) -> ClientDetails:
    """Describe a registered client anew, whole. People are asked again where what identifies it to them changed.

    Its secrets stay as long as it proves itself with one; `rotate_secret` makes the first of one that did not before.
    """
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    if row.kind != "registered":
        raise Conflict(f"the client {client_id!r} was not registered here; it is {row.kind}")
    guard_client(tx, operator, row)
    row.metadata_ = checked_metadata(registration)
    row.name, row.updated_at = registration.name, operator.now
    if registration.auth_method not in SECRET_METHODS:
        row.secrets = []
    tx.flush()
    values = _values(registration)
    operator.changed(tx, tenant_id, "client.change", client_id, values, client=client_id)
    return details(tx, row)


def rotate_secret(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, *, overlap: timedelta
) -> WithSecret:
    """A new secret; the ones before stay good for `overlap`, so that a deployment can follow."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    guard_client(tx, operator, row)
    if row.kind != "registered" or _method(row) not in SECRET_METHODS:
        raise Conflict(f"the client {client_id!r} authenticates with {_method(row)}, not a secret")
    until = operator.now + overlap
    kept = []
    for stored in row.secrets:
        expires_at = stored["expires_at"] and datetime.fromisoformat(stored["expires_at"])
        if overlap and (expires_at is None or expires_at > operator.now):
            last = until if expires_at is None else min(until, expires_at)
            kept.append({"digest": stored["digest"], "expires_at": last.isoformat()})
    secret = entropy.new_token("cls")
    row.secrets = [*kept, _stored(secret, None)]
    row.updated_at = operator.now
    tx.flush()
    values = {"others_until": until.isoformat() if kept else None}
    operator.changed(tx, tenant_id, "client.rotate_secret", client_id, values, client=client_id)
    return WithSecret(line(row), secret)


def block(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> int:
    """Refuse the client everywhere and revoke what it holds; answers how many grants ended."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    row.status, row.updated_at = "blocked", operator.now
    tx.flush()
    revoked = revoke_families(
        tx, operator, tenant_id, because="client_blocked", client_id=client_id
    )
    cut_off_clients(tx, operator, tenant_id, [client_id])
    values = {"status": "blocked", "revoked_grants": len(revoked)}
    operator.changed(
        tx, tenant_id, "client.status", client_id, values, client=client_id, also=revoked
    )
    return len(revoked)


def unblock(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> ClientLine:
    """Admit the client again: a registered one as before, another one as one that nobody has approved."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    if row.status != "blocked":
        raise Conflict(f"the client {client_id!r} is not blocked, it is {row.status}")
    row.status = "active" if row.kind == "registered" else "known"
    row.updated_at = operator.now
    tx.flush()
    operator.changed(
        tx, tenant_id, "client.status", client_id, {"status": row.status}, client=client_id
    )
    return line(row)


def is_self_registered(tx: Session, tenant_id: str, client_id: str) -> bool:
    """Whether this is a client that registered itself."""
    row = tx.get(Client, (tenant_id, client_id))
    return row is not None and row.kind == "dynamic"


def approve(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> ClientLine:
    """Vouch for a client that registered itself: people see it as reviewed, until it changes its registration."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    if row.kind != "dynamic":
        raise Conflict(f"the client {client_id!r} did not register itself; it is {row.kind}")
    if row.status != "known":
        raise Conflict(f"the client {client_id!r} is {row.status}, not waiting for approval")
    row.status, row.accepted, row.updated_at = "active", None, operator.now
    tx.flush()
    operator.changed(
        tx, tenant_id, "client.approve", client_id, {"name": row.name}, client=client_id
    )
    return line(row)


def set_ceiling(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, scopes: frozenset[str] | None
) -> ClientDetails:
    """What the client may ever get, whatever a user's role says; None takes the bound away."""
    operator.must(Permission.CLIENTS_WRITE)
    guard_ceiling(operator, scopes)
    row = load(tx, tenant_id, client_id)
    row.scope_ceiling, row.updated_at = _check_ceiling(scopes), operator.now
    tx.flush()
    values = {"scopes": None if scopes is None else sorted(scopes)}
    operator.changed(tx, tenant_id, "client.ceiling", client_id, values, client=client_id)
    return details(tx, row)


def set_groups(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, groups: frozenset[str] | None
) -> ClientDetails:
    """Limit the client to people in one of these groups; None lets everybody use it. Raises NotFound.

    Whoever is in none of them gets nothing more through it; their access tokens live out their minutes.
    """
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    guard_client(tx, operator, row)
    with about("groups"):
        found = None if groups is None else directory.load_all(tx, tenant_id, groups)
    row.groups = None if found is None else sorted(it.id for it in found)
    row.updated_at = operator.now
    tx.flush()
    values = {"groups": None if found is None else sorted(it.name for it in found)}
    operator.changed(tx, tenant_id, "client.groups", client_id, values, client=client_id)
    return details(tx, row)


def set_audience(
    tx: Session, operator: Operator, tenant_id: str, client_id: str, *, token_endpoint: bool
) -> ClientDetails:
    """Whether its assertions may name the token endpoint besides the issuer, while it migrates (JB-28)."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, client_id)
    if row.kind != "registered" or _method(row) != "private_key_jwt":
        raise Conflict(f"the client {client_id!r} was not registered here with private_key_jwt")
    if token_endpoint and row.metadata_.get("fapi"):
        raise Conflict(f"the client {client_id!r} is held to FAPI: its assertions name the issuer")
    kept = {n: v for n, v in row.metadata_.items() if n != "token_endpoint_audience"}
    row.metadata_ = {**kept, "token_endpoint_audience": True} if token_endpoint else kept
    row.updated_at = operator.now
    tx.flush()
    values = {"token_endpoint": token_endpoint}
    operator.changed(tx, tenant_id, "client.audience", client_id, values, client=client_id)
    return details(tx, row)


def remove(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> int:
    """Forget the client and the consents for it, and revoke what it holds; answers how many grants ended."""
    operator.must(Permission.CLIENTS_WRITE)
    revoked = forget(tx, operator, load(tx, tenant_id, client_id))
    cut_off_clients(tx, operator, tenant_id, [client_id])
    values = {"revoked_grants": len(revoked)}
    operator.changed(
        tx, tenant_id, "client.remove", client_id, values, client=client_id, also=revoked
    )
    return len(revoked)


def forget(tx: Session, operator: Operator, row: Client) -> list[Event]:
    """Take a client and the consents for it away and end its grants; answers the events of that, to be recorded.

    Its access tokens are `cut_off_clients`, which the caller does once for all that it forgets.
    """
    tenant_id, client_id = row.tenant_id, row.id
    revoked = revoke_families(
        tx, operator, tenant_id, because="client_removed", client_id=client_id
    )
    tx.execute(
        delete(Consent).where(Consent.tenant_id == tenant_id, Consent.client_id == client_id)
    )
    # Another client of this name would be the agent's without anybody having said so.
    for table in (AgentClient, Delegation):
        tx.execute(delete(table).where(table.tenant_id == tenant_id, table.client_id == client_id))
    tx.delete(row)
    tx.flush()
    return revoked


def list_(tx: Session, tenant_id: str) -> list[ClientLine]:
    """All clients this tenant knows, by name."""
    rows = tx.scalars(
        select(Client).where(Client.tenant_id == tenant_id).order_by(Client.name, Client.id)
    )
    return [line(row) for row in rows]


def page(
    tx: Session,
    tenant_id: str,
    *,
    matching: str = "",
    status: str | None = None,
    kind: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[ClientLine]:
    """The same, a part at a time; those whose identifier or name holds `matching`."""
    check_limit(limit)
    query = select(Client).where(
        Client.tenant_id == tenant_id, *behind(after, Client.name, Client.id)
    )
    if matching:
        held = [it.contains(matching, autoescape=True) for it in (Client.id, Client.name)]
        query = query.where(or_(*held))
    if status is not None:
        query = query.where(Client.status == status)
    if kind is not None:
        query = query.where(Client.kind == kind)
    rows = tx.scalars(query.order_by(Client.name, Client.id).limit(limit + 1))
    lines = [line(row) for row in rows]
    return sliced(lines, limit, [cursor_of(it.name, it.id) for it in lines])


def show(tx: Session, tenant_id: str, client_id: str) -> ClientDetails:
    """One client."""
    return details(tx, load(tx, tenant_id, client_id))


def load(tx: Session, tenant_id: str, client_id: str) -> Client:
    """The row. Raises NotFound naming the identifier."""
    row = tx.get(Client, (tenant_id, client_id))
    if row is None:
        raise NotFound(f"there is no client {client_id!r}; `authz clients list` shows them")
    return row


def line(row: Client) -> ClientLine:
    """As in a list."""
    return ClientLine(row.id, row.name, row.kind, row.status, _method(row), row.created_at)


def details(tx: Session, row: Client) -> ClientDetails:
    """With its rules."""
    expiries: Sequence[str | None] = [stored["expires_at"] for stored in row.secrets]
    return ClientDetails(
        **vars(line(row)),
        metadata=row.metadata_,
        scope_ceiling=row.scope_ceiling,
        groups=None if row.groups is None else _names(tx, row.tenant_id, row.groups),
        secrets=list(expiries),
    )


def _names(tx: Session, tenant_id: str, group_ids: Sequence[str]) -> list[str]:
    return sorted(directory.names_by_id(tx, tenant_id, group_ids).values())


def _values(registration: Registration) -> dict[str, Any]:
    return {
        "auth_method": registration.auth_method,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(registration.grant_types),
        "fapi": registration.fapi,
        "token_endpoint_audience": registration.token_endpoint_audience,
    }


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text) or text.startswith(RESERVED_PREFIXES):
        raise Invalid(
            f"{text!r} cannot be a client identifier: letters, digits and ._~- (127 at most), beginning "
            f"with a letter or digit and not with {', '.join(RESERVED_PREFIXES)}; "
            "a URL is for clients that publish a metadata document (`authz clients allow URL`)",
            field="client_id",
        )
    return text


def _check_ceiling(scopes: frozenset[str] | None) -> frozenset[str] | None:
    for scope in sorted(scopes or ()):
        if not is_scope_name(scope):
            raise Invalid(f"{scope!r} is not the name of a scope", field="scopes")
    return scopes


def _stored(secret: str, expires_at: datetime | None) -> dict[str, Any]:
    return {
        "digest": entropy.digest(secret),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }


def _method(row: Client) -> str:
    return str(row.metadata_.get("token_endpoint_auth_method", "client_secret_basic"))
