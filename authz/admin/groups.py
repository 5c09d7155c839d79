"""Groups: add, members in and out, list."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, delete, exists, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.admins import guard
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.db.models import (
    AdminBinding,
    Client,
    Group,
    GroupMapping,
    GroupMember,
    Resource,
    Role,
    RoleBinding,
    ScimRecord,
    User,
)
from authz.db.models.user import LOCAL
from authz.directory import groups, users
from authz.errors import Conflict, NotFound, about
from authz.policy.administration import Permission


@dataclass(frozen=True)
class GroupLine:
    """A group in a list."""

    id: str
    name: str
    members: int


@dataclass(frozen=True)
class GroupHead(GroupLine):
    """A group with the roles it holds; its people are many."""

    roles: list[str]


@dataclass(frozen=True)
class MemberLine:
    """Somebody in a group."""

    user_id: str
    login: str
    is_local: bool
    """Whether an administrator put them there. What a directory or a provider says is changed there."""


@dataclass(frozen=True)
class GroupDetails:
    """A group with its people and the roles it holds."""

    id: str
    name: str
    members: list[str]
    """Login names."""
    roles: list[str]


def add(tx: Session, operator: Operator, tenant_id: str, *, name: str) -> GroupLine:
    """A new, empty group."""
    operator.must(Permission.PEOPLE_WRITE)
    spelled = groups.check_name(name)
    if groups.find(tx, tenant_id, spelled) is not None:
        raise Conflict(f"there is a group {spelled!r} already", field="name")
    row = Group(
        id=entropy.new_id("grp"), tenant_id=tenant_id, name=spelled, created_at=operator.now
    )
    tx.add(row)
    tx.flush()
    operator.changed(tx, tenant_id, "group.add", row.id, {"name": spelled})
    return GroupLine(row.id, row.name, 0)


def remove(tx: Session, operator: Operator, tenant_id: str, *, group: str) -> GroupLine:
    """Forget a group that was made here, with the roles it holds. Raises Conflict while something else names it."""
    operator.must(Permission.PEOPLE_WRITE)
    row = groups.load(tx, tenant_id, group)
    guard(tx, operator, tenant_id, "group", row.id)
    _check_unnamed(tx, row)
    line = GroupLine(row.id, row.name, _count(tx, row.id))
    held = tx.execute(
        delete(RoleBinding)
        .where(
            RoleBinding.tenant_id == tenant_id,
            RoleBinding.subject_kind == "group",
            RoleBinding.subject_id == row.id,
        )
        .returning(RoleBinding.id)
    ).all()
    # A provisioning client may have named it too; what it called it is free again, or it would be refused for ever.
    tx.execute(delete(ScimRecord).where(ScimRecord.id == row.id))
    tx.delete(row)
    tx.flush()
    values = {"name": line.name, "members": line.members, "roles": len(held)}
    operator.changed(tx, tenant_id, "group.remove", line.id, values)
    return line


def add_member(
    tx: Session, operator: Operator, tenant_id: str, *, group: str, user: str
) -> GroupDetails:
    """Put a person into a group; their next token has what its roles hold.

    What a connection or a provisioning client says of the group stays beside it.
    """
    operator.must(Permission.PEOPLE_WRITE)
    with about("group"):
        row = groups.load(tx, tenant_id, group)
    with about("user"):
        person = users.load(tx, tenant_id, user)
    guard(tx, operator, tenant_id, "group", row.id)
    if tx.get(GroupMember, (row.id, person.id, LOCAL)) is not None:
        raise Conflict(f"{person.login} is in the group {row.name!r} already", field="user")
    tx.add(GroupMember(group_id=row.id, user_id=person.id, tenant_id=tenant_id))
    tx.flush()
    values = {"user": person.id}
    operator.changed(tx, tenant_id, "group.member_add", row.id, values, subject=person.id)
    return _details(tx, row)


def remove_member(
    tx: Session, operator: Operator, tenant_id: str, *, group: str, user: str
) -> GroupDetails:
    """Take a person out of a group; their next token, and every refresh, is without its roles."""
    operator.must(Permission.PEOPLE_WRITE)
    row, person = groups.load(tx, tenant_id, group), users.load(tx, tenant_id, user)
    guard(tx, operator, tenant_id, "group", row.id)
    gone = tx.execute(
        delete(GroupMember)
        .where(
            GroupMember.group_id == row.id,
            GroupMember.user_id == person.id,
            GroupMember.source == LOCAL,
        )
        .returning(GroupMember.user_id)
    )
    if not gone.all():
        raise NotFound(
            f"nobody put {person.login} into the group {row.name!r} here; "
            "what an identity provider says is changed there"
        )
    values = {"user": person.id}
    operator.changed(tx, tenant_id, "group.member_remove", row.id, values, subject=person.id)
    return _details(tx, row)


def list_(tx: Session, tenant_id: str) -> list[GroupLine]:
    """All groups by name."""
    rows = tx.execute(
        select(Group.id, Group.name, func.count(GroupMember.user_id.distinct()))
        .outerjoin(GroupMember, GroupMember.group_id == Group.id)
        .where(Group.tenant_id == tenant_id)
        .group_by(Group.id, Group.name)
        .order_by(Group.name)
    )
    return [GroupLine(*row) for row in rows]


def page(
    tx: Session,
    tenant_id: str,
    *,
    matching: str = "",
    has_people: bool | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[GroupLine]:
    """The same, a part at a time; those whose name holds `matching`, with people in them or without."""
    check_limit(limit)
    query = select(Group).where(Group.tenant_id == tenant_id, *behind(after, Group.name))
    if matching:
        query = query.where(Group.name.contains(matching, autoescape=True))
    if has_people is not None:
        member = exists().where(GroupMember.group_id == Group.id)
        query = query.where(member if has_people else ~member)
    rows = tx.scalars(query.order_by(Group.name).limit(limit + 1)).all()
    counts = dict(
        tx.execute(
            select(GroupMember.group_id, func.count(GroupMember.user_id.distinct()))
            .where(GroupMember.group_id.in_([row.id for row in rows]))
            .group_by(GroupMember.group_id)
        ).all()
    )
    lines = [GroupLine(row.id, row.name, counts.get(row.id, 0)) for row in rows]
    return sliced(lines, limit, [cursor_of(it.name) for it in lines])


def head(tx: Session, tenant_id: str, reference: str) -> GroupHead:
    """One group, without its people."""
    row = groups.load(tx, tenant_id, reference)
    return GroupHead(row.id, row.name, _count(tx, row.id), _roles(tx, row))


def members(
    tx: Session,
    tenant_id: str,
    reference: str,
    *,
    matching: str = "",
    is_local: bool | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[MemberLine]:
    """Its people by login, a part at a time; those whom somebody put there here, or those whom nobody did."""
    check_limit(limit)
    row = groups.load(tx, tenant_id, reference)
    query = (
        select(User.id, User.login, _is_local())
        .join(GroupMember, GroupMember.user_id == User.id)
        .where(GroupMember.group_id == row.id, *behind(after, User.login))
        .group_by(User.id, User.login)
        .order_by(User.login)
        .limit(limit + 1)
    )
    if matching:
        wanted = users.normal_login(matching)
        query = query.where(User.login.contains(wanted, autoescape=True))
    if is_local is not None:
        query = query.having(_is_local() == int(is_local))
    lines = [MemberLine(it.id, it.login, bool(it[2])) for it in tx.execute(query)]
    return sliced(lines, limit, [cursor_of(it.login) for it in lines])


def member(tx: Session, tenant_id: str, group: str, user: str) -> MemberLine:
    """Somebody in it. Raises NotFound."""
    row, person = groups.load(tx, tenant_id, group), users.load(tx, tenant_id, user)
    is_local = tx.execute(
        select(_is_local()).where(GroupMember.group_id == row.id, GroupMember.user_id == person.id)
    ).scalar()
    if is_local is None:
        raise NotFound(f"{person.login} is not in the group {row.name!r}")
    return MemberLine(person.id, person.login, bool(is_local))


def show(tx: Session, tenant_id: str, reference: str) -> GroupDetails:
    """One group."""
    return _details(tx, groups.load(tx, tenant_id, reference))


def _check_unnamed(tx: Session, row: Group) -> None:
    """What names it would mean nobody, or would be gone unasked."""
    made = tx.scalars(
        select(ScimRecord.id).where(ScimRecord.id == row.id, ScimRecord.made_here.is_(True))
    ).first()
    if made is not None:
        raise Conflict(f"the group {row.name!r} is provisioned; whoever provisions it removes it")
    if tx.scalars(select(GroupMapping.id).where(GroupMapping.group_id == row.id)).first():
        raise Conflict(f"a mapping leads to the group {row.name!r}; remove it first")
    bound = select(AdminBinding.id).where(
        AdminBinding.subject_kind == "group", AdminBinding.subject_id == row.id
    )
    if tx.scalars(bound).first():
        raise Conflict(f"the group {row.name!r} administers; take its admin roles away first")
    rollouts = tx.execute(
        select(Resource.identifier, Resource.rollout).where(
            Resource.tenant_id == row.tenant_id, Resource.rollout.is_not(None)
        )
    )
    for identifier, stored in rollouts:
        if stored is not None and row.id in stored["groups"]:
            raise Conflict(
                f"{identifier} is rolled out to the group {row.name!r}; change that first"
            )
    limited = tx.execute(
        select(Client.id, Client.groups).where(
            Client.tenant_id == row.tenant_id, Client.groups.is_not(None)
        )
    )
    for client_id, named in limited:
        if named is not None and row.id in named:
            raise Conflict(
                f"the client {client_id!r} is limited to the group {row.name!r}; change that first"
            )


def _details(tx: Session, row: Group) -> GroupDetails:
    people = [person.login for person in groups.members(tx, row.id)]
    return GroupDetails(row.id, row.name, people, _roles(tx, row))


def _roles(tx: Session, row: Group) -> list[str]:
    roles = tx.scalars(
        select(Role.name)
        .join(RoleBinding, RoleBinding.role_id == Role.id)
        .where(RoleBinding.subject_kind == "group", RoleBinding.subject_id == row.id)
        .order_by(Role.name)
    )
    return list(roles)


def _count(tx: Session, group_id: str) -> int:
    people = select(func.count(GroupMember.user_id.distinct()))
    return tx.scalars(people.where(GroupMember.group_id == group_id)).one()


def _is_local() -> ColumnElement[int]:
    return func.max(case((GroupMember.source == LOCAL, 1), else_=0))
