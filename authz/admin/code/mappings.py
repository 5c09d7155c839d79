"""Mappings, as entries. One to a role is a group of its own that holds the role; here it is the role again."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from authz.admin import group_roles, mappings
from authz.admin.code.kind import Site
from authz.admin.mappings import NewMapping, name_of_group
from authz.db.models import Connection, Group, GroupMapping, Role, RoleBinding
from authz.errors import Conflict, Invalid, NotFound
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
    """Add: all of them at once, and one by one where something is wrong, to say with which."""
    added = [(change, NewMapping(**change.after)) for change in changes if change.after is not None]
    common = (site.tx, site.operator, site.tenant_id)
    attempt = site.tx.begin_nested()
    try:
        mappings.add_all(*common, [it for _, it in added])
    except (Conflict, Invalid, NotFound):
        attempt.rollback()
    else:
        attempt.commit()
        return
    for change, it in added:
        with site.at(change):
            mappings.add_all(*common, [it])


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Of several roles of one value those that are to go; the mapping with the last of them."""
    gone = [it for it in changes if it.after is None and it.before is not None]
    if not gone:
        return
    common = (site.tx, site.operator, site.tenant_id)
    # What went with its connection or with its role is gone already.
    there = current(site)
    ids = _ids(site)
    unbound = []
    for change in gone:
        entry = there.pop(change.name, None)
        if entry is not None and entry["role"] is not None:
            unbound.append((entry["role"], ids[_place(entry)][1]))
    if unbound:
        group_roles.unbind(*common, unbound)
    kept = {_place(it) for it in there.values() if it["role"] is not None}
    places = [_place(it.before) for it in gone if it.before is not None]
    left = [ids[it][0] for it in dict.fromkeys(places) if it in ids and it not in kept]
    if left:
        mappings.remove_all(*common, left)


_Place = tuple[str, str, str, str]


def _place(entry: Json) -> _Place:
    """Connection, claim, value and the group, which for a role is the one that was made for the value."""
    value = (entry["connection"], entry["claim"], entry["value"])
    return (*value, entry["group"] or name_of_group(*value))


def _ids(site: Site) -> dict[_Place, tuple[str, str]]:
    """Of every mapping, and of its group."""
    rows = site.tx.execute(
        select(GroupMapping.id, Group.id, Connection.slug, GroupMapping.claim, GroupMapping.value, Group.name)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == site.tenant_id)
    )  # fmt: skip
    return {
        (slug, claim, value, group): (id_, group_id)
        for id_, group_id, slug, claim, value, group in rows
    }
