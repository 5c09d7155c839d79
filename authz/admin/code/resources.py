"""MCP servers and their scopes, as entries. One that is not named is switched off, because its records stay."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.admin import resources, scopes
from authz.admin.code.kind import Site
from authz.admin.conditions import ANY_SIGN_IN
from authz.admin.scopes import NewScope, ScopeChange
from authz.db.models import Resource, Scope, TargetServer
from authz.errors import Conflict, Invalid
from authz.policy import requirements
from authz.policy.code.entries import Change, Entries, Json
from authz.policy.requirements import Requirement
from authz.urls import UrlError, canonical_resource


def current(site: Site) -> Entries:
    """All of them."""
    declared: dict[str, dict[str, Json]] = {}
    for scope in site.tx.scalars(
        select(Scope).where(Scope.tenant_id == site.tenant_id).order_by(Scope.name)
    ):
        declared.setdefault(scope.resource_id, {})[scope.name] = {
            "description": scope.description,
            "risk": scope.risk,
            "default": scope.is_default,
            "tools": list(scope.tools),
            "requires": scope.requires,
        }
    slugs = dict(
        site.tx.execute(
            select(TargetServer.id, TargetServer.slug).where(
                TargetServer.tenant_id == site.tenant_id
            )
        ).all()
    )
    rows = site.tx.scalars(select(Resource).where(Resource.tenant_id == site.tenant_id))
    return {
        row.identifier: {
            "name": row.name,
            "owner": row.owner,
            "enabled": row.status == "active",
            "default": row.is_default,
            "identity": row.identity,
            "status_list": row.status_list,
            "client": row.client_id,
            "issued_by": None if row.server_id is None else slugs[row.server_id],
            "scopes": declared.get(row.id, {}),
        }
        for row in rows
    }


_UNKNOWN: Json = {"owner": ""}


def wanted(site: Site, current: Entries) -> Entries | None:
    """One that is switched off and not named stays as it is; so does the owner of one that is named without.

    Who answers for a new one without an owner is known when it is registered: whoever applies the file (S17).
    """
    written = site.written.entries.get("resources")
    if written is None:
        return None
    spelled = {_canonical(url): url for url in current}
    seen: dict[str, str] = {}
    for url, entry in written.items():
        change = Change("resources", url, current.get(url), entry)
        with site.at(change):
            canonical = _canonical(url)
            there = spelled.get(canonical, url)
            if there != url:
                raise Invalid(f"it is registered as {there}, and issued as `aud` so; write it so")
            if canonical in seen:
                raise Invalid(f"it is the same server as {seen[canonical]}")
            seen[canonical] = url
    defaults = [url for url, entry in written.items() if entry["default"]]
    if len(defaults) > 1:
        raise Invalid(f"several servers are the default: {', '.join(sorted(defaults))}")
    off = {url: entry for url, entry in current.items() if not entry["enabled"]}
    named = {
        url: {
            **entry,
            "name": entry["name"] or url,
            "owner": entry["owner"] or current.get(url, _UNKNOWN)["owner"],
        }
        for url, entry in written.items()
    }
    return {**off, **named}


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
    """Switch off; what was the default is that no longer."""
    for change in changes:
        if change.after is None and change.before is not None:
            common = (site.tx, site.operator, site.tenant_id, change.name)
            resources.set_status(*common, "disabled")
            if change.before["default"]:
                resources.unset_default(*common)


def _add(site: Site, url: str, entry: Json) -> None:
    made = resources.add(
        site.tx,
        site.operator,
        site.tenant_id,
        identifier=url,
        name=entry["name"],
        owner=entry["owner"],
        scopes=[_scope(name, it) for name, it in entry["scopes"].items()],
        is_default=entry["default"],
        issued_by=entry["issued_by"],
    )
    common = (site.tx, site.operator, site.tenant_id, made.id)
    if entry["identity"] != resources.SERVICE_ALLOWED:
        resources.set_identity(*common, entry["identity"])
    if entry["status_list"]:
        resources.set_status_list(*common, wanted=True)
    if entry["client"] is not None:
        resources.set_client(*common, entry["client"])
    if not entry["enabled"]:
        resources.set_status(*common, "disabled")


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id, change.name)
    if change.differs("issued_by"):
        raise Conflict(
            "who issues its tokens stays as it is; register the server under another URL"
        )
    if change.differs("owner"):
        # First: without an owner it does not go live.
        resources.set_owner(*common, after["owner"])
    if not before["enabled"] and after["enabled"]:
        resources.set_status(*common, "active")
    for member, operation in (
        ("name", resources.set_name),
        ("identity", resources.set_identity),
        ("client", resources.set_client),
    ):
        if change.differs(member):
            operation(*common, after[member])
    if change.differs("status_list"):
        resources.set_status_list(*common, wanted=after["status_list"])
    if change.differs("default"):
        (resources.set_default if after["default"] else resources.unset_default)(*common)
    _change_scopes(site, change, before["scopes"], after["scopes"])
    if before["enabled"] and not after["enabled"]:
        resources.set_status(*common, "disabled")


def _change_scopes(site: Site, change: Change, before: Entries, after: Entries) -> None:
    row = resources.load(site.tx, site.tenant_id, change.name)
    common = (site.tx, site.operator, site.tenant_id, row.id)
    for name in sorted(before.keys() - after.keys()):
        scopes.remove_scope(*common, name)
    for name, entry in sorted(after.items()):
        if name not in before:
            scopes.add_scope(*common, _scope(name, entry))
        elif entry != before[name]:
            made = _scope(name, entry)
            edited = ScopeChange(
                description=made.description,
                risk=made.risk,
                is_default=made.is_default,
                tools=made.tools,
                requires=made.requires or ANY_SIGN_IN,
            )
            scopes.edit_scope(*common, name, edited)


def _scope(name: str, entry: Json) -> NewScope:
    return NewScope(
        name=name,
        description=entry["description"],
        risk=entry["risk"],
        is_default=entry["default"],
        tools=tuple(entry["tools"]),
        requires=_requirement(entry["requires"]),
    )


def _requirement(value: Json | None) -> Requirement | None:
    return None if value is None else requirements.parse(value)


def _canonical(url: str) -> str:
    try:
        return canonical_resource(url)
    except UrlError as error:
        raise Invalid(str(error)) from None
