"""Mappings, as entries. One to a role is a group of its own that holds the role; here it is the role again."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from authz.admin import mappings, roles
from authz.admin.code.kind import Site
from authz.admin.mappings import name_of_group
from authz.db.models import Connection, Group, GroupMapping, Role, RoleBinding
from authz.policy.code.entries import Change, Entries, Json
from authz.policy.code.mappings import name_of


def current(site: Site) -> dict[str, Json]:
    """All of them; one to several roles is as many entries."""
    held: dict[str, list[str]] = {}
    for group_id, role in site.tx.execute(
        select(RoleBinding.subject_id, Role.name)
        .join(Role, Role.id == RoleBinding.role_id)
        .where(
            RoleBinding.tenant_id == site.tenant_id,
            RoleBinding.subject_kind == "group",
            RoleBinding.expires_at.is_(None),
        )
    ):
        held.setdefault(group_id, []).append(role)
    rows = site.tx.execute(
        select(Connection.slug, GroupMapping.claim, GroupMapping.value, Group.id, Group.name)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == site.tenant_id)
    )
    found = [
        entry
        for slug, claim, value, group_id, group in rows
        for entry in _entries(slug, claim, value, group, held.get(group_id, ()))
    ]
    return {name_of(entry): entry for entry in found}


def _entries(slug: str, claim: str, value: str, group: str, held: Iterable[str]) -> Iterable[Json]:
    common = {"connection": slug, "claim": claim, "value": value}
    if group != name_of_group(slug, claim, value):
        return [{**common, "group": group, "role": None}]
    # Without a role it gives nothing, and a file could not say it; the group stays.
    return [{**common, "group": None, "role": role} for role in held]


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """As they are written."""
    return site.written.entries.get("mappings")


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add."""
    for change in changes:
        if change.after is not None:
            with site.at(change):
                mappings.add(site.tx, site.operator, site.tenant_id, **change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Of several roles of one value those that are to go; the mapping with the last of them."""
    common = (site.tx, site.operator, site.tenant_id)
    for change in changes:
        entry = change.before
        if change.after is not None or entry is None:
            continue
        group = entry["group"] or name_of_group(entry["connection"], entry["claim"], entry["value"])
        there = current(site)
        # What went with its connection or with its role is gone already.
        if entry["role"] is not None and change.name in there:
            roles.unbind(*common, role=entry["role"], kind="group", holder=group)
            del there[change.name]
        mapping_id = _find_id(site, entry, group)
        if mapping_id is not None and not any(_is_same_value(entry, it) for it in there.values()):
            mappings.remove(*common, mapping_id)


def _is_same_value(one: Json, other: Json) -> bool:
    """Both lead to the group that was made for the value."""
    if one["role"] is None or other["role"] is None:
        return False
    return all(one[member] == other[member] for member in ("connection", "claim", "value"))


def _find_id(site: Site, entry: Json, group: str) -> str | None:
    return site.tx.scalars(
        select(GroupMapping.id)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(
            GroupMapping.tenant_id == site.tenant_id,
            Connection.slug == entry["connection"],
            GroupMapping.claim == entry["claim"],
            GroupMapping.value == entry["value"],
            Group.name == group,
        )
    ).one_or_none()
