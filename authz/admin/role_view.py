"""Roles to look at: the list, and one role with who holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from authz.admin.conditions import requirement_of
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.db.models import (
    Client,
    Group,
    GroupMember,
    Resource,
    Role,
    RoleBinding,
    RoleParent,
    RoleScope,
    User,
)
from authz.errors import NotFound
from authz.policy.requirements import Requirement
from authz.policy.snapshot import ANY_RESOURCE


@dataclass(frozen=True)
class RoleSummary:
    """A role in a list."""

    id: str
    name: str
    description: str
    includes: list[str]
    scopes: int
    """Its own, at whatever server."""
    requires: Requirement | None
    holders: Mapping[str, int]
    """By kind: `user`, `group`, `client`."""


@dataclass(frozen=True)
class RoleDetails:
    """One role."""

    id: str
    name: str
    description: str
    includes: list[str]
    included_by: list[str]
    anywhere: list[str]
    """Scopes at every server that declares them."""
    at: Mapping[str, list[str]]
    """By identifier of a server: scopes there alone."""
    requires: Requirement | None
    holders: Mapping[str, int]
    reach: int
    """People who hold it, directly or through a group, each once."""


@dataclass(frozen=True)
class Holder:
    """Who holds a role, and until when."""

    kind: str
    id: str
    name: str
    until: datetime | None


def page(
    tx: Session,
    tenant_id: str,
    *,
    q: str = "",
    is_held: bool | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[RoleSummary]:
    """Roles by name, those whose name or description has `q`; those that somebody holds, or nobody."""
    found = rows_by_name(tx, tenant_id, q, after, limit, is_held=is_held)
    ids = [row.id for row in found.rows]
    includes: dict[str, list[str]] = {}
    for role_id, name in tx.execute(
        select(RoleParent.role_id, Role.name)
        .join(Role, Role.id == RoleParent.parent_id)
        .where(RoleParent.role_id.in_(ids))
        .order_by(Role.name)
    ):
        includes.setdefault(role_id, []).append(name)
    scopes = dict(
        tx.execute(
            select(RoleScope.role_id, func.count())
            .where(RoleScope.role_id.in_(ids))
            .group_by(RoleScope.role_id)
        ).all()
    )
    holders = _holders(tx, ids)
    lines = [
        RoleSummary(
            id=row.id,
            name=row.name,
            description=row.description,
            includes=includes.get(row.id, []),
            scopes=scopes.get(row.id, 0),
            requires=requirement_of(row.requires),
            holders=holders.get(row.id, {}),
        )
        for row in found.rows
    ]
    return Slice(lines, found.next)


def show(tx: Session, tenant_id: str, role_id: str) -> RoleDetails:
    """One role by its id. Raises NotFound."""
    row = load(tx, tenant_id, role_id)
    anywhere: list[str] = []
    at: dict[str, list[str]] = {}
    for place, url, scope in tx.execute(
        select(RoleScope.resource_id, Resource.identifier, RoleScope.scope)
        .outerjoin(Resource, Resource.id == RoleScope.resource_id)
        .where(RoleScope.role_id == row.id)
        .order_by(Resource.identifier, RoleScope.scope)
    ):
        if place == ANY_RESOURCE:
            anywhere.append(scope)
        elif url is not None:
            at.setdefault(url, []).append(scope)
    return RoleDetails(
        id=row.id,
        name=row.name,
        description=row.description,
        includes=_linked(tx, RoleParent.parent_id == Role.id, RoleParent.role_id == row.id),
        included_by=_linked(tx, RoleParent.role_id == Role.id, RoleParent.parent_id == row.id),
        anywhere=anywhere,
        at=at,
        requires=requirement_of(row.requires),
        holders=_holders(tx, [row.id]).get(row.id, {}),
        reach=reach(tx, row.id),
    )


def holders(
    tx: Session,
    tenant_id: str,
    role_id: str,
    *,
    q: str = "",
    kind: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[Holder]:
    """Who holds a role, whose name has `q`: clients, groups, then people, in a fixed order."""
    check_limit(limit)
    query = (
        select(RoleBinding, User.login, Group.name, Client.name)
        .outerjoin(User, User.id == RoleBinding.subject_id)
        .outerjoin(Group, Group.id == RoleBinding.subject_id)
        .outerjoin(
            Client,
            (Client.tenant_id == RoleBinding.tenant_id) & (Client.id == RoleBinding.subject_id),
        )
        .where(
            RoleBinding.tenant_id == tenant_id,
            RoleBinding.role_id == role_id,
            *behind(after, RoleBinding.subject_kind, RoleBinding.subject_id),
        )
        .order_by(RoleBinding.subject_kind, RoleBinding.subject_id)
        .limit(limit + 1)
    )
    if kind:
        query = query.where(RoleBinding.subject_kind == kind)
    if q:
        names = (User.login, Group.name, Client.name, Client.id)
        query = query.where(or_(*(it.icontains(q, autoescape=True) for it in names)))
    lines = [
        Holder(
            it.subject_kind, it.subject_id, login or group or client or it.subject_id, it.expires_at
        )
        for it, login, group, client in tx.execute(query)
    ]
    return sliced(lines, limit, [cursor_of(it.kind, it.id) for it in lines])


def load(tx: Session, tenant_id: str, role_id: str) -> Role:
    """By id. Raises NotFound."""
    row = tx.get(Role, role_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound("there is no such role; it may have been removed meanwhile")
    return row


def reach(tx: Session, role_id: str) -> int:
    """How many people hold a role, directly or through a group, each once."""
    direct = select(RoleBinding.subject_id).where(
        RoleBinding.role_id == role_id, RoleBinding.subject_kind == "user"
    )
    through = (
        select(GroupMember.user_id)
        .join(RoleBinding, RoleBinding.subject_id == GroupMember.group_id)
        .where(RoleBinding.role_id == role_id, RoleBinding.subject_kind == "group")
    )
    people = direct.union(through).subquery()
    return tx.scalars(select(func.count()).select_from(people)).one()


def names(tx: Session, tenant_id: str) -> list[str]:
    """Of all roles, to choose from."""
    return list(
        tx.scalars(select(Role.name).where(Role.tenant_id == tenant_id).order_by(Role.name))
    )


def rows_by_name(
    tx: Session,
    tenant_id: str,
    q: str,
    after: str | None,
    limit: int,
    *,
    is_held: bool | None = None,
) -> Slice[Role]:
    """Those whose name or description has `q`."""
    check_limit(limit)
    query = select(Role).where(Role.tenant_id == tenant_id, *behind(after, Role.name))
    if q:
        query = query.where(
            or_(
                Role.name.icontains(q, autoescape=True),
                Role.description.icontains(q, autoescape=True),
            )
        )
    if is_held is not None:
        binding = exists().where(RoleBinding.role_id == Role.id)
        query = query.where(binding if is_held else ~binding)
    rows = tx.scalars(query.order_by(Role.name).limit(limit + 1)).all()
    return sliced(rows, limit, [cursor_of(row.name) for row in rows])


def _holders(tx: Session, ids: list[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for role_id, kind, count in tx.execute(
        select(RoleBinding.role_id, RoleBinding.subject_kind, func.count())
        .where(RoleBinding.role_id.in_(ids))
        .group_by(RoleBinding.role_id, RoleBinding.subject_kind)
    ):
        found.setdefault(role_id, {})[kind] = count
    return found


def _linked(tx: Session, join: object, where: object) -> list[str]:
    return list(
        tx.scalars(
            select(Role.name)
            .join(RoleParent, join)  # type: ignore[arg-type]
            .where(where)  # type: ignore[arg-type]
            .order_by(Role.name)
        )
    )
