"""Mappings: which value of which claim of a connection puts people into which group.

Nothing else an identity provider says reaches policy. A mapping to a role makes a group of its own that holds the role,
so `authz explain` can say by which claim somebody has it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections, roles
from authz.admin.admins import guard
from authz.admin.operator import Operator
from authz.db.models import Connection, Group, GroupMapping, GroupMember, Role, RoleBinding
from authz.directory import groups
from authz.errors import Conflict, Invalid, NotFound
from authz.policy.administration import Permission

MAX_CHARS = 256


@dataclass(frozen=True)
class MappingLine:
    """A mapping in a list."""

    id: str
    connection: str
    claim: str
    value: str
    group: str
    roles: list[str]
    """What the group holds."""
    created_at: datetime


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    connection: str,
    claim: str,
    value: str,
    group: str | None = None,
    role: str | None = None,
) -> MappingLine:
    """From claim and value to an existing group, or to a role. It counts from everybody's next sign-in on."""
    operator.must(Permission.POLICY_WRITE)
    if (group is None) == (role is None):
        raise Invalid("a mapping leads to a group or to a role, to one of them")
    for what, text in (("claim", claim), ("value", value)):
        if not 1 <= len(text) <= MAX_CHARS or not text.isprintable():
            raise Invalid(f"the {what} of a mapping has 1 to {MAX_CHARS} printable characters")
    row = connections.load(tx, tenant_id, connection)
    target = (
        groups.load(tx, tenant_id, group)
        if group is not None
        else _group_of(tx, operator, tenant_id, row, claim, value)
    )
    guard(tx, operator, tenant_id, "group", target.id)
    existing = tx.scalars(
        select(GroupMapping).where(
            GroupMapping.connection_id == row.id,
            GroupMapping.claim == claim,
            GroupMapping.value == value,
            GroupMapping.group_id == target.id,
        )
    ).one_or_none()
    if existing is not None and role is None:
        raise Conflict(f"{claim}={value} of {row.slug} leads to {target.name} already")
    if role is not None:
        roles.bind(tx, operator, tenant_id, role=role, kind="group", holder=target.id)
    mapping = existing or GroupMapping(
        id=entropy.new_id("map"),
        tenant_id=tenant_id,
        connection_id=row.id,
        claim=claim,
        value=value,
        group_id=target.id,
        created_at=operator.now,
    )
    tx.add(mapping)
    tx.flush()
    values = {"connection": row.slug, "claim": claim, "value": value, "group": target.name}
    operator.changed(tx, tenant_id, "mapping.add", mapping.id, values)
    return _line(tx, mapping, row.slug, target)


def remove(tx: Session, operator: Operator, tenant_id: str, mapping_id: str) -> MappingLine:
    """It ends at once for everybody it put into the group, unless another mapping does so too at their next sign-in."""
    operator.must(Permission.POLICY_WRITE)
    mapping = _load(tx, tenant_id, mapping_id)
    row = tx.get_one(Connection, mapping.connection_id)
    target = tx.get_one(Group, mapping.group_id)
    guard(tx, operator, tenant_id, "group", target.id)
    line = _line(tx, mapping, row.slug, target)
    tx.delete(mapping)
    tx.execute(
        delete(GroupMember).where(GroupMember.group_id == target.id, GroupMember.source == row.id)
    )
    tx.flush()
    values = {"connection": row.slug, "claim": line.claim, "value": line.value}
    operator.changed(tx, tenant_id, "mapping.remove", mapping_id, {**values, "group": line.group})
    return line


def show(tx: Session, tenant_id: str, mapping_id: str) -> MappingLine:
    """One of them. Raises NotFound."""
    mapping = _load(tx, tenant_id, mapping_id)
    row = tx.get_one(Connection, mapping.connection_id)
    return _line(tx, mapping, row.slug, tx.get_one(Group, mapping.group_id))


def name_of_group(connection: str, claim: str, value: str) -> str:
    """How the group of a mapping to a role is called; `connection` by its slug."""
    return f"{connection}: {claim}={value}"[: groups.MAX_NAME_CHARS]


def list_(tx: Session, tenant_id: str) -> list[MappingLine]:
    """All of them, by connection, claim and value."""
    rows = tx.execute(
        select(GroupMapping, Connection.slug, Group)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == tenant_id)
        .order_by(Connection.slug, GroupMapping.claim, GroupMapping.value, Group.name)
    )
    return [_line(tx, mapping, slug, group) for mapping, slug, group in rows]


def _load(tx: Session, tenant_id: str, mapping_id: str) -> GroupMapping:
    mapping = tx.get(GroupMapping, mapping_id)
    if mapping is None or mapping.tenant_id != tenant_id:
        raise NotFound(f"there is no mapping {mapping_id!r}; `authz mappings list` shows them")
    return mapping


def _group_of(
    tx: Session, operator: Operator, tenant_id: str, row: Connection, claim: str, value: str
) -> Group:
    name = groups.check_name(name_of_group(row.slug, claim, value))
    found = groups.find(tx, tenant_id, name)
    if found is not None:
        return found
    made = Group(id=entropy.new_id("grp"), tenant_id=tenant_id, name=name, created_at=operator.now)
    tx.add(made)
    tx.flush()
    return made


def _line(tx: Session, mapping: GroupMapping, slug: str, group: Group) -> MappingLine:
    held = tx.scalars(
        select(Role.name)
        .join(RoleBinding, RoleBinding.role_id == Role.id)
        .where(RoleBinding.subject_kind == "group", RoleBinding.subject_id == group.id)
        .order_by(Role.name)
    )
    return MappingLine(
        id=mapping.id,
        connection=slug,
        claim=mapping.claim,
        value=mapping.value,
        group=group.name,
        roles=list(held),
        created_at=mapping.created_at,
    )
