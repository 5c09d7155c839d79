"""Who administers: bind an admin role, take it away, list; and what keeps lesser roles from borrowing its power.

Decisions:
- Whoever may change how an administrator signs in, or who is in a group of administrators, could become one. So those
  operations take `authz.admins.write` as well (`guard`), whatever else they take.
- The last owner cannot be unbound by a person: nobody could bind another one but the machine's shell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.db.lists import among
from authz.db.models import AdminBinding, Client, Group, GroupMember, User
from authz.directory import groups, users
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import ADMIN_ROLES, AdminRole, Permission

KINDS = ("user", "group", "client")
_OWNER = ADMIN_ROLES["owner"].id


@dataclass(frozen=True)
class AdminLine:
    """One binding."""

    id: str
    role: str
    kind: str
    holder: str
    holder_id: str
    expires_at: datetime | None
    created_at: datetime


def grant(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    role: str,
    kind: str,
    holder: str,
    until: datetime | None = None,
) -> AdminLine:
    """Give an admin role to a user, group or client; an existing binding gets the new end."""
    operator.must(Permission.ADMINS_WRITE)
    wanted = find_role(role)
    if until is not None and until <= operator.now:
        raise Invalid(
            f"{until.isoformat()} is in the past; a binding ends in the future", field="until"
        )
    with about("holder"):
        holder_id, name = _holder(tx, tenant_id, kind, holder)
    row = _find(tx, tenant_id, wanted, kind, holder_id)
    if row is None:
        row = AdminBinding(
            id=entropy.new_id("adm"),
            tenant_id=tenant_id,
            role_id=wanted.id,
            subject_kind=kind,
            subject_id=holder_id,
            created_at=operator.now,
        )
        tx.add(row)
    row.expires_at = until
    tx.flush()
    values = {"role": wanted.id, "kind": kind, "until": until and until.isoformat()}
    subject = holder_id if kind == "user" else None
    operator.changed(tx, tenant_id, "admin.grant", holder_id, values, subject=subject)
    return _line(row, name)


def revoke(
    tx: Session, operator: Operator, tenant_id: str, *, role: str, kind: str, holder: str
) -> AdminLine:
    """Take an admin role from its holder, at once."""
    operator.must(Permission.ADMINS_WRITE)
    wanted = find_role(role)
    holder_id, name = _holder(tx, tenant_id, kind, holder)
    row = _load(tx, tenant_id, wanted, kind, holder_id, name)
    if wanted.id == _OWNER and operator.user_id is not None:
        # Locked, or two owners who take it from each other at once would both succeed.
        owners = tx.scalars(
            select(AdminBinding.id)
            .where(AdminBinding.tenant_id == tenant_id, AdminBinding.role_id == _OWNER)
            .order_by(AdminBinding.id)
            .with_for_update()
        )
        if len(owners.all()) == 1:
            raise Conflict(f"{name} is the last owner; give the role to somebody else first")
    line = _line(row, name)
    tx.execute(delete(AdminBinding).where(AdminBinding.id == row.id))
    values = {"role": wanted.id, "kind": kind}
    subject = holder_id if kind == "user" else None
    operator.changed(tx, tenant_id, "admin.revoke", holder_id, values, subject=subject)
    return line


def list_(tx: Session, tenant_id: str) -> list[AdminLine]:
    """Every binding, by role and holder; of holders who are gone as well, so that nothing is hidden."""
    rows = tx.execute(
        select(AdminBinding, User.login, Group.name)
        .outerjoin(User, User.id == AdminBinding.subject_id)
        .outerjoin(Group, Group.id == AdminBinding.subject_id)
        .where(AdminBinding.tenant_id == tenant_id)
        .order_by(AdminBinding.role_id, AdminBinding.subject_id)
    )
    return [_line(row, login or group or row.subject_id) for row, login, group in rows]


def show(tx: Session, tenant_id: str, *, role: str, kind: str, holder: str) -> AdminLine:
    """One binding. Raises NotFound."""
    wanted = find_role(role)
    holder_id, name = _holder(tx, tenant_id, kind, holder)
    return _line(_load(tx, tenant_id, wanted, kind, holder_id, name), name)


def find_role(name: str) -> AdminRole:
    """By its short name. Raises NotFound naming those there are."""
    role = ADMIN_ROLES.get(name.removeprefix("admin/"))
    if role is None:
        raise NotFound(
            f"there is no admin role {name!r}; there are {', '.join(ADMIN_ROLES)}", field="role"
        )
    return role


def guard(tx: Session, operator: Operator, tenant_id: str, kind: str, subject_id: str) -> None:
    """For what changes how somebody proves who they are, or who is in a group. Raises Forbidden.

    Without it the help desk would reset an owner's password and be the owner.
    """
    if operator.may(Permission.ADMINS_WRITE):
        return
    about = [and_(AdminBinding.subject_kind == kind, AdminBinding.subject_id == subject_id)]
    if kind == "user":
        theirs = select(GroupMember.group_id).where(GroupMember.user_id == subject_id)
        through = and_(AdminBinding.subject_kind == "group", AdminBinding.subject_id.in_(theirs))
        about.append(through)
    bound = select(AdminBinding.id).where(AdminBinding.tenant_id == tenant_id, or_(*about))
    if tx.scalar(bound.limit(1)) is not None:
        operator.must(Permission.ADMINS_WRITE)


def guard_groups(tx: Session, operator: Operator, tenant_id: str, group_ids: Iterable[str]) -> None:
    """The same for many groups at once. Raises Forbidden."""
    if operator.may(Permission.ADMINS_WRITE):
        return
    bound = select(AdminBinding.id).where(
        AdminBinding.tenant_id == tenant_id,
        AdminBinding.subject_kind == "group",
        among(tx, AdminBinding.subject_id, group_ids),
    )
    if tx.scalar(bound.limit(1)) is not None:
        operator.must(Permission.ADMINS_WRITE)


def guard_client(tx: Session, operator: Operator, row: Client) -> None:
    """The same for a client that administers, by a role of its own or for people. Raises Forbidden."""
    guard(tx, operator, row.tenant_id, "client", row.id)
    guard_ceiling(operator, row.scope_ceiling)


def guard_ceiling(operator: Operator, scopes: frozenset[str] | None) -> None:
    """For whoever lets a client have scopes of administration, which it has by its ceiling alone. Raises Forbidden."""
    if scopes is not None and not scopes.isdisjoint(Permission):
        operator.must(Permission.ADMINS_WRITE)


def _find(
    tx: Session, tenant_id: str, role: AdminRole, kind: str, holder_id: str
) -> AdminBinding | None:
    return tx.scalars(
        select(AdminBinding).where(
            AdminBinding.tenant_id == tenant_id,
            AdminBinding.role_id == role.id,
            AdminBinding.subject_kind == kind,
            AdminBinding.subject_id == holder_id,
        )
    ).one_or_none()


def _load(
    tx: Session, tenant_id: str, role: AdminRole, kind: str, holder_id: str, name: str
) -> AdminBinding:
    row = _find(tx, tenant_id, role, kind, holder_id)
    if row is None:
        raise NotFound(f"the {kind} {name!r} does not hold the admin role {role.name!r} directly")
    return row


def _holder(tx: Session, tenant_id: str, kind: str, holder: str) -> tuple[str, str]:
    if kind == "user":
        user = users.load(tx, tenant_id, holder)
        return user.id, user.login
    if kind == "group":
        group = groups.load(tx, tenant_id, holder)
        return group.id, group.name
    if kind == "client":
        client = tx.get(Client, (tenant_id, holder))
        if client is None:
            raise NotFound(
                f"there is no client {holder!r}; `authz clients list` shows them", field="holder"
            )
        return client.id, client.id
    raise Invalid(f"{kind!r} is not one of {', '.join(KINDS)}")


def _line(row: AdminBinding, name: str) -> AdminLine:
    return AdminLine(
        id=row.id,
        role=row.role_id.removeprefix("admin/"),
        kind=row.subject_kind,
        holder=name,
        holder_id=row.subject_id,
        expires_at=row.expires_at,
        created_at=row.created_at,
    )
