"""Who holds which role, one line for each holder: `admin.roles` binds and unbinds."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin import clients, roles
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.db.models import Group, Role, RoleBinding, User
from authz.directory import groups, users
from authz.errors import Invalid, NotFound


@dataclass(frozen=True)
class HolderLine:
    """One holder of one role."""

    id: str
    role: str
    kind: str
    holder: str
    """A login, the name of a group, or the identifier of a client."""
    holder_id: str
    expires_at: datetime | None


def page(
    tx: Session,
    tenant_id: str,
    *,
    role: str | None = None,
    kind: str | None = None,
    holder_id: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[HolderLine]:
    """By role, a part at a time."""
    check_limit(limit)
    query = (
        select(RoleBinding, Role.name, User.login, Group.name)
        .join(Role, Role.id == RoleBinding.role_id)
        .outerjoin(User, User.id == RoleBinding.subject_id)
        .outerjoin(Group, Group.id == RoleBinding.subject_id)
        .where(RoleBinding.tenant_id == tenant_id, *behind(after, Role.name, RoleBinding.id))
        .order_by(Role.name, RoleBinding.id)
        .limit(limit + 1)
    )
    if role is not None:
        query = query.where(RoleBinding.role_id == roles.load(tx, tenant_id, role).id)
    if kind is not None:
        query = query.where(RoleBinding.subject_kind == kind)
    if holder_id is not None:
        query = query.where(RoleBinding.subject_id == holder_id)
    lines = [
        _line(row, name, login or group or row.subject_id)
        for row, name, login, group in tx.execute(query)
    ]
    return sliced(lines, limit, [cursor_of(it.role, it.id) for it in lines])


def show(tx: Session, tenant_id: str, *, role: str, kind: str, holder: str) -> HolderLine:
    """One holder. Raises NotFound."""
    held = roles.load(tx, tenant_id, role)
    holder_id, name = _holder(tx, tenant_id, kind, holder)
    row = tx.scalars(
        select(RoleBinding).where(
            RoleBinding.role_id == held.id,
            RoleBinding.subject_kind == kind,
            RoleBinding.subject_id == holder_id,
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"the {kind} {name!r} does not hold the role {held.name!r} directly")
    return _line(row, held.name, name)


def _holder(tx: Session, tenant_id: str, kind: str, holder: str) -> tuple[str, str]:
    if kind == "user":
        user = users.load(tx, tenant_id, holder)
        return user.id, user.login
    if kind == "group":
        group = groups.load(tx, tenant_id, holder)
        return group.id, group.name
    if kind == "client":
        client = clients.load(tx, tenant_id, holder)
        return client.id, client.id
    raise Invalid(f"{kind!r} is not one of user, group, client", field="kind")


def _line(row: RoleBinding, role: str, holder: str) -> HolderLine:
    return HolderLine(
        id=row.id,
        role=role,
        kind=row.subject_kind,
        holder=holder,
        holder_id=row.subject_id,
        expires_at=row.expires_at,
    )
