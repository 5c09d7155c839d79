"""Issuers of workloads, as entries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from authz.admin import trust, workload_trust
from authz.admin.code.kind import Site, without_nothing
from authz.admin.code.spelling import servers_of, spelled
from authz.db.models import TrustedIssuer
from authz.errors import Conflict
from authz.oauth.workload_trust import WORKLOAD, check_settings
from authz.policy.code.entries import Change, Entries, Json


def current(site: Site) -> Entries:
    """All of them."""
    rows = site.tx.scalars(
        select(TrustedIssuer).where(
            TrustedIssuer.tenant_id == site.tenant_id, TrustedIssuer.kind == WORKLOAD
        )
    )
    return {
        row.slug: {
            "issuer": row.issuer,
            "enabled": row.status == "active",
            "settings": row.settings,
        }
        for row in rows
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """With what their presets say filled in, and servers as they are spelled where they are registered."""
    written = site.written.entries.get("workload_trust")
    if written is None:
        return None
    servers = servers_of(site)
    found = {}
    for slug, entry in written.items():
        with site.at(Change("workload_trust", slug, current.get(slug), entry)):
            issuer, given = workload_trust.with_preset(
                entry["issuer"], entry["settings"], entry["settings"].get("preset")
            )
            settings = check_settings(given, issuer).as_json()
        for rule in settings.get("rules", ()):
            urls = [spelled(url, servers) for url in rule["resources"]]
            rule["resources"] = list(dict.fromkeys(urls))
        found[slug] = {**entry, "issuer": issuer, "settings": settings}
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
    """The tokens of their workloads end."""
    for change in changes:
        if change.after is None:
            trust.remove(site.tx, site.operator, site.tenant_id, change.name)


def _add(site: Site, slug: str, entry: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id)
    workload_trust.add(*common, slug=slug, issuer=entry["issuer"], settings=entry["settings"])
    if not entry["enabled"]:
        trust.set_status(*common, slug, "disabled")


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id, change.name)
    if change.differs("issuer"):
        raise Conflict(
            f"its issuer is {before['issuer']} and stays so, because its workloads are known by it; "
            "trust the other one under another name"
        )
    if change.differs("settings"):
        gone: dict[str, Any] = dict.fromkeys(before["settings"].keys() - after["settings"].keys())
        workload_trust.change(*common, {**gone, **without_nothing(after["settings"])})
    if change.differs("enabled"):
        trust.set_status(*common, "active" if after["enabled"] else "disabled")
