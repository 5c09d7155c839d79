"""Identity providers, as entries. Those that only assert, and sign in nobody, belong to their trust entries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from authz.admin import connections
from authz.admin.code.kind import Site, without_nothing
from authz.admin.trust import ASSERTING
from authz.db.models import Connection
from authz.errors import Conflict
from authz.federation.connections import ACTIVE
from authz.policy.code.entries import Change, Entries, Json

_FIXED = ("kind", "preset")


def current(site: Site) -> Entries:
    """All of them."""
    rows = site.tx.scalars(
        select(Connection).where(
            Connection.tenant_id == site.tenant_id, Connection.kind != ASSERTING
        )
    )
    return {row.slug: _entry(row) for row in rows}


def _entry(row: Connection) -> Json:
    return {
        "kind": row.kind,
        "preset": row.preset,
        "name": row.name,
        "enabled": row.status == ACTIVE,
        "button": row.is_listed,
        "provision": row.provisions,
        "link_by_email": row.links_by_email,
        "settings": without_nothing(row.settings),
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """With what their presets say filled in."""
    written = site.written.entries.get("connections")
    if written is None:
        return None
    found = {}
    for slug, entry in written.items():
        with site.at(Change("connections", slug, current.get(slug), entry)):
            connector = site.surroundings.connectors.of(entry["kind"])
            settings = connector.check(entry["settings"], entry["preset"])
        name = entry["name"] or slug
        found[slug] = {**entry, "name": name, "settings": without_nothing(settings)}
    return found


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add and change."""
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if change.before is None:
                _add(site, change.name, change.after)
            else:
                _change(site, change, change.before, change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """With their links, domains and mappings."""
    for change in changes:
        if change.after is None:
            connections.remove(site.tx, site.operator, site.tenant_id, change.name)


def _add(site: Site, slug: str, entry: Json) -> None:
    connections.add(
        site.tx,
        site.operator,
        site.tenant_id,
        site.surroundings.connectors,
        slug=slug,
        kind=entry["kind"],
        preset=entry["preset"],
        settings=entry["settings"],
        issuer=site.surroundings.issuer,
        **_plain(entry),
    )
    if not entry["enabled"]:
        connections.set_status(site.tx, site.operator, site.tenant_id, slug, "disabled")


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    for member in _FIXED:
        if before[member] != after[member]:
            raise Conflict(
                f"its {member} is {before[member]} and stays so; connect the provider under another name"
            )
    given = {n: v for n, v in _plain(after).items() if v != _plain(before)[n]}
    if before["settings"] != after["settings"]:
        gone = before["settings"].keys() - after["settings"].keys()
        given["settings"] = {**dict.fromkeys(gone), **after["settings"]}
    if given:
        connections.change(
            site.tx,
            site.operator,
            site.tenant_id,
            site.surroundings.connectors,
            change.name,
            issuer=site.surroundings.issuer,
            **given,
        )
    if before["enabled"] != after["enabled"]:
        status = ACTIVE if after["enabled"] else "disabled"
        connections.set_status(site.tx, site.operator, site.tenant_id, change.name, status)


def _plain(entry: Json) -> dict[str, Any]:
    return {
        "name": entry["name"],
        "is_listed": entry["button"],
        "provisions": entry["provision"],
        "links_by_email": entry["link_by_email"],
    }
