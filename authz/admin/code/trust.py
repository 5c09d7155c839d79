"""Issuers of assertions about people, as entries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from authz.admin import connections, trust
from authz.admin.code.kind import Site, without_nothing
from authz.admin.code.spelling import servers_of, spelled
from authz.admin.trust import ASSERTING
from authz.db.models import Connection, TrustedIssuer
from authz.oauth.trust import ID_JAG, check_settings
from authz.policy.code.entries import Change, Entries, Json

_BORN_WITH = ("issuer", "connection")


def current(site: Site) -> Entries:
    """All of them."""
    rows = site.tx.execute(
        select(TrustedIssuer, Connection)
        .join(Connection, Connection.id == TrustedIssuer.connection_id)
        .where(TrustedIssuer.tenant_id == site.tenant_id, TrustedIssuer.kind == ID_JAG)
    )
    return {entry.slug: _entry(entry, connection) for entry, connection in rows}


def _entry(row: TrustedIssuer, connection: Connection) -> Json:
    is_own = connection.kind == ASSERTING and connection.slug == row.slug
    return {
        "issuer": row.issuer,
        "connection": None if is_own else connection.slug,
        "provision": is_own and connection.provisions,
        "enabled": row.status == "active",
        "settings": row.settings,
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """What their settings leave out is as the server has it."""
    written = site.written.entries.get("trust")
    if written is None:
        return None
    servers = servers_of(site)
    found = {}
    for slug, entry in written.items():
        with site.at(Change("trust", slug, current.get(slug), entry)):
            settings = check_settings(entry["settings"]).as_json()
        if "resources" in settings:
            urls = settings["resources"]
            settings = {**settings, "resources": [spelled(url, servers) for url in urls]}
        found[slug] = {**entry, "settings": settings}
    return found


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add and change; one about somebody else is another one."""
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if change.before is None:
                _add(site, change.name, change.after)
            elif change.differs(*_BORN_WITH):
                trust.remove(site.tx, site.operator, site.tenant_id, change.name)
                _add(site, change.name, change.after)
            else:
                _change(site, change, change.before, change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Its people stay."""
    for change in changes:
        if change.after is None:
            trust.remove(site.tx, site.operator, site.tenant_id, change.name)


def _add(site: Site, slug: str, entry: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id)
    # The connection of an entry that was there before stayed, with its people.
    has_own = entry["connection"] is None and _has_own_connection(site, slug)
    trust.add(
        *common,
        slug=slug,
        issuer=entry["issuer"],
        settings=entry["settings"],
        connection=slug if has_own else entry["connection"],
        provisions=entry["provision"],
    )
    if has_own:
        _set_provision(site, slug, wanted=entry["provision"])
    if not entry["enabled"]:
        trust.set_status(*common, slug, "disabled")


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id, change.name)
    if before["settings"] != after["settings"]:
        gone: dict[str, Any] = dict.fromkeys(before["settings"].keys() - after["settings"].keys())
        trust.change(*common, {**gone, **without_nothing(after["settings"])})
    if before["provision"] != after["provision"]:
        _set_provision(site, change.name, wanted=after["provision"])
    if before["enabled"] != after["enabled"]:
        trust.set_status(*common, "active" if after["enabled"] else "disabled")


def _set_provision(site: Site, slug: str, *, wanted: bool) -> None:
    connections.change(
        site.tx,
        site.operator,
        site.tenant_id,
        site.surroundings.connectors,
        slug,
        provisions=wanted,
        issuer=site.surroundings.issuer,
    )


def _has_own_connection(site: Site, slug: str) -> bool:
    found = site.tx.scalars(
        select(Connection.id).where(
            Connection.tenant_id == site.tenant_id,
            Connection.slug == slug,
            Connection.kind == ASSERTING,
        )
    )
    return found.first() is not None
