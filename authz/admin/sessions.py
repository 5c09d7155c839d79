"""Who is signed in, in which browser, and how they are signed out.

Signing somebody out ends no grant: what they allowed applications goes on, until it ends or `leaving` ends all of it.
A session is named by its mark; its digest, by which a cookie is recognised, leaves no page.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session as Transaction

from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.admin.revocation import end_sessions
from authz.audit.events import SessionEnded
from authz.db.models import Connection, Session, User
from authz.directory import users
from authz.directory.sessions import MARK_CHARS
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.policy.requirements import LOCAL

_MARK = re.compile(f"[0-9a-f]{{{MARK_CHARS}}}")


@dataclass(frozen=True)
class SessionLine:
    """One signed-in browser."""

    mark: str
    user_id: str
    login: str | None
    how: list[str]
    """How they proved who they are (`amr`)."""
    connection: str | None
    """The name of the identity provider that vouched; None for the directory here."""
    auth_time: datetime
    created_at: datetime
    expires_at: datetime


def page(
    tx: Transaction,
    tenant_id: str,
    now: datetime,
    *,
    user_id: str | None = None,
    connection: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[SessionLine]:
    """Live sessions, the youngest first; of a person, or those a connection (its slug, or `local`) vouches for."""
    check_limit(limit)
    query = (
        select(Session, User.login, Connection.name)
        .outerjoin(User, User.id == Session.user_id)
        .outerjoin(Connection, Connection.id == Session.connection_id)
        .where(
            *is_live(tenant_id, now),
            *behind(after, Session.created_at, Session.digest, descending=True),
        )
        .order_by(Session.created_at.desc(), Session.digest.desc())
        .limit(limit + 1)
    )
    if user_id is not None:
        query = query.where(Session.user_id == user_id)
    if connection is not None:
        query = query.where(
            Session.connection_id.is_(None)
            if connection == LOCAL
            else Connection.slug == connection
        )
    rows = tx.execute(query).all()
    lines = [_line(*row) for row in rows]
    return sliced(lines, limit, [cursor_of(row[0].created_at, row[0].digest) for row in rows])


def count(tx: Transaction, tenant_id: str, now: datetime, user_id: str) -> int:
    """Of a person, live ones."""
    query = select(func.count()).where(*is_live(tenant_id, now), Session.user_id == user_id)
    return tx.scalars(query).one()


def end(tx: Transaction, operator: Operator, tenant_id: str, mark: str) -> str:
    """Sign one browser out; answers whose it was. Raises NotFound."""
    operator.must(Permission.PEOPLE_CUT)
    return end_own(tx, operator, tenant_id, mark)


def end_own(
    tx: Transaction, operator: Operator, tenant_id: str, mark: str, *, user_id: str | None = None
) -> str:
    """The same for whoever may by being the person, `user_id`: somebody else's session is not there."""
    if not _MARK.fullmatch(mark):
        raise _unknown()
    row = tx.scalars(
        select(Session)
        .where(*is_live(tenant_id, operator.now), Session.digest.startswith(mark))
        .with_for_update()
    ).one_or_none()
    if row is None or (user_id is not None and row.user_id != user_id):
        raise _unknown()
    row.ended_at = operator.now
    tx.flush()
    operator.record(tx, tenant_id, SessionEnded(subject=row.user_id, actor=operator.name))
    return row.user_id


def end_all(tx: Transaction, operator: Operator, tenant_id: str, reference: str) -> int:
    """Sign a person out of every browser; answers of how many."""
    operator.must(Permission.PEOPLE_CUT)
    person = users.load(tx, tenant_id, reference)
    ended = end_sessions(tx, operator, tenant_id, person.id)
    operator.record(tx, tenant_id, SessionEnded(subject=person.id, actor=operator.name))
    return ended


def is_live(tenant_id: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The conditions for a session of the tenant that holds now."""
    return (
        Session.tenant_id == tenant_id,
        Session.ended_at.is_(None),
        Session.expires_at > now,
    )


def _unknown() -> NotFound:
    return NotFound("there is no such session; it may have ended meanwhile")


def _line(row: Session, login: str | None, connection: str | None) -> SessionLine:
    return SessionLine(
        mark=row.digest[:MARK_CHARS],
        user_id=row.user_id,
        login=login,
        how=list(row.amr),
        connection=connection,
        auth_time=row.auth_time,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
