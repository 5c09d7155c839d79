"""What is set for the tenant as a whole, as one entry."""

from collections.abc import Sequence

from authz.admin import tenants
from authz.admin.code.kind import Site
from authz.db.models import Tenant
from authz.policy.code.entries import SINGLE, Change, Entries

_MEMBERS = ("name", "client_trust", "registration", "change_control", "scope_changes")


def current(site: Site) -> Entries:
    """All of it."""
    row = site.tx.get_one(Tenant, site.tenant_id)
    return {SINGLE: {member: getattr(row, member) for member in _MEMBERS}}


def wanted(site: Site, current: Entries) -> Entries | None:
    """What is not said stays as it is."""
    written = site.written.entries.get("settings")
    if written is None:
        return None
    said = {member: value for member, value in written[SINGLE].items() if value is not None}
    return {SINGLE: {**current[SINGLE], **said}}


def write(site: Site, changes: Sequence[Change]) -> None:
    """Each by its own operation."""
    slug = site.tx.get_one(Tenant, site.tenant_id).slug
    common = (site.tx, site.operator)
    for change in changes:
        after = change.after or {}
        with site.at(change):
            if change.differs("name"):
                tenants.rename(*common, slug=slug, name=after["name"])
            if change.differs("client_trust"):
                tenants.set_client_trust(*common, slug=slug, mode=after["client_trust"])
            if change.differs("registration"):
                tenants.set_registration(*common, slug=slug, mode=after["registration"])
            if change.differs("change_control"):
                tenants.set_change_control(*common, slug=slug, mode=after["change_control"])
            if change.differs("scope_changes"):
                tenants.set_scope_changes(*common, slug=slug, mode=after["scope_changes"])


def forget(site: Site, changes: Sequence[Change]) -> None:
    """There always are settings."""
