"""Clients, as entries: registered ones whole, of others only how far they may go."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from authz.admin import clients
from authz.admin.client_metadata import FLAGS, Registration
from authz.admin.code.kind import Site
from authz.clients.certificates import NAMES
from authz.db.models import Client
from authz.directory import groups
from authz.errors import Conflict
from authz.policy.code.clients import ClientEntry, is_registered
from authz.policy.code.entries import Change, Entries, Json

_REGISTERED = "registered"
_OURS = frozenset({"ceiling", "groups", "blocked", "approved"})


def current(site: Site) -> Entries:
    """Registered ones, and those of the others about which something was decided."""
    rows = site.tx.scalars(select(Client).where(Client.tenant_id == site.tenant_id))
    found = rows.all()
    limits = frozenset[str]().union(*(row.groups or () for row in found))
    names = groups.names_by_id(site.tx, site.tenant_id, limits)
    every = {row.id: _entry(row, names) for row in found}
    plain = ClientEntry().model_dump(mode="json")
    return {id_: entry for id_, entry in every.items() if entry != plain}


def _entry(row: Client, names: Mapping[str, str]) -> Json:
    metadata = row.metadata_
    entry = {
        "ceiling": None if row.scope_ceiling is None else sorted(row.scope_ceiling),
        "groups": None
        if row.groups is None
        else sorted(names[it] for it in row.groups if it in names),
        "blocked": row.status == "blocked",
    }
    if row.kind != _REGISTERED:
        approved = True if row.kind == "dynamic" and row.status == "active" else None
        return {**ClientEntry().model_dump(mode="json"), **entry, "approved": approved}
    proof = {name: metadata[name] for name in NAMES if name in metadata}
    return {
        "name": row.name,
        "redirect_uris": list(metadata.get("redirect_uris", ())),
        "grant_types": list(metadata.get("grant_types", ())),
        "auth_method": metadata.get("token_endpoint_auth_method", "client_secret_basic"),
        "jwks": metadata.get("jwks"),
        "jwks_uri": metadata.get("jwks_uri"),
        "client_uri": metadata.get("client_uri"),
        "certificate_name": proof or None,
        **{member: bool(metadata.get(name)) for member, name in FLAGS.items()},
        **entry,
        "approved": None,
    }


def wanted(site: Site, current: Entries) -> Entries | None:
    """Nothing is said of clients that came by themselves and are not named: they stay as they are."""
    written = site.written.entries.get("clients")
    if written is None:
        return None
    unsaid = {
        id_: entry
        for id_, entry in current.items()
        if id_ not in written and not is_registered(entry)
    }
    said = {}
    for id_, entry in written.items():
        before = current.get(id_)
        if before is not None and not is_registered(entry):
            # An approval is taken back by blocking, or by the client itself when it changes.
            entry = {**entry, "approved": entry["approved"] or before["approved"]}
        if before is not None or entry != ClientEntry().model_dump(mode="json"):
            said[id_] = entry
    return {**unsaid, **said}


def write(site: Site, changes: Sequence[Change]) -> None:
    """Register, change, bound, block and approve."""
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if is_registered(change.after):
                _register(site, change, change.after)
            elif change.before is not None and is_registered(change.before):
                raise Conflict("it is a registered client; say its `name` and the rest of it")
            _bound(site, change, change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """With the consents for them; what they hold is revoked."""
    for change in changes:
        if change.after is None:
            clients.remove(site.tx, site.operator, site.tenant_id, change.name)


def _register(site: Site, change: Change, entry: Json) -> None:
    if change.before is None:
        # Whoever needs its secret makes one with `authz clients rotate-secret`: a plan runs where output is kept.
        clients.add(
            site.tx,
            site.operator,
            site.tenant_id,
            _registration(site, entry),
            client_id=change.name,
            scope_ceiling=None if entry["ceiling"] is None else frozenset(entry["ceiling"]),
        )
        return
    if any(change.differs(member) for member in entry if member not in _OURS):
        clients.change_registration(
            site.tx, site.operator, site.tenant_id, change.name, _registration(site, entry)
        )


def _bound(site: Site, change: Change, after: Json) -> None:
    new: Json = ClientEntry().model_dump(mode="json")
    if is_registered(after) and change.before is None:
        new = {**new, "ceiling": after["ceiling"]}  # it came with it
    before = change.before or new
    common = (site.tx, site.operator, site.tenant_id, change.name)
    if before["ceiling"] != after["ceiling"]:
        ceiling = after["ceiling"]
        clients.set_ceiling(*common, None if ceiling is None else frozenset(ceiling))
    if before["groups"] != after["groups"]:
        limited = after["groups"]
        clients.set_groups(*common, None if limited is None else frozenset(limited))
    if before["blocked"] and not after["blocked"]:
        clients.unblock(*common)
    if after["approved"] and not before["approved"]:
        clients.approve(*common)
    if after["blocked"] and not before["blocked"]:
        clients.block(*common)


def _registration(site: Site, entry: Json) -> Registration:
    names: dict[str, str] = entry["certificate_name"] or {}
    flags: dict[str, Any] = {member: entry[member] for member in FLAGS}
    return Registration(
        name=entry["name"],
        redirect_uris=tuple(entry["redirect_uris"]),
        grant_types=tuple(entry["grant_types"]),
        auth_method=entry["auth_method"],
        jwks=entry["jwks"],
        jwks_uri=entry["jwks_uri"],
        client_uri=entry["client_uri"],
        certificate_name=next(iter(names.items()), None),
        **flags,
        private_schemes=site.surroundings.private_schemes,
        development=site.surroundings.development,
    )
