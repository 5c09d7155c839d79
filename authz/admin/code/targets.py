"""Authorization servers that ID-JAGs are issued for, as entries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from authz.admin import targets
from authz.admin.code.kind import Site, without_nothing
from authz.db.models import Resource, TargetServer
from authz.errors import Conflict
from authz.oauth.targets import check_settings
from authz.policy.code.entries import Change, Entries, Json


def current(site: Site) -> Entries:
    """All of them."""
    rows = site.tx.scalars(select(TargetServer).where(TargetServer.tenant_id == site.tenant_id))
    return {
        row.slug: {
            "issuer": row.issuer,
            "enabled": row.status == "active",
            "settings": row.settings,
        }
        for row in rows
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """One that is switched off, has MCP servers and is not named stays as it is: it could not be removed."""
    written = site.written.entries.get("targets")
    if written is None:
        return None
    held = _with_servers(site)
    found = {
        slug: entry
        for slug, entry in current.items()
        if slug in held and not entry["enabled"] and slug not in written
    }
    for slug, entry in written.items():
        with site.at(Change("targets", slug, current.get(slug), entry)):
            settings = check_settings(entry["settings"]).as_json()
        found[slug] = {**entry, "settings": settings}
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
    """Forget it, or switch it off where MCP servers of its own are registered: their records stay."""
    held = _with_servers(site) if changes else frozenset()
    common = (site.tx, site.operator, site.tenant_id)
    for change in changes:
        if change.after is None:
            if change.name in held:
                targets.set_status(*common, change.name, "disabled")
            else:
                targets.remove(*common, change.name)


def _add(site: Site, slug: str, entry: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id)
    targets.add(
        *common,
        slug=slug,
        issuer=entry["issuer"],
        own_issuer=site.surroundings.issuer,
        settings=entry["settings"],
    )
    if not entry["enabled"]:
        targets.set_status(*common, slug, "disabled")


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id, change.name)
    if change.differs("issuer"):
        raise Conflict(
            f"its issuer is {before['issuer']} and stays so; know the other one under another name"
        )
    if change.differs("settings"):
        gone: dict[str, Any] = dict.fromkeys(before["settings"].keys() - after["settings"].keys())
        targets.change(*common, {**gone, **without_nothing(after["settings"])})
    if change.differs("enabled"):
        targets.set_status(*common, "active" if after["enabled"] else "disabled")


def _with_servers(site: Site) -> frozenset[str]:
    return frozenset(
        site.tx.scalars(
            select(TargetServer.slug)
            .join(Resource, Resource.server_id == TargetServer.id)
            .where(TargetServer.tenant_id == site.tenant_id)
        )
    )
