"""Groups as files say them, by name; rows hold ids, and those of groups that are gone mean nobody."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from authz.admin.code.kind import Site
from authz.db.lists import among
from authz.db.models import Group


def group_names(site: Site, ids: Iterable[str]) -> Mapping[str, str]:
    """Names by id, of those that are there."""
    rows = site.tx.execute(
        select(Group.id, Group.name).where(
            Group.tenant_id == site.tenant_id, among(site.tx, Group.id, ids)
        )
    )
    return dict(rows.all())


def named(ids: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """In order."""
    return sorted(names[id_] for id_ in ids if id_ in names)
