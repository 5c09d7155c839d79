"""What policy was: a version for every state that lasted, who made it, what differs, and the way back.

Policy here is MCP servers with their scopes, roles, bindings and mappings: what two people may have to agree on.
Clients, identity providers and trust have their history in the audit trail, and secrets no version brings back; how
far a server is rolled out is a state of its own.

Decisions:
- A job looks every few seconds whether policy is another, whoever changed it: console, API, command line or
  `authz apply`. What several people do within those seconds is one version with several authors.
- The way back is applying the old document: the same operations, permissions and events as by hand, and all of it or
  nothing. It is a change of policy like any other, so where a tenant demands two people it takes the second.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, String, cast, or_, select
from sqlalchemy.orm import Session, defer

from authz.admin.code import mappings, resources, roles
from authz.admin.code.kind import Kind, Site
from authz.admin.code.roles import current_file
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, check_limit, number_behind, sliced
from authz.audit.events import Changed
from authz.db.models import AuditEvent, PolicyVersion, Tenant
from authz.db.types import canonical_json
from authz.errors import Conflict, NotFound
from authz.policy.administration import Permission
from authz.policy.code import writing
from authz.policy.code.entries import Change, differences
from authz.policy.code.reading import read

KINDS: Mapping[str, Kind] = {"resources": resources, "roles": roles, "mappings": mappings}
AREAS = frozenset({"resource", "scope", "role", "roles", "mapping", "review", "policy", "change"})
"""Of changes that are about policy: the first part of what the trail calls them."""
MAX_DIFF_LINES = 2000
_MOST_EVENTS = 1000


@dataclass(frozen=True)
class VersionLine:
    """A version in a list."""

    version: int
    at: datetime
    authors: list[str]
    changes: list[str]
    digest: str


@dataclass(frozen=True)
class VersionDetails(VersionLine):
    """A version with what it changed of the one before, as lines of a unified diff."""

    before: int | None
    diff: list[str]
    cut: bool
    """Whether the diff is longer than what is shown."""


def record(tx: Session, operator: Operator, tenant_id: str) -> VersionLine | None:
    """Keep the present state if it is another than the last one kept."""
    current = tx.scalars(select(Tenant.config_version).where(Tenant.id == tenant_id)).one()
    last = _last(tx, tenant_id)
    if last is not None and last.version == current:
        return None
    document = _document(Site(tx, operator, tenant_id))
    digest = hashlib.sha256(canonical_json(document).encode()).hexdigest()
    if last is not None and last.digest == digest:
        return None
    events = _events(tx, tenant_id, None if last is None else last.at)
    row = PolicyVersion(
        tenant_id=tenant_id,
        version=current,
        at=operator.now,
        authors=sorted({actor for actor, _ in events}),
        changes=sorted({what for _, what in events}),
        digest=digest,
        document=document,
    )
    tx.add(row)
    tx.flush()
    return _line(row)


def revert(tx: Session, operator: Operator, tenant_id: str, *, version: int) -> list[str]:
    """Make policy what it was at a version; answers what that changed. Raises Conflict where it is so already."""
    operator.must(Permission.POLICY_WRITE)
    # Two at once would each compare with what the other is about to replace.
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
    row = _load(tx, tenant_id, version)
    site = Site(tx, operator, tenant_id, written=read(row.document))
    changes = list(_changes(site))
    if not changes:
        raise Conflict(f"policy is what it was at version {version} already")
    for kind, module in KINDS.items():
        module.write(site, [it for it in changes if it.kind == kind])
    for kind, module in reversed(list(KINDS.items())):
        module.forget(site, [it for it in changes if it.kind == kind])
    for left in _changes(site):
        raise Conflict(f"{left.kind} {left.name} would still differ; nothing was changed")
    told = [f"{it.verb} {it.kind} {it.name}" for it in changes]
    operator.changed(
        tx, tenant_id, "policy.revert", str(version), {"version": version, "changes": len(told)}
    )
    return told


def page(
    tx: Session,
    tenant_id: str,
    *,
    matching: str = "",
    area: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[VersionLine]:
    """The youngest first; `after` a version (its number) those that are older. Raises Invalid.

    Those whose authors or changes hold `matching`, and that changed something in an area.
    """
    check_limit(limit)
    query = _without_documents(tenant_id)
    # Lists of short texts, compared as they are stored.
    authors, told = cast(PolicyVersion.authors, String), cast(PolicyVersion.changes, String)
    if matching:
        query = query.where(
            or_(
                authors.icontains(matching, autoescape=True),
                told.icontains(matching, autoescape=True),
            )
        )
    if area:
        query = query.where(told.contains(f'"{area}.', autoescape=True))
    if after is not None:
        query = query.where(PolicyVersion.version < number_behind(after))
    rows = tx.scalars(query.order_by(PolicyVersion.version.desc()).limit(limit + 1)).all()
    return sliced([_line(row) for row in rows], limit, [str(row.version) for row in rows])


def show(tx: Session, tenant_id: str, version: int) -> VersionDetails:
    """Raises NotFound."""
    row = _load(tx, tenant_id, version)
    earlier = tx.scalars(
        select(PolicyVersion)
        .where(PolicyVersion.tenant_id == tenant_id, PolicyVersion.version < version)
        .order_by(PolicyVersion.version.desc())
        .limit(1)
    ).one_or_none()
    lines = list(_diff({} if earlier is None else earlier.document, row.document))
    return VersionDetails(
        **vars(_line(row)),
        before=None if earlier is None else earlier.version,
        diff=lines[:MAX_DIFF_LINES],
        cut=len(lines) > MAX_DIFF_LINES,
    )


def _document(site: Site) -> dict[str, str]:
    entries = {kind: KINDS[kind].current(site) for kind in ("resources", "mappings")}
    return writing.write(entries, current_file(site))


def _changes(site: Site) -> Iterator[Change]:
    for kind, module in KINDS.items():
        current = module.current(site)
        wanted = module.wanted(site, current)
        if wanted is not None:
            yield from differences(kind, current, wanted)


def _diff(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        yield from difflib.unified_diff(old, new, name, name, lineterm="", n=2)


def _events(tx: Session, tenant_id: str, since: datetime | None) -> list[tuple[str, str]]:
    """Who did what about policy, as the trail tells; the youngest when there were very many."""
    query = select(AuditEvent.body).where(
        AuditEvent.tenant_id == tenant_id, AuditEvent.kind == Changed.kind
    )
    if since is not None:
        query = query.where(AuditEvent.at > since)
    found = []
    for body in tx.scalars(query.order_by(AuditEvent.at.desc()).limit(_MOST_EVENTS)):
        event = json.loads(body)
        what = event["detail"]["what"]
        if what.partition(".")[0] in AREAS:
            found.append((event["actor"] or "", what))
    return found


def _last(tx: Session, tenant_id: str) -> PolicyVersion | None:
    query = _without_documents(tenant_id).order_by(PolicyVersion.version.desc())
    return tx.scalars(query.limit(1)).one_or_none()


def _without_documents(tenant_id: str) -> Select[PolicyVersion]:
    """A document can be many megabytes, and a list needs none."""
    return (
        select(PolicyVersion)
        .where(PolicyVersion.tenant_id == tenant_id)
        .options(defer(PolicyVersion.document, raiseload=True))
    )


def _load(tx: Session, tenant_id: str, version: int) -> PolicyVersion:
    row = tx.get(PolicyVersion, (tenant_id, version))
    if row is None:
        raise NotFound(f"there is no version {version}; `authz versions list` shows them")
    return row


def _line(row: PolicyVersion) -> VersionLine:
    return VersionLine(row.version, row.at, row.authors, row.changes, row.digest)
