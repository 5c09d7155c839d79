"""Replacing all roles of a tenant by those of a file, in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.conditions import check_connections, stored
from authz.admin.operator import Operator
from authz.admin.roles import HOLDERS, BindingLine, export
from authz.db.models import (
    Resource,
    Role,
    RoleBinding,
    RoleParent,
    RoleScope,
    Scope,
    Tenant,
)
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.policy.roles_file import RoleEntry, RolesFile
from authz.policy.snapshot import ANY_RESOURCE
from authz.urls import canonical_resource


@dataclass(frozen=True)
class RoleChange:
    """What one role gained and lost: scopes (`scope at URL` for one server only), inclusions and requirements."""

    name: str
    gained: list[str]
    lost: list[str]
    description_changed: bool = False


@dataclass(frozen=True)
class RolesDiff:
    """What an import did."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[RoleChange] = field(default_factory=list)
    bound: list[BindingLine] = field(default_factory=list)
    unbound: list[BindingLine] = field(default_factory=list)
    """Also the bindings of removed roles."""
    warnings: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.added or self.removed or self.changed or self.bound or self.unbound)


def import_file(tx: Session, operator: Operator, tenant_id: str, file: RolesFile) -> RolesDiff:
    """Make the roles those of the file, and the bindings too if it has any; answers what changed.

    Raises NotFound for a server, connection, user or group that does not exist: nothing is changed then.
    """
    operator.must(Permission.POLICY_WRITE)
    # Two imports at once would each compare with what the other is about to replace.
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
    resources = dict(
        tx.execute(
            select(Resource.canonical, Resource.id).where(Resource.tenant_id == tenant_id)
        ).all()
    )
    for role in file.roles.values():
        check_connections(tx, tenant_id, role.requires)
    before = export(tx, tenant_id)
    old = {name: _facts(role) for name, role in before.roles.items()}
    new = {name: _facts(_spelled(name, role, resources)) for name, role in file.roles.items()}
    held = _held(before)
    wanted = (
        {key: until for key, until in held.items() if key[0] in file.roles}
        if file.bindings is None
        else _held(file)
    )
    diff = RolesDiff(
        added=sorted(new.keys() - old.keys()),
        removed=sorted(old.keys() - new.keys()),
        changed=[
            RoleChange(
                name,
                gained=sorted(new[name] - old[name]),
                lost=sorted(old[name] - new[name]),
                description_changed=before.roles[name].description != file.roles[name].description,
            )
            for name in sorted(new.keys() & old.keys())
            if new[name] != old[name]
            or before.roles[name].description != file.roles[name].description
        ],
        bound=_lines(wanted.items() - held.items()),
        unbound=_lines(held.items() - wanted.items()),
        warnings=_warnings(tx, tenant_id, file, resources),
    )
    if diff.is_empty:
        return diff
    ids = _write_roles(tx, tenant_id, file, diff, resources)
    _write_bindings(tx, tenant_id, diff, ids)
    values = {
        "added": diff.added,
        "removed": diff.removed,
        "changed": [{"role": c.name, "gained": c.gained, "lost": c.lost} for c in diff.changed],
        "bound": len(diff.bound),
        "unbound": len(diff.unbound),
    }
    operator.changed(tx, tenant_id, "roles.import", "roles", values)
    return diff


_Holding = tuple[str, str, str]
"""Role, kind, holder."""


def _spelled(name: str, role: RoleEntry, resources: Mapping[str, str]) -> RoleEntry:
    """The role with its servers by id. Raises NotFound for one that is not registered."""
    at = {}
    for url, scopes in role.at.items():
        resource_id = resources.get(canonical_resource(url))
        if resource_id is None:
            raise NotFound(
                f"the role {name!r} names the MCP server {url!r}, which is not registered; "
                f"`authz resources add {url}` comes first"
            )
        at[url] = scopes
    return replace(role, at=at)


def _facts(role: RoleEntry) -> frozenset[str]:
    """Everything a role holds, as the lines of a diff."""
    return (
        frozenset(role.scopes)
        | {f"includes {name}" for name in role.includes}
        | {f"requires {required}" for required in (role.requires,) if required is not None}
        | {f"{s} at {canonical_resource(url)}" for url, scopes in role.at.items() for s in scopes}
    )


def _held(file: RolesFile) -> dict[_Holding, datetime | None]:
    return {
        (binding.role, kind, name): binding.until
        for binding in file.bindings or ()
        for kind, names in (
            ("user", binding.users),
            ("group", binding.groups),
            ("client", binding.clients),
        )
        for name in names
    }


