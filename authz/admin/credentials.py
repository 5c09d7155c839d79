"""Credentials of the systems behind MCP servers: which secret a server gets, by which name, for which tokens (V4).

Decisions:
- Naming one takes what changes the server, and what names secrets elsewhere (`authz.connections.write`): with the first
  alone, an author of policy would have the secrets of identity providers released to a server of their own.
- Taking one away takes neither that nor a second person: a secret that got out is stopped by whoever sees it first.
- There is nothing to edit. A rotated secret keeps its reference; another reference is another credential.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import resources
from authz.admin.operator import Operator
from authz.admin.references import check_references
from authz.admin.scopes import scopes_of
from authz.db.models import Resource, UpstreamCredential
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.upstream_credentials import check_name, check_reference, check_scopes
from authz.policy.administration import Permission


@dataclass(frozen=True)
class CredentialLine:
    """A credential in a list. Of the secret it says where it is, and never what."""

    id: str
    server: str
    name: str
    reference: str
    scopes: list[str]
    """A token has to hold all of them; none: any token for the server will do."""
    client_id: str | None
    """The client it is released to: the server's own; nobody, while the server has none."""
    created_at: datetime


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    server: str,
    *,
    name: str,
    reference: str,
    scopes: Iterable[str] = (),
) -> CredentialLine:
    """Let a server have a secret, under a name. Raises NotFound, Invalid naming the value, Conflict."""
    row = resources.load(tx, tenant_id, server)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    operator.must(Permission.CONNECTIONS_WRITE)
    with about("name"):
        check_name(name)
    with about("reference"):
        check_references(operator, check_reference(reference))
    with about("scopes"):
        needed = check_scopes(scopes)
    if row.server_id is not None:
        raise Invalid(
            f"no tokens for {row.identifier} are issued here, so there is none to release a credential for"
        )
    declared = {it.name for it in scopes_of(tx, row.id)}
    for scope in needed:
        if scope not in declared:
            raise Invalid(f"{row.identifier} declares no scope {scope!r}", field="scopes")
    taken = _find(tx, row, name)
    if taken is not None:
        raise Conflict(
            f"{row.identifier} has a credential {name!r} already ({taken.id}); remove that one first",
            field="name",
        )
    made = UpstreamCredential(
        id=entropy.new_id("ucr"),
        tenant_id=tenant_id,
        resource_id=row.id,
        name=name,
        reference=reference,
        scopes=needed,
        created_at=operator.now,
    )
    tx.add(made)
    tx.flush()
    values = {
        "resource": row.identifier,
        "name": name,
        "reference": reference,
        "scopes": needed,
    }
    operator.changed(tx, tenant_id, "credential.add", made.id, values, client=row.client_id)
    return _line(made, row)


def remove(
    tx: Session, operator: Operator, tenant_id: str, server: str, name: str
) -> CredentialLine:
    """The server gets it no more. What it got before is good until it is rotated where it comes from."""
    row = resources.load(tx, tenant_id, server)
    operator.must_narrow(Permission.POLICY_WRITE, resource_id=row.id)
    found = _load(tx, row, name)
    line = _line(found, row)
    tx.delete(found)
    tx.flush()
    values = {"resource": row.identifier, "name": name, "reference": line.reference}
    operator.changed(tx, tenant_id, "credential.remove", line.id, values, client=row.client_id)
    return line


def show(tx: Session, tenant_id: str, server: str, name: str) -> CredentialLine:
    """One of a server. Raises NotFound."""
    row = resources.load(tx, tenant_id, server)
    return _line(_load(tx, row, name), row)


def list_(tx: Session, tenant_id: str, server: str | None = None) -> list[CredentialLine]:
    """All, or those of one server, by server and name."""
    query = (
        select(UpstreamCredential, Resource)
        .join(Resource, Resource.id == UpstreamCredential.resource_id)
        .where(UpstreamCredential.tenant_id == tenant_id)
    )
    if server is not None:
        query = query.where(Resource.id == resources.load(tx, tenant_id, server).id)
    lines = [_line(found, row) for found, row in tx.execute(query)]
    return sorted(lines, key=lambda it: (it.server, it.name))


def _find(tx: Session, row: Resource, name: str) -> UpstreamCredential | None:
    return tx.scalars(
        select(UpstreamCredential).where(
            UpstreamCredential.tenant_id == row.tenant_id,
            UpstreamCredential.resource_id == row.id,
            UpstreamCredential.name == name,
        )
    ).one_or_none()


def _load(tx: Session, row: Resource, name: str) -> UpstreamCredential:
    found = _find(tx, row, name)
    if found is None:
        raise NotFound(
            f"{row.identifier} has no credential {name!r}; `authz credentials list` shows them"
        )
    return found


def _line(found: UpstreamCredential, row: Resource) -> CredentialLine:
    return CredentialLine(
        id=found.id,
        server=row.identifier,
        name=found.name,
        reference=found.reference,
        scopes=list(found.scopes),
        client_id=row.client_id,
        created_at=found.created_at,
    )
