"""Mappings: which value of which claim of a connection puts people into which group.

Nothing else an identity provider says reaches policy. A mapping to a role makes a group of its own that holds the role,
so `authz explain` can say by which claim somebody has it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections, group_roles
from authz.admin.admins import guard_groups
from authz.admin.operator import Operator
from authz.db.lists import among, insert_all
from authz.db.models import Connection, Group, GroupMapping, GroupMember, Role, RoleBinding
from authz.directory import groups
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission
from authz.tenants import SLUG_PATTERN

MAX_CHARS = 256
_MADE = re.compile(rf"{SLUG_PATTERN}: [^=]+=.+", re.DOTALL)


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


@dataclass(frozen=True, kw_only=True)
class NewMapping:
    """A mapping to be: to an existing group, or to a role."""

    connection: str
    claim: str
    value: str
    group: str | None = None
    role: str | None = None


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
    wanted = NewMapping(connection=connection, claim=claim, value=value, group=group, role=role)
    (mapping_id,) = add_all(tx, operator, tenant_id, [wanted])
    return show(tx, tenant_id, mapping_id)


def add_all(
    tx: Session, operator: Operator, tenant_id: str, wanted: Sequence[NewMapping]
) -> list[str]:
    """Many at once, in as many statements as one takes; answers their ids. Raises for the first that is wrong."""
    operator.must(Permission.POLICY_WRITE)
    for it in wanted:
        _check(it)
    with about("connection"):
        rows = {
            it: connections.load(tx, tenant_id, it)
            for it in dict.fromkeys(w.connection for w in wanted)
        }
    targets = _targets(tx, operator, tenant_id, wanted, rows)
    guard_groups(tx, operator, tenant_id, {id_ for id_, _ in targets})
    there = _by_place(tx, tenant_id, {id_ for id_, _ in targets})
    fresh: list[dict[str, Any]] = []
    events = []
    ids = []
    for it, (group_id, name) in zip(wanted, targets, strict=True):
        row = rows[it.connection]
        place = (row.id, it.claim, it.value, group_id)
        if place in there and it.role is None:
            raise Conflict(
                f"{it.claim}={it.value} of {row.slug} leads to {name} already", field="value"
            )
        if place not in there:
            there[place] = entropy.new_id("map")
            fresh.append(
                {
                    "id": there[place],
                    "tenant_id": tenant_id,
                    "connection_id": row.id,
                    "claim": it.claim,
                    "value": it.value,
                    "group_id": group_id,
                    "created_at": operator.now,
                }
            )
        ids.append(there[place])
        values = {"connection": row.slug, "claim": it.claim, "value": it.value, "group": name}
        events.append(operator.event("mapping.add", there[place], values))
    held = [(it.role, id_) for it, (id_, _) in zip(wanted, targets, strict=True) if it.role]
    if held:
        with about("role"):
            group_roles.bind(tx, operator, tenant_id, held)
    insert_all(tx, GroupMapping, fresh)
    operator.changed_all(tx, tenant_id, events)
    return ids


def remove(tx: Session, operator: Operator, tenant_id: str, mapping_id: str) -> MappingLine:
    """It ends at once for everybody it put into the group, unless another mapping does so too at their next sign-in."""
    operator.must(Permission.POLICY_WRITE)
    line = show(tx, tenant_id, mapping_id)
    remove_all(tx, operator, tenant_id, [mapping_id])
    return line


def remove_all(tx: Session, operator: Operator, tenant_id: str, mapping_ids: Sequence[str]) -> None:
    """Many at once. Raises NotFound."""
    operator.must(Permission.POLICY_WRITE)
    rows = tx.execute(
        select(GroupMapping.id, Connection.id, Connection.slug, Group.id, Group.name,
               GroupMapping.claim, GroupMapping.value)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == tenant_id, among(tx, GroupMapping.id, mapping_ids))
    ).all()  # fmt: skip
    found = {id_: rest for id_, *rest in rows}
    for id_ in mapping_ids:
        if id_ not in found:
            raise _missing(id_)
    guard_groups(tx, operator, tenant_id, {group_id for _, _, group_id, *_ in found.values()})
    by_source: dict[str, set[str]] = {}
    for connection_id, _, group_id, *_ in found.values():
        by_source.setdefault(connection_id, set()).add(group_id)
    tx.execute(delete(GroupMapping).where(among(tx, GroupMapping.id, found)))
    for source, group_ids in sorted(by_source.items()):
        of_these = among(tx, GroupMember.group_id, group_ids)
        tx.execute(delete(GroupMember).where(of_these, GroupMember.source == source))
    events = [
        operator.event(
            "mapping.remove",
            id_,
            {"connection": slug, "claim": claim, "value": value, "group": group},
        )
        for id_ in dict.fromkeys(mapping_ids)
        for _, slug, _, group, claim, value in (found[id_],)
    ]
    operator.changed_all(tx, tenant_id, events)


def show(tx: Session, tenant_id: str, mapping_id: str) -> MappingLine:
    """One of them. Raises NotFound."""
    mapping = _load(tx, tenant_id, mapping_id)
    row = tx.get_one(Connection, mapping.connection_id)
    return _line(tx, mapping, row.slug, tx.get_one(Group, mapping.group_id))


def name_of_group(connection: str, claim: str, value: str) -> str:
    """How the group of a mapping to a role is called; `connection` by its slug."""
    return f"{connection}: {claim}={value}"[: groups.MAX_NAME_CHARS]


def is_made_for_one(group: str) -> bool:
    """Whether a group of this name is a mapping's to a role, or was: it stays when the mapping goes."""
    return _MADE.fullmatch(group) is not None


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


