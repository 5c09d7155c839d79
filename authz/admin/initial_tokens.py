"""Initial access tokens (RFC 7591 §3): what lets a client register where registration is by invitation."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.db.models import InitialAccessToken
from authz.errors import Conflict, Invalid, InvalidToken, NotFound
from authz.policy.administration import Permission

MAX_NAME_CHARS = 200
REFUSED = "the initial access token is not valid"


@dataclass(frozen=True)
class TokenLine:
    """A token in a list; never the token itself."""

    id: str
    name: str
    remaining: int | None
    created_at: datetime
    expires_at: datetime | None
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
    uses: int | None,
    lifetime: timedelta | None,
) -> NewToken:
    """A new token for `uses` registrations within `lifetime`; None is no limit."""
    operator.must(Permission.CLIENTS_WRITE)
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(
            f"the name of a token has 1 to {MAX_NAME_CHARS} printable characters", field="name"
        )
    if uses is not None and not 1 <= uses < 2**31:
        raise Invalid(f"a token is for at least one registration, not {uses}", field="uses")
    if lifetime is not None and lifetime <= timedelta(0):
        raise Invalid("the lifetime of a token is longer than nothing", field="lifetime")
    token = entropy.new_token("iat")
    row = InitialAccessToken(
        id=entropy.new_id("itk"),
        tenant_id=tenant_id,
        digest=entropy.digest(token),
        name=name,
        remaining=uses,
        created_at=operator.now,
        expires_at=None if lifetime is None else operator.now + lifetime,
        revoked_at=None,
    )
    tx.add(row)
    tx.flush()
    values = {
        "name": name,
        "uses": uses,
        "expires_at": row.expires_at and row.expires_at.isoformat(),
    }
    operator.changed(tx, tenant_id, "initial_token.add", row.id, values)
    return NewToken(_line(row), token)


def list_(tx: Session, tenant_id: str) -> list[TokenLine]:
    """All of them, oldest first."""
    rows = tx.scalars(
        select(InitialAccessToken)
        .where(InitialAccessToken.tenant_id == tenant_id)
        .order_by(InitialAccessToken.created_at, InitialAccessToken.id)
    )
    return [_line(row) for row in rows]


def show(tx: Session, tenant_id: str, token_id: str) -> TokenLine:
    """One of them. Raises NotFound."""
    return _line(_load(tx, tenant_id, token_id))


def revoke(tx: Session, operator: Operator, tenant_id: str, token_id: str) -> TokenLine:
    """No more registrations with it; clients it let in stay."""
    operator.must(Permission.CLIENTS_WRITE)
    row = _load(tx, tenant_id, token_id)
    if row.revoked_at is not None:
        raise Conflict(f"the initial access token {token_id!r} is revoked already")
    row.revoked_at = operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "initial_token.revoke", token_id, {"name": row.name})
    return _line(row)


def check(tx: Session, tenant_id: str, token: str, now: datetime) -> None:
    """Raise InvalidToken unless the token would be good now. It stays unspent."""
    found = tx.scalars(select(InitialAccessToken.id).where(_is_good(tenant_id, token, now)))
    if found.first() is None:
        raise InvalidToken(REFUSED, reason="initial_token_refused")


def spend(tx: Session, tenant_id: str, token: str, now: datetime) -> str:
    """Take one use and answer the token's id. Raises InvalidToken.

    One statement decides: of two registrations that present the last use, one finds it gone.
    """
    spent = tx.scalars(
        update(InitialAccessToken)
        .where(_is_good(tenant_id, token, now))
        .values(remaining=InitialAccessToken.remaining - 1)
        .returning(InitialAccessToken.id)
    ).one_or_none()
    if spent is None:
        raise InvalidToken(REFUSED, reason="initial_token_refused")
    return spent


def _is_good(tenant_id: str, token: str, now: datetime) -> ColumnElement[bool]:
    row = InitialAccessToken
    return and_(
        row.tenant_id == tenant_id,
        row.digest == entropy.digest(token),
        row.revoked_at.is_(None),
        or_(row.expires_at.is_(None), row.expires_at > now),
        or_(row.remaining.is_(None), row.remaining > 0),
    )


def _load(tx: Session, tenant_id: str, token_id: str) -> InitialAccessToken:
    row = tx.get(InitialAccessToken, token_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(
            f"there is no initial access token {token_id!r}; `authz clients tokens list` shows them"
        )
    return row


def _line(row: InitialAccessToken) -> TokenLine:
    return TokenLine(
        id=row.id,
        name=row.name,
        remaining=row.remaining,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
