"""Groups that are made here, as entries; not those of mappings to roles, and not what a directory provisions."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.admin import groups
from authz.admin.code.kind import Site
from authz.admin.mappings import is_made_for_one
from authz.db.models import Group, ScimRecord
from authz.errors import Conflict
from authz.policy.code.entries import Change, Entries


def current(site: Site) -> Entries:
    """All of them."""
    provisioned = select(ScimRecord.id).where(
        ScimRecord.tenant_id == site.tenant_id,
        ScimRecord.kind == "Group",
        ScimRecord.made_here.is_(True),
    )
    names = site.tx.scalars(
        select(Group.name).where(Group.tenant_id == site.tenant_id, Group.id.not_in(provisioned))
    )
    return {name: {} for name in names if not is_made_for_one(name)}


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """As they are written."""
    written = site.written.entries.get("groups")
    for name, entry in (written or {}).items():
        if is_made_for_one(name):
            with site.at(Change("groups", name, None, entry)):
                raise Conflict("it belongs to a mapping; say the role under `mappings`")
    return written


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add, without anybody in them."""
    for change in changes:
        if change.after is not None:
            with site.at(change):
                groups.add(site.tx, site.operator, site.tenant_id, name=change.name)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """With the roles they hold, whoever is in them."""
    for change in changes:
        if change.after is None:
            with site.at(change):
                groups.remove(site.tx, site.operator, site.tenant_id, group=change.name)