def _check(wanted: NewMapping) -> None:
    if (wanted.group is None) == (wanted.role is None):
        raise Invalid("a mapping leads to a group or to a role, to one of them")
    for what, text in (("claim", wanted.claim), ("value", wanted.value)):
        if not 1 <= len(text) <= MAX_CHARS or not text.isprintable():
            raise Invalid(
                f"the {what} of a mapping has 1 to {MAX_CHARS} printable characters", field=what
            )


def _targets(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    wanted: Sequence[NewMapping],
    rows: Mapping[str, Connection],
) -> list[tuple[str, str]]:
    """Id and name of the group of each; those of roles are made where they are not there."""
    named = [
        it.group
        if it.group is not None
        else groups.check_name(name_of_group(rows[it.connection].slug, it.claim, it.value))
        for it in wanted
    ]
    found = {
        reference: (row.id, row.name)
        for reference, row in groups.find_all(tx, tenant_id, named).items()
    }
    fresh: list[dict[str, Any]] = []
    for it, name in zip(wanted, named, strict=True):
        if name in found:
            continue
        if it.role is None:
            raise NotFound(
                f"there is no group {name!r}; `authz groups list` shows them", field="group"
            )
        found[name] = (entropy.new_id("grp"), name)
        fresh.append(
            {
                "id": found[name][0],
                "tenant_id": tenant_id,
                "name": name,
                "created_at": operator.now,
            }
        )
    insert_all(tx, Group, fresh)
    return [found[name] for name in named]


def _by_place(
    tx: Session, tenant_id: str, group_ids: Iterable[str]
) -> dict[tuple[str, str, str, str], str]:
    """The mappings that lead to these groups, by connection, claim, value and group."""
    rows = tx.execute(
        select(GroupMapping).where(
            GroupMapping.tenant_id == tenant_id, among(tx, GroupMapping.group_id, group_ids)
        )
    ).scalars()
    return {(row.connection_id, row.claim, row.value, row.group_id): row.id for row in rows}


def _load(tx: Session, tenant_id: str, mapping_id: str) -> GroupMapping:
    mapping = tx.get(GroupMapping, mapping_id)
    if mapping is None or mapping.tenant_id != tenant_id:
        raise _missing(mapping_id)
    return mapping


def _missing(mapping_id: str) -> NotFound:
    return NotFound(f"there is no mapping {mapping_id!r}; `authz mappings list` shows them")


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
