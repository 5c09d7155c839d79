"""How far MCP servers are rolled out, as entries; those that are not named are `full`."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.admin import rollouts
from authz.admin.code.kind import Site
from authz.admin.code.spelling import servers_of, spelled
from authz.db.models import Resource
from authz.directory import groups
from authz.policy import rollout
from authz.policy.code.entries import Change, Entries, Json
from authz.policy.code.rollouts import RolloutEntry
from authz.policy.rollout import FULL_STATE

_FULL: Json = RolloutEntry().model_dump(mode="json")


def current(site: Site) -> Entries:
    """Of those that are not full."""
    rows = site.tx.execute(
        select(Resource.identifier, Resource.rollout).where(Resource.tenant_id == site.tenant_id)
    )
    found = {url: rollout.of_json(stored) for url, stored in rows if stored is not None}
    admitted = frozenset[str]().union(*(it.groups for it in found.values()))
    names = groups.names_by_id(site.tx, site.tenant_id, admitted)
    return {
        url: {
            "state": it.state,
            "groups": sorted(names[id_] for id_ in it.groups if id_ in names),
            "percent": it.percent,
        }
        for url, it in found.items()
        if it.state != FULL_STATE
    }


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """As they are written; one that is full needs no line."""
    written = site.written.entries.get("rollouts")
    if written is None:
        return None
    servers = servers_of(site)
    return {spelled(url, servers): entry for url, entry in written.items() if entry != _FULL}


def write(site: Site, changes: Sequence[Change]) -> None:
    """Move on, or back."""
    for change in changes:
        if change.after is not None:
            with site.at(change):
                _set(site, change.name, change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Roll out to everybody."""
    for change in changes:
        if change.after is None:
            with site.at(change):
                _set(site, change.name, _FULL)


def _set(site: Site, url: str, entry: Json) -> None:
    rollouts.set_rollout(
        site.tx,
        site.operator,
        site.tenant_id,
        url,
        state=entry["state"],
        groups=entry["groups"],
        percent=entry["percent"],
    )
