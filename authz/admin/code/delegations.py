"""Rules of token exchange, as entries. One that carries something else is another one."""

from collections.abc import Sequence

from authz.admin import delegations
from authz.admin.code.kind import Site
from authz.admin.code.spelling import servers_of, spelled
from authz.admin.delegations import DelegationLine
from authz.errors import Invalid
from authz.policy.code.delegations import name_of
from authz.policy.code.entries import Change, Entries, Json


def current(site: Site) -> dict[str, Json]:
    """All of them."""
    entries = [_entry(it) for it in delegations.list_(site.tx, site.tenant_id)]
    return {name_of(it): it for it in entries}


def _entry(line: DelegationLine) -> Json:
    return {
        "client": line.client_id,
        "from_server": line.from_server,
        "to_server": line.to_server,
        "carries": {scope: sorted(by) for scope, by in line.carries.items()},
        "max_depth": line.max_depth,
    }


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """With servers as they are spelled where they are registered."""
    written = site.written.entries.get("delegations")
    if written is None:
        return None
    servers = servers_of(site)
    found: dict[str, Json] = {}
    for name, entry in written.items():
        ends = {it: spelled(entry[it], servers) for it in ("from_server", "to_server")}
        made = {**entry, **ends}
        if name_of(made) in found:
            with site.at(Change("delegations", name, None, entry)):
                raise Invalid("it is there already, with another spelling of a server")
        found[name_of(made)] = made
    return found


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add, in the place of what was there."""
    common = (site.tx, site.operator, site.tenant_id)
    ids = _ids(site) if changes else {}
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if change.before is not None:
                delegations.remove(*common, ids[change.name])
            delegations.add(
                *common,
                client_id=change.after["client"],
                **{it: change.after[it] for it in change.after if it != "client"},
            )


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Tokens that came of it end within their minutes."""
    ids = _ids(site) if changes else {}
    for change in changes:
        if change.after is None and change.name in ids:
            delegations.remove(site.tx, site.operator, site.tenant_id, ids[change.name])


def _ids(site: Site) -> dict[str, str]:
    return {name_of(_entry(it)): it.id for it in delegations.list_(site.tx, site.tenant_id)}
