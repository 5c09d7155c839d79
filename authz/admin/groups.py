"""Groups: add, members in and out, list."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.admins import guard
from authz.admin.operator import Operator
from authz.db.models import Group, GroupMember, Role, RoleBinding
from authz.db.models.user import LOCAL
from authz.directory import groups, users
from authz.errors import Conflict, NotFound
from authz.policy.administration import Permission


@dataclass(frozen=True)
class GroupLine:
    """A group in a list."""

    id: str
    name: str
    members: int


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
        raise Conflict(f"there is a group {spelled!r} already")
    row = Group(
        id=entropy.new_id("grp"), tenant_id=tenant_id, name=spelled, created_at=operator.now
    )
    tx.add(row)
    tx.flush()
    operator.changed(tx, tenant_id, "group.add", row.id, {"name": spelled})
    return GroupLine(row.id, row.name, 0)


def add_member(
    tx: Session, operator: Operator, tenant_id: str, *, group: str, user: str
) -> GroupDetails:
    """Put a person into a group; their next token has what its roles hold.

    What a connection or a provisioning client says of the group stays beside it.
    """
    operator.must(Permission.PEOPLE_WRITE)
    row, person = groups.load(tx, tenant_id, group), users.load(tx, tenant_id, user)
    guard(tx, operator, tenant_id, "group", row.id)
    if tx.get(GroupMember, (row.id, person.id, LOCAL)) is not None:
        raise Conflict(f"{person.login} is in the group {row.name!r} already")
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


def show(tx: Session, tenant_id: str, reference: str) -> GroupDetails:
    """One group."""
    return _details(tx, groups.load(tx, tenant_id, reference))


def _details(tx: Session, row: Group) -> GroupDetails:
    roles = tx.scalars(
        select(Role.name)
        .join(RoleBinding, RoleBinding.role_id == Role.id)
        .where(RoleBinding.subject_kind == "group", RoleBinding.subject_id == row.id)
        .order_by(Role.name)
    )
    people = [person.login for person in groups.members(tx, row.id)]
    return GroupDetails(row.id, row.name, people, list(roles))
