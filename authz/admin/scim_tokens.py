"""Tokens of provisioning clients (SCIM): what lets a company's directory write people and groups."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections
from authz.admin.operator import Operator
from authz.db.models import Connection, ScimToken
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission
from authz.scim.tokens import PREFIX

MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class TokenLine:
    """A token in a list; never the token itself."""

    id: str
    name: str
    connection: str | None
    """The slug of the connection whose people it provisions."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewToken:
    """A token that is shown this once; only its digest is stored."""

    line: TokenLine
    token: str

    def __repr__(self) -> str:
        return f"NewToken({self.line.id!r})"


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    name: str,
    connection: str | None,
    lifetime: timedelta | None,
) -> NewToken:
    """A new token, for the people of a connection or for everybody; a lifetime of None is for ever."""
    operator.must(Permission.CONNECTIONS_WRITE)
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(
            f"the name of a token has 1 to {MAX_NAME_CHARS} printable characters", field="name"
        )
    if lifetime is not None and lifetime <= timedelta(0):
        raise Invalid("the lifetime of a token is longer than nothing", field="lifetime")
    with about("connection"):
        bound = None if connection is None else connections.load(tx, tenant_id, connection)
    token = entropy.new_token(PREFIX)
    row = ScimToken(
        id=entropy.new_id("stk"),
        tenant_id=tenant_id,
        digest=entropy.digest(token),
        name=name,
        connection_id=None if bound is None else bound.id,
        created_at=operator.now,
        expires_at=None if lifetime is None else operator.now + lifetime,
        last_used_at=None,
        revoked_at=None,
    )
    tx.add(row)
    tx.flush()
    values = {
        "name": name,
        "connection": connection,
        "expires_at": row.expires_at and row.expires_at.isoformat(),
    }
    operator.changed(tx, tenant_id, "scim_token.add", row.id, values)
    return NewToken(_line(row, connection), token)


def list_(tx: Session, tenant_id: str) -> list[TokenLine]:
    """All of them, oldest first."""
    found = tx.execute(
        select(ScimToken, Connection.slug)
        .outerjoin(Connection, Connection.id == ScimToken.connection_id)
        .where(ScimToken.tenant_id == tenant_id)
        .order_by(ScimToken.created_at, ScimToken.id)
    )
    return [_line(row, slug) for row, slug in found]


def show(tx: Session, tenant_id: str, token_id: str) -> TokenLine:
    """One of them. Raises NotFound."""
    row = _load(tx, tenant_id, token_id)
    bound = None if row.connection_id is None else tx.get_one(Connection, row.connection_id)
    return _line(row, None if bound is None else bound.slug)


def revoke(tx: Session, operator: Operator, tenant_id: str, token_id: str) -> TokenLine:
    """Nothing is provisioned with it any more; what was stays."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = _load(tx, tenant_id, token_id)
    if row.revoked_at is not None:
        raise Conflict(f"the provisioning token {token_id!r} is revoked already")
    row.revoked_at = operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "scim_token.revoke", token_id, {"name": row.name})
    bound = None if row.connection_id is None else tx.get_one(Connection, row.connection_id)
    return _line(row, None if bound is None else bound.slug)


def _load(tx: Session, tenant_id: str, token_id: str) -> ScimToken:
    row = tx.get(ScimToken, token_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(
            f"there is no provisioning token {token_id!r}; `authz scim-tokens list` shows them"
        )
    return row


def _line(row: ScimToken, connection: str | None) -> TokenLine:
    return TokenLine(
        id=row.id,
        name=row.name,
        connection=connection,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
