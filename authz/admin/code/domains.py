"""Domains, as entries."""

from collections.abc import Sequence

from authz.admin import domains
from authz.admin.code.kind import Site
from authz.errors import Conflict
from authz.policy.code.entries import Change, Entries


def current(site: Site) -> Entries:
    """All of them, verified or not."""
    return {
        it.name: {"connection": it.connection, "mandatory": it.is_mandatory}
        for it in domains.list_(site.tx, site.tenant_id)
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """By the names they are stored under."""
    written = site.written.entries.get("domains")
    if written is None:
        return None
    found = {}
    for name, entry in written.items():
        with site.at(Change("domains", name, None, entry)):
            spelled = domains.check_name(name)
            if spelled in found:
                raise Conflict(f"it is {spelled}, which is named already")
            there = current.get(spelled)
            if there is not None and there["connection"] != entry["connection"]:
                raise Conflict(
                    f"it is proved for the connection {there['connection']}; take it out, and claim it anew"
                )
        found[spelled] = entry
    return found


def write(site: Site, changes: Sequence[Change]) -> None:
    """Claim, and bind people to their connection or not."""
    common = (site.tx, site.operator, site.tenant_id)
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if change.before is None:
                domains.add(*common, name=change.name, connection=change.after["connection"])
            is_mandatory = change.before is not None and change.before["mandatory"]
            if change.after["mandatory"] != is_mandatory:
                domains.set_mandatory(*common, change.name, mandatory=change.after["mandatory"])


def forget(site: Site, changes: Sequence[Change]) -> None:
    """With their proof."""
    for change in changes:
        if change.after is None:
            domains.remove(site.tx, site.operator, site.tenant_id, change.name)
