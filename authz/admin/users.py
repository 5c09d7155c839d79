"""People: add, give a password, disable, enable, look up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from authz import entropy, passwords
from authz.admin import leaving
from authz.admin.admins import guard
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.admin.revocation import end_sessions
from authz.db.models import Role, RoleBinding, ScimRecord, TokenFamily, User
from authz.directory import groups, users
from authz.errors import Conflict, Invalid
from authz.policy.administration import Permission

MIN_PASSWORD_CHARS = 8
MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class UserLine:
    """A person in a list."""

    id: str
    login: str
    name: str
    status: str
    has_password: bool
    is_break_glass: bool
    created_at: datetime


@dataclass(frozen=True)
class UserDetails(UserLine):
    """A person with what they hold."""

    groups: list[str]
    roles: list[str]
    """Bound to the person directly."""
    live_grants: int


@dataclass(frozen=True)
class Disabled:
    """What ended with an account."""

    user: UserLine
    revoked_grants: int
    ended_sessions: int


def hash_new_password(password: str) -> str:
    """The hash to hand to `add` or `set_password`; slow, so it is made before the transaction.

    Raises Invalid for a password that is too short or too long.
    """
    if len(password) < MIN_PASSWORD_CHARS:
        raise Invalid(
            f"the password is too short: {MIN_PASSWORD_CHARS} characters or more", field="password"
        )
    try:
        return passwords.hash_password(password)
    except ValueError as error:
        raise Invalid(str(error), field="password") from None


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    login: str,
    name: str,
    password_hash: str | None,
) -> UserLine:
    """A new person. Without a hash they cannot sign in with a password."""
    operator.must(Permission.PEOPLE_WRITE)
    spelled = users.check_login(login)
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(f"the name has {MAX_NAME_CHARS} printable characters at most", field="name")
    if users.find_by_login(tx, tenant_id, spelled) is not None:
        raise Conflict(f"there is a user {spelled!r} already", field="login")
    row = User(
        id=entropy.new_id("usr"),
        tenant_id=tenant_id,
        login=spelled,
        name=name or spelled,
        password_hash=password_hash,
        status="active",
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    values = {"password": password_hash is not None}
    operator.changed(tx, tenant_id, "user.add", row.id, values, subject=row.id)
    return _line(row)


def set_break_glass(
    tx: Session, operator: Operator, tenant_id: str, reference: str, *, allowed: bool
) -> UserLine:
    """Let an account in by password although its domain has to use its identity provider, or no longer."""
    operator.must(Permission.PEOPLE_WRITE)
    row = users.load(tx, tenant_id, reference)
    guard(tx, operator, tenant_id, "user", row.id)
    if allowed and row.password_hash is None:
        raise Invalid(f"{row.login} has no password; `authz users password {row.login}` gives one")
    row.is_break_glass, row.updated_at = allowed, operator.now
    tx.flush()
    operator.changed(
        tx, tenant_id, "user.break_glass", row.id, {"allowed": allowed}, subject=row.id
    )
    return _line(row)


def set_password(
    tx: Session, operator: Operator, tenant_id: str, reference: str, password_hash: str
) -> UserLine:
    """Replace the password and sign the person out everywhere: the old one may be in wrong hands."""
    operator.must(Permission.PEOPLE_WRITE)
    row = users.load(tx, tenant_id, reference)
    guard(tx, operator, tenant_id, "user", row.id)
    row.password_hash, row.updated_at = password_hash, operator.now
    tx.flush()
    ended = end_sessions(tx, operator, tenant_id, row.id)
    values = {"ended_sessions": ended}
    operator.changed(tx, tenant_id, "user.password", row.id, values, subject=row.id)
    return _line(row)


def disable(tx: Session, operator: Operator, tenant_id: str, reference: str) -> Disabled:
    """Close the account: every grant, browser, code and live access token of the person ends."""
    operator.must(Permission.PEOPLE_WRITE)
    row = _own(tx, operator, tenant_id, reference)
    row.status, row.updated_at = "disabled", operator.now
    ended = leaving.end(tx, operator, row, "user_disabled")
    values = {
        "status": "disabled",
        "revoked_grants": ended.families,
        "ended_sessions": ended.sessions,
    }
    operator.changed(
        tx, tenant_id, "user.status", row.id, values, subject=row.id, also=ended.events
    )
    return Disabled(_line(row), ended.families, ended.sessions)


def enable(tx: Session, operator: Operator, tenant_id: str, reference: str) -> UserLine:
    """Open the account again; what was revoked stays revoked."""
    operator.must(Permission.PEOPLE_WRITE)
    row = _own(tx, operator, tenant_id, reference)
    row.status, row.updated_at = "active", operator.now
    tx.flush()
    values = {"status": "active"}
    operator.changed(tx, tenant_id, "user.status", row.id, values, subject=row.id)
    return _line(row)


def list_(tx: Session, tenant_id: str, *, matching: str = "", limit: int = 1000) -> list[UserLine]:
    """People by login, those whose login or name holds `matching`."""
    query = _listed(tenant_id, matching, None, None, limit)
    return [_line(row) for row in tx.scalars(query)]


def page(
    tx: Session,
    tenant_id: str,
    *,
    matching: str = "",
    status: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[UserLine]:
    """The same, a part at a time."""
    check_limit(limit)
    query = _listed(tenant_id, matching, status, after, limit + 1)
    lines = [_line(row) for row in tx.scalars(query)]
    return sliced(lines, limit, [cursor_of(it.login) for it in lines])


def show(tx: Session, tenant_id: str, reference: str, now: datetime) -> UserDetails:
    """One person with groups, roles and the number of live grants."""
    row = users.load(tx, tenant_id, reference)
    roles = tx.scalars(
        select(Role.name)
        .join(RoleBinding, RoleBinding.role_id == Role.id)
        .where(RoleBinding.subject_kind == "user", RoleBinding.subject_id == row.id)
        .order_by(Role.name)
    )
    live = tx.scalars(
        select(func.count())
        .select_from(TokenFamily)
        .where(
            TokenFamily.tenant_id == tenant_id,
            TokenFamily.user_id == row.id,
            TokenFamily.revoked_at.is_(None),
            TokenFamily.expires_at > now,
        )
    ).one()
    return UserDetails(
        **vars(_line(row)),
        groups=groups.names_of(tx, tenant_id, row.id),
        roles=list(roles),
        live_grants=live,
    )


def _listed(
    tenant_id: str, matching: str, status: str | None, after: str | None, limit: int
) -> Select[User]:
    """People by login. Who they are is found in the index, which has all that is asked for; then they are read."""
    found = select(User.login).where(User.tenant_id == tenant_id, *behind(after, User.login))
    if matching:
        found = found.where(_matches(matching))
    if status is not None:
        found = found.where(User.status == status)
    logins = found.order_by(User.login).limit(limit).scalar_subquery()
    return (
        select(User).where(User.tenant_id == tenant_id, User.login.in_(logins)).order_by(User.login)
    )


def _matches(text: str) -> ColumnElement[bool]:
    return User.login.contains(users.normal_login(text), autoescape=True) | User.name.contains(
        text, autoescape=True
    )


def _own(tx: Session, operator: Operator, tenant_id: str, reference: str) -> User:
    """An account that an operator opens or closes: from now on that is theirs to say, not a provisioning client's."""
    row = users.load(tx, tenant_id, reference)
    guard(tx, operator, tenant_id, "user", row.id)
    if row.status == "deleted":
        raise Conflict(f"{row.login} was deleted by provisioning, for good")
    tx.execute(update(ScimRecord).where(ScimRecord.id == row.id).values(may_reopen=False))
    return row


def _line(row: User) -> UserLine:
    return UserLine(
        id=row.id,
        login=row.login,
        name=row.name,
        status=row.status,
        has_password=row.password_hash is not None,
        is_break_glass=row.is_break_glass,
        created_at=row.created_at,
    )