def _lines(items: Iterable[tuple[_Holding, datetime | None]]) -> list[BindingLine]:
    return [BindingLine(*key, until) for key, until in sorted(items, key=lambda item: item[0])]


def _warnings(
    tx: Session, tenant_id: str, file: RolesFile, resources: Mapping[str, str]
) -> list[str]:
    """Scopes that nothing declares give nothing: most often a slip of the pen."""
    declared: dict[str, set[str]] = {}
    for resource_id, name in tx.execute(
        select(Scope.resource_id, Scope.name).where(Scope.tenant_id == tenant_id)
    ):
        declared.setdefault(resource_id, set()).add(name)
    anywhere = set[str]().union(*declared.values())
    found = []
    for name, role in sorted(file.roles.items()):
        found += [
            f"no MCP server declares {scope!r}, so the role {name!r} gives nothing by it"
            for scope in sorted(role.scopes - anywhere)
        ]
        for url, scopes in sorted(role.at.items()):
            here = declared.get(resources[canonical_resource(url)], set())
            found += [
                f"{url} does not declare {scope!r}, so the role {name!r} gives nothing by it"
                for scope in sorted(scopes - here)
            ]
    return found


def _write_roles(
    tx: Session,
    tenant_id: str,
    file: RolesFile,
    diff: RolesDiff,
    resources: Mapping[str, str],
) -> dict[str, str]:
    """Roles that keep their name keep their id, and with it their bindings. Answers the ids by name."""
    rows = {row.name: row for row in tx.scalars(select(Role).where(Role.tenant_id == tenant_id))}
    for name in diff.removed:
        tx.execute(delete(Role).where(Role.id == rows.pop(name).id))
    for name in diff.added:
        rows[name] = Role(id=entropy.new_id("rol"), tenant_id=tenant_id, name=name, description="")
        tx.add(rows[name])
    for name, role in file.roles.items():
        rows[name].description = role.description
        rows[name].requires = stored(role.requires)
    tx.flush()
    ids = {name: row.id for name, row in rows.items()}
    touched = [*diff.added, *(change.name for change in diff.changed)]
    for table in (RoleScope, RoleParent):
        tx.execute(delete(table).where(table.role_id.in_([ids[name] for name in touched])))
    held, parents = [], []
    for name in touched:
        role, common = file.roles[name], {"tenant_id": tenant_id, "role_id": ids[name]}
        places = {ANY_RESOURCE: role.scopes}
        places |= {resources[canonical_resource(url)]: s for url, s in role.at.items()}
        held += [
            {**common, "resource_id": place, "scope": scope}
            for place, scopes in places.items()
            for scope in scopes
        ]
        parents += [{**common, "parent_id": ids[included]} for included in role.includes]
    if held:
        tx.execute(insert(RoleScope), held)
    if parents:
        tx.execute(insert(RoleParent), parents)
    return ids


def _write_bindings(tx: Session, tenant_id: str, diff: RolesDiff, ids: Mapping[str, str]) -> None:
    """Out first, then in, so that a changed end is one of each. Raises NotFound for an unknown holder."""
    subjects = _subjects(tx, tenant_id, [*diff.unbound, *diff.bound])
    for line in diff.unbound:
        if line.role in ids:  # the bindings of removed roles went with them
            tx.execute(
                delete(RoleBinding).where(
                    RoleBinding.role_id == ids[line.role],
                    RoleBinding.subject_kind == line.kind,
                    RoleBinding.subject_id == subjects[line.kind, line.holder],
                )
            )
    rows = [
        {
            "id": entropy.new_id("bnd"),
            "tenant_id": tenant_id,
            "role_id": ids[line.role],
            "subject_kind": line.kind,
            "subject_id": subjects[line.kind, line.holder],
            "expires_at": line.expires_at,
        }
        for line in diff.bound
    ]
    if rows:
        tx.execute(insert(RoleBinding), rows)


def _subjects(
    tx: Session, tenant_id: str, lines: Iterable[BindingLine]
) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for kind, table, key, column in HOLDERS:
        names = sorted({line.holder for line in lines if line.kind == kind})
        # A statement has a limit of parameters; a file may bind more people than that.
        for start in range(0, len(names), 500):
            for name, id_ in tx.execute(
                select(column, key).where(
                    table.tenant_id == tenant_id, column.in_(names[start : start + 500])
                )
            ):
                found[kind, name] = id_
        missing = [name for name in names if (kind, name) not in found]
        if missing:
            raise NotFound(
                f"the bindings name {kind}s that do not exist: {', '.join(missing[:10])}; "
                f"`authz {kind}s add` makes them"
            )
    return found
