"""What the last `authz apply` left behind, and how much of it is otherwise by now: drift, as a number.

`authz diff` says what differs from a directory; a server that runs has no directory. So an apply leaves a digest of
every entry of the kinds that its directory speaks of, and the present is compared with those.

Decisions:
- What the directory leaves open is no drift: kinds it has no file for, who holds roles where it names nobody, settings
  it does not say, and clients that came by themselves.
- A kind is kept from an earlier apply when a later directory says nothing of it: directories may be applied apart.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.code import KINDS
from authz.admin.code.kind import Site
from authz.admin.operator import Operator
from authz.db.models import AppliedPolicy, Tenant
from authz.db.types import canonical_json
from authz.envelope import Envelope
from authz.policy.code.clients import is_registered
from authz.policy.code.entries import SINGLE, Entries, Json
from authz.policy.code.roles import is_binding

Digests = Mapping[str, str]
"""Of entries, by name."""
_ROLES, _BINDINGS, _CLIENTS, _SETTINGS = "roles", "bindings", "clients", "settings"
_WHOLE = (_SETTINGS, SINGLE)
_AT_MOST_EVERY = timedelta(minutes=1)


def note(site: Site) -> None:
    """Keep what the tenant is now, as far as the directory spoke of it."""
    said = {kind: _digests(entries) for kind, entries in _said(site)}
    row = site.tx.get(AppliedPolicy, site.tenant_id)
    if row is None:
        row = AppliedPolicy(tenant_id=site.tenant_id, kinds={})
        site.tx.add(row)
    row.at = site.operator.now
    row.kinds = {**row.kinds, **said}


def differing(site: Site, applied: Mapping[str, Digests]) -> Mapping[str, int]:
    """How many entries of each kind are not as they were left, come and gone included."""
    found = {}
    for kind, entries in _current(site, applied.keys()).items():
        # Of an apply before each setting was one; the next apply says them.
        left = {name: it for name, it in applied[kind].items() if (kind, name) != _WHOLE}
        now = _digests(_known(kind, entries, left))
        found[kind] = sum(now.get(name) != left.get(name) for name in now.keys() | left.keys())
    return found


@dataclass
class Drifts:
    """Of all tenants; a tenant is looked at again when its configuration has changed, and not all the time."""

    envelope: Envelope
    _known: dict[str, tuple[int, datetime, Mapping[str, int]]] = field(default_factory=dict)

    def count(self, tx: Session, now: datetime) -> Mapping[str, int]:
        """Entries that differ, by kind. Empty where nobody applies."""
        total: Counter[str] = Counter()
        rows = tx.execute(
            select(AppliedPolicy.tenant_id, AppliedPolicy.at, Tenant.config_version).join(
                Tenant, Tenant.id == AppliedPolicy.tenant_id
            )
        )
        for tenant_id, applied_at, version in rows.all():
            known = self._known.get(tenant_id)
            if known is None or (
                (known[0] != version and now - known[1] >= _AT_MOST_EVERY) or applied_at > known[1]
            ):
                found = self._of(tx, tenant_id, now)
                self._known[tenant_id] = known = (version, now, found)
            total.update(known[2])
        return total

    def _of(self, tx: Session, tenant_id: str, now: datetime) -> Mapping[str, int]:
        site = Site(tx, Operator.local("metrics", now, self.envelope), tenant_id)
        row = tx.get_one(AppliedPolicy, tenant_id)
        return differing(site, row.kinds)


def _said(site: Site) -> Iterator[tuple[str, Entries]]:
    named: dict[str, Iterable[str]] = dict(site.written.entries)
    if _SETTINGS in named:
        said = site.written.entries[_SETTINGS][SINGLE]
        named[_SETTINGS] = [member for member, value in said.items() if value is not None]
    if site.written.roles is not None:
        named[_ROLES] = ()
        if site.written.roles.bindings is not None:
            named[_BINDINGS] = ()
    for kind, entries in _current(site, named.keys()).items():
        yield kind, _known(kind, entries, named[kind])


def _current(site: Site, kinds: Set[str]) -> Mapping[str, Entries]:
    """Of each kind; each setting is an entry here, and who holds roles is a kind of its own."""
    found = {kind: KINDS[kind].current(site) for kind in kinds - {_ROLES, _BINDINGS}}
    if _SETTINGS in found:
        found[_SETTINGS] = {n: {n: value} for n, value in found[_SETTINGS][SINGLE].items()}
    if kinds & {_ROLES, _BINDINGS}:
        both = KINDS[_ROLES].current(site)
        found[_ROLES] = {name: it for name, it in both.items() if not is_binding(name)}
        found[_BINDINGS] = {name: it for name, it in both.items() if is_binding(name)}
    return {kind: found[kind] for kind in kinds}


def _known(kind: str, entries: Entries, named: Iterable[str]) -> Entries:
    """Those that the directory speaks of."""
    if kind not in (_SETTINGS, _CLIENTS):
        return entries
    known = set(named)
    return {
        name: it
        for name, it in entries.items()
        if name in known or (kind == _CLIENTS and is_registered(it))
    }


def _digests(entries: Entries) -> dict[str, str]:
    return {name: _digest(entry) for name, entry in entries.items()}


def _digest(entry: Json) -> str:
    return hashlib.sha256(canonical_json(entry).encode()).hexdigest()[:16]
