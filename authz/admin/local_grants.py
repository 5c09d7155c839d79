"""Roles that are held because of what was put there here, not because the identity provider says so (S13).

Decisions:
- What was mapped from a connection's claims, or provisioned, comes from the identity provider. Somebody of whom it says
  the same as an administrator here holds the role because of it, and is not listed.
- Which groups hold a role is policy, and decided here: it grants nothing as long as others say who is in them.
- Programs are listed too: no identity provider speaks for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, literal, null, or_, select
from sqlalchemy.orm import Session, aliased

from authz.db.models import AdminBinding, Group, GroupMember, Role, RoleBinding, User
from authz.db.models.user import LOCAL

_ADMIN = "admin/"


@dataclass(frozen=True)
class LocalGrant:
    """One role that one holder has from here."""

    id: str
    """Of the binding and the holder: one group gives a role to many."""
    role: str
    is_admin: bool
    """An admin role: what they may do here, not at MCP servers."""
    kind: str
    """`user` or `client`."""
    holder: str
    """A login, or the identifier of a client."""
    holder_id: str
    group: str | None
    """The group that an administrator here put them into; None: the role was given to them directly."""
    is_break_glass: bool
    """For the day on which the identity provider does not answer, so it cannot come from there."""
    expires_at: datetime | None


def list_(tx: Session, tenant_id: str, now: datetime) -> list[LocalGrant]:
    """All that hold now, by role and holder."""
    named = select(Role.id, Role.name).where(Role.tenant_id == tenant_id)
    names = dict(tx.execute(named).all())
    found = [
        _line(row, is_admin, names)
        for is_admin, query in _queries(tenant_id, now)
        for row in tx.execute(query)
    ]
    return sorted(found, key=lambda it: (it.is_admin, it.role, it.kind, it.holder, it.group or ""))


def count_of_people(tx: Session, tenant_id: str, now: datetime) -> int:
    """How many of them people hold, break-glass accounts aside: counted there, for a group may be a whole company."""
    people = (User.id.is_not(None), User.is_break_glass.is_(False))
    counts = (
        query.with_only_columns(func.count(), maintain_column_froms=True).where(*people)
        for _, query in _queries(tenant_id, now)
    )
    return sum(tx.scalars(count).one() for count in counts)


def _line(row: Row[*tuple[Any, ...]], is_admin: bool, names: Mapping[str, str]) -> LocalGrant:
    binding_id, role_id, kind, holder_id, login, group, is_break_glass, until = row
    return LocalGrant(
        id=f"{binding_id}:{holder_id}",
        role=role_id.removeprefix(_ADMIN) if is_admin else names[role_id],
        is_admin=is_admin,
        kind=kind,
        holder=login or holder_id,
        holder_id=holder_id,
        group=group,
        is_break_glass=bool(is_break_glass),
        expires_at=until,
    )


def _queries(tenant_id: str, now: datetime) -> Iterator[tuple[bool, Select[*tuple[Any, ...]]]]:
    """Of roles and of admin roles: what was given directly, and what is held through a group."""
    for is_admin, binding in ((False, RoleBinding), (True, AdminBinding)):
        for query in _of(binding, tenant_id, now):
            yield is_admin, query


def _of(
    binding: type[RoleBinding] | type[AdminBinding], tenant_id: str, now: datetime
) -> Iterator[Select[*tuple[Any, ...]]]:
    holds = (
        binding.tenant_id == tenant_id,
        or_(binding.expires_at.is_(None), binding.expires_at > now),
    )
    yield (
        select(
            *(binding.id, binding.role_id, binding.subject_kind, binding.subject_id),
            *(User.login, null(), User.is_break_glass, binding.expires_at),
        )
        .outerjoin(User, (User.id == binding.subject_id) & (binding.subject_kind == "user"))
        .where(*holds, binding.subject_kind != "group")
    )
    yield (
        select(
            *(binding.id, binding.role_id, literal("user"), User.id),
            *(User.login, Group.name, User.is_break_glass, binding.expires_at),
        )
        .join(Group, Group.id == binding.subject_id)
        .join(GroupMember, GroupMember.group_id == Group.id)
        .join(User, User.id == GroupMember.user_id)
        .where(*holds, binding.subject_kind == "group", GroupMember.source == LOCAL, ~_vouched())
    )


def _vouched() -> ColumnElement[bool]:
    """Whether the identity provider says as well that they are in the group."""
    other = aliased(GroupMember)
    return (
        select(other.group_id)
        .where(
            other.group_id == GroupMember.group_id,
            other.user_id == GroupMember.user_id,
            other.source != LOCAL,
        )
        .exists()
    )
