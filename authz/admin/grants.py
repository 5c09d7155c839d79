"""Who holds live grants: through which client, for which server, since when; and how one of them is ended (L7, M13).

Those of a client that acts for itself have no record: they are its tokens, and end with the client.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.audit.events import FamilyRevoked
from authz.db.lists import among
from authz.db.models import Client, GroupMember, IssuedToken, Resource, TokenFamily, User
from authz.directory import users
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.revocations.entries import end_tokens

ENDED = "grant_ended"


@dataclass(frozen=True)
class GrantLine:
    """One live grant."""

    id: str
    user_id: str
    login: str | None
    client_id: str
    client_name: str | None
    resource_id: str
    server: str | None
    """Its identifier; None for what is no MCP server, such as the userinfo endpoint."""
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    connection_id: str | None


@dataclass(frozen=True)
class Extent:
    """How much live access something reaches: what would end with it."""

    grants: int
    people: int


def is_live(tenant_id: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The conditions for a grant of the tenant that holds now."""
    return (
        TokenFamily.tenant_id == tenant_id,
        TokenFamily.revoked_at.is_(None),
        TokenFamily.expires_at > now,
        TokenFamily.idle_expires_at > now,
    )


def extent(
    tx: Session,
    tenant_id: str,
    now: datetime,
    *,
    client_id: str | None = None,
    client_ids: Iterable[str] | None = None,
    user_id: str | None = None,
    outside: Iterable[str] | None = None,
) -> Extent:
    """Live grants of a client, of several or of a person, and of how many people.

    `outside` leaves those of people in one of these groups away, which are named by id.
    """
    query = select(func.count(), func.count(TokenFamily.user_id.distinct())).where(
        *is_live(tenant_id, now)
    )
    if client_id is not None:
        query = query.where(TokenFamily.client_id == client_id)
    if client_ids is not None:
        query = query.where(among(tx, TokenFamily.client_id, client_ids))
    if user_id is not None:
        query = query.where(TokenFamily.user_id == user_id)
    if outside is not None:
        inside = select(GroupMember.user_id).where(among(tx, GroupMember.group_id, outside))
        query = query.where(TokenFamily.user_id.not_in(inside))
    return Extent(*tx.execute(query).one())


def page(
    tx: Session,
    tenant_id: str,
    now: datetime,
    *,
    user_id: str | None = None,
    client_id: str | None = None,
    resource_id: str | None = None,
    matching: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[GrantLine]:
    """Live grants, the youngest first; `matching` is part of the login of whose they are."""
    check_limit(limit)
    # Which ones first, and only then what is told of each: joined before, all live grants would be sorted with it.
    chosen = (
        select(TokenFamily.id)
        .where(
            *is_live(tenant_id, now),
            *behind(after, TokenFamily.created_at, TokenFamily.id, descending=True),
        )
        .order_by(TokenFamily.created_at.desc(), TokenFamily.id.desc())
        .limit(limit + 1)
    )
    if user_id is not None:
        chosen = chosen.where(TokenFamily.user_id == user_id)
    if client_id is not None:
        chosen = chosen.where(TokenFamily.client_id == client_id)
    if resource_id is not None:
        chosen = chosen.where(TokenFamily.resource_id == resource_id)
    if matching:
        wanted = users.normal_login(matching)
        chosen = chosen.join(User, User.id == TokenFamily.user_id).where(
            User.tenant_id == tenant_id, User.login.contains(wanted, autoescape=True)
        )
    rows = tx.execute(
        select(TokenFamily, User.login, Client.name, Resource.identifier)
        .outerjoin(User, User.id == TokenFamily.user_id)
        .outerjoin(
            Client,
            (Client.tenant_id == TokenFamily.tenant_id) & (Client.id == TokenFamily.client_id),
        )
        .outerjoin(Resource, Resource.id == TokenFamily.resource_id)
        .where(among(tx, TokenFamily.id, tx.scalars(chosen)))
        .order_by(TokenFamily.created_at.desc(), TokenFamily.id.desc())
    ).all()
    lines = [_line(*row) for row in rows]
    return sliced(lines, limit, [cursor_of(it.created_at, it.id) for it in lines])


def latest_tokens(tx: Session, tenant_id: str, grant_ids: Iterable[str]) -> dict[str, str]:
    """Grant -> the `jti` of the access token that was issued for it last."""
    rows = tx.execute(
        select(IssuedToken.family_id, IssuedToken.jti)
        .where(IssuedToken.tenant_id == tenant_id, among(tx, IssuedToken.family_id, grant_ids))
        .order_by(IssuedToken.issued_at)
    )
    return {row.family_id: row.jti for row in rows}


def show(tx: Session, tenant_id: str, grant_id: str, now: datetime) -> GrantLine:
    """One live grant. Raises NotFound."""
    row = _find(tx, tenant_id, grant_id, now)
    user, client = tx.get(User, row.user_id), tx.get(Client, (tenant_id, row.client_id))
    server = tx.get(Resource, row.resource_id)
    return _line(
        row,
        None if user is None else user.login,
        None if client is None else client.name,
        None if server is None else server.identifier,
    )


def end(tx: Session, operator: Operator, tenant_id: str, grant_id: str) -> GrantLine:
    """End one grant with every token of it, for good. The person may grant anew."""
    operator.must(Permission.PEOPLE_CUT)
    return end_own(tx, operator, tenant_id, grant_id, because=ENDED)


def end_own(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    grant_id: str,
    *,
    because: str,
    user_id: str | None = None,
) -> GrantLine:
    """The same for whoever may by being the person, `user_id`: somebody else's grant is not there."""
    line = show(tx, tenant_id, grant_id, operator.now)
    # Locked and looked at again: what the token lane is minting meanwhile comes before us or finds it ended.
    row = tx.scalars(
        select(TokenFamily)
        .where(TokenFamily.id == grant_id, TokenFamily.tenant_id == tenant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if row.revoked_at is not None or (user_id is not None and row.user_id != user_id):
        raise _unknown(grant_id)
    row.revoked_at, row.revoked_because = operator.now, because
    tx.flush()
    end_tokens(tx, tenant_id, IssuedToken.family_id == grant_id, operator.now)
    event = FamilyRevoked(
        grant_id=grant_id,
        reason=because,
        subject=row.user_id,
        client=row.client_id,
        actor=operator.name,
    )
    operator.record(tx, tenant_id, event)
    return line


def _find(tx: Session, tenant_id: str, grant_id: str, now: datetime) -> TokenFamily:
    row = tx.get(TokenFamily, grant_id)
    if row is None or row.tenant_id != tenant_id or row.revoked_at is not None:
        raise _unknown(grant_id)
    if min(row.expires_at, row.idle_expires_at) <= now:
        raise _unknown(grant_id)
    return row


def _unknown(grant_id: str) -> NotFound:
    return NotFound(f"there is no live grant {grant_id!r}; it may have ended meanwhile")


def _line(
    row: TokenFamily, login: str | None, client_name: str | None, server: str | None
) -> GrantLine:
    return GrantLine(
        id=row.id,
        user_id=row.user_id,
        login=login,
        client_id=row.client_id,
        client_name=client_name,
        resource_id=row.resource_id,
        server=server,
        scopes=sorted(row.scopes),
        created_at=row.created_at,
        last_used_at=row.rotated_at,
        expires_at=min(row.expires_at, row.idle_expires_at),
        connection_id=row.connection_id,
    )
