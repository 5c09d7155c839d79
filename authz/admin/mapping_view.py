"""Mappings to look at: a part at a time, with what each gives and how many people it has put there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.db.models import Connection, Group, GroupMapping, GroupMember, Role, RoleBinding


@dataclass(frozen=True)
class MappingView:
    """One mapping."""

    id: str
    connection: str
    claim: str
    value: str
    group_id: str
    group: str
    roles: list[str]
    """What the group holds."""
    members: int
    """People who are in the group because this connection said so at their last sign-in."""
    created_at: datetime


def page(
    tx: Session,
    tenant_id: str,
    *,
    q: str = "",
    connection: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[MappingView]:
    """By connection, claim and value; those of which something has `q`."""
    check_limit(limit)
    query = (
        select(GroupMapping, Connection, Group)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(
            GroupMapping.tenant_id == tenant_id,
            *behind(
                after, Connection.slug, GroupMapping.claim, GroupMapping.value, GroupMapping.id
            ),
        )
        .order_by(Connection.slug, GroupMapping.claim, GroupMapping.value, GroupMapping.id)
        .limit(limit + 1)
    )
    if connection:
        query = query.where(Connection.slug == connection)
    if q:
        searched = (GroupMapping.claim, GroupMapping.value, Group.name)
        query = query.where(or_(*(it.icontains(q, autoescape=True) for it in searched)))
    lines = _views(tx, tx.execute(query).all())
    places = [cursor_of(it.connection, it.claim, it.value, it.id) for it in lines]
    return sliced(lines, limit, places)


def find(tx: Session, tenant_id: str, mapping_id: str) -> MappingView | None:
    """One of them by its id."""
    rows = tx.execute(
        select(GroupMapping, Connection, Group)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == tenant_id, GroupMapping.id == mapping_id)
    ).all()
    return next(iter(_views(tx, rows)), None)


def _views(tx: Session, rows: Sequence[Row[GroupMapping, Connection, Group]]) -> list[MappingView]:
    groups = [group.id for _, _, group in rows]
    held: dict[str, list[str]] = {}
    for group_id, name in tx.execute(
        select(RoleBinding.subject_id, Role.name)
        .join(Role, Role.id == RoleBinding.role_id)
        .where(RoleBinding.subject_kind == "group", RoleBinding.subject_id.in_(groups))
        .order_by(Role.name)
    ):
        held.setdefault(group_id, []).append(name)
    members = {
        (group_id, source): count
        for group_id, source, count in tx.execute(
            select(GroupMember.group_id, GroupMember.source, func.count())
            .where(GroupMember.group_id.in_(groups))
            .group_by(GroupMember.group_id, GroupMember.source)
        )
    }
    return [
        MappingView(
            id=mapping.id,
            connection=row.slug,
            claim=mapping.claim,
            value=mapping.value,
            group_id=group.id,
            group=group.name,
            roles=held.get(group.id, []),
            members=members.get((group.id, row.id), 0),
            created_at=mapping.created_at,
        )
        for mapping, row, group in rows
    ]
