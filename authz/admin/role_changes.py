"""One role at a time: add, describe, rename, remove, and what it holds, at one server or everywhere.

The same rules as for a whole file (`policy.roles_file`): names, no circle of inclusions, no role of administration.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.admin.roles import load
from authz.db.models import (
    Resource,
    Role,
    RoleBinding,
    RoleParent,
    RoleScope,
    Tenant,
    TrustedIssuer,
)
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.workload_trust import WORKLOAD
from authz.oauth.workload_trust import settings_of as workload_settings
from authz.policy.administration import ADMIN_PREFIX, Permission
from authz.policy.roles_file import MAX_DESCRIPTION, is_role_name
from authz.policy.scopes import is_scope_name
from authz.policy.snapshot import ANY_RESOURCE, cycle_in

_MAX_SCOPES = 500


@dataclass(frozen=True)
class RoleState:
    """A role after a change."""

    id: str
    name: str
    description: str
    includes: list[str]


@dataclass(frozen=True)
class RemovedRole:
    """What went with a role."""

    name: str
    bindings: int


@dataclass(frozen=True)
class HeldHere:
    """What changed in one role at one server."""

    role: str
    gained: list[str]
    lost: list[str]


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    name: str,
    description: str = "",
    includes: frozenset[str] = frozenset(),
    scopes: frozenset[str] = frozenset(),
) -> RoleState:
    """A new role, which nobody holds yet; `scopes` are those at every server that declares them."""
    operator.must(Permission.POLICY_WRITE)
    _lock(tx, tenant_id)
    row = Role(
        id=entropy.new_id("rol"),
        tenant_id=tenant_id,
        name=_free_name(tx, tenant_id, name),
        description=_description(description),
    )
    tx.add(row)
    tx.flush()
    with about("includes"):
        _include(tx, row, includes)
    _hold(tx, row, ANY_RESOURCE, _scopes(scopes))
    values = {"name": row.name, "includes": sorted(includes), "scopes": sorted(scopes)}
    operator.changed(tx, tenant_id, "role.add", row.id, values)
    return _state(tx, row)


def change(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    role: str,
    *,
    name: str | None = None,
    description: str | None = None,
    includes: frozenset[str] | None = None,
) -> RoleState:
    """Rename a role, describe it, or say what it includes; what is not given stays. Its holders stay too."""
    operator.must(Permission.POLICY_WRITE)
    _lock(tx, tenant_id)
    row = load(tx, tenant_id, role)
    values: dict[str, object] = {"role": row.name}
    if name is not None and name != row.name:
        with about("name"):
            _check_unnamed(tx, row)
        row.name = _free_name(tx, tenant_id, name)
        values["name"] = row.name
    if description is not None and description != row.description:
        row.description = _description(description)
        values["described"] = True
    if includes is not None:
        before = set(_included(tx, row))
        tx.execute(delete(RoleParent).where(RoleParent.role_id == row.id))
        with about("includes"):
            _include(tx, row, includes)
        values["gained"], values["lost"] = sorted(includes - before), sorted(before - includes)
    tx.flush()
    operator.changed(tx, tenant_id, "role.change", row.id, values)
    return _state(tx, row)


def remove(tx: Session, operator: Operator, tenant_id: str, role: str) -> RemovedRole:
    """Nobody holds it any more, directly or through another role; the next token and refresh is without it."""
    operator.must(Permission.POLICY_WRITE)
    _lock(tx, tenant_id)
    row = load(tx, tenant_id, role)
    bound = select(func.count()).select_from(RoleBinding).where(RoleBinding.role_id == row.id)
    removed = RemovedRole(row.name, tx.scalars(bound).one())
    tx.execute(delete(Role).where(Role.id == row.id))
    values = {"role": removed.name, "bindings": removed.bindings}
    operator.changed(tx, tenant_id, "role.remove", row.id, values)
    return removed


def set_scopes(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    role: str,
    *,
    scopes: frozenset[str],
    server: str | None = None,
) -> HeldHere:
    """What a role holds at one server, or, without one, at every server that declares it. All of that, and no more."""
    operator.must(Permission.POLICY_WRITE)
    row = load(tx, tenant_id, role)
    place = ANY_RESOURCE if server is None else _server(tx, tenant_id, server).id
    changed = _set(tx, row, place, _scopes(scopes))
    values = {"role": row.name, "at": place, "gained": changed.gained, "lost": changed.lost}
    operator.changed(tx, tenant_id, "role.scopes", row.id, values)
    return changed


def set_matrix(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    server: str,
    roles: Mapping[str, frozenset[str]],
) -> list[HeldHere]:
    """What several roles hold at one server, as one change; other roles stay. Answers those that changed."""
    operator.must(Permission.POLICY_WRITE)
    here = _server(tx, tenant_id, server)
    rows = [(load(tx, tenant_id, name), _scopes(scopes)) for name, scopes in sorted(roles.items())]
    changed = [_set(tx, row, here.id, scopes) for row, scopes in rows]
    changed = [it for it in changed if it.gained or it.lost]
    if changed:
        told = [{"role": it.role, "gained": it.gained, "lost": it.lost} for it in changed]
        operator.changed(tx, tenant_id, "roles.matrix", here.id, {"changed": told})
    return changed


def _lock(tx: Session, tenant_id: str) -> None:
    """Two changes at once could close a circle of inclusions that neither of them sees."""
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())


def _free_name(tx: Session, tenant_id: str, name: str) -> str:
    if not is_role_name(name):
        raise Invalid(
            f"{name[:80]!r} cannot name a role: letters, digits and ._:/@-, 128 at most",
            field="name",
        )
    taken = select(Role.id).where(Role.tenant_id == tenant_id, Role.name == name)
    if tx.scalars(taken).first() is not None:
        raise Conflict(f"there is a role {name!r} already", field="name")
    return name


def _description(text: str) -> str:
    described = text.strip()
    if len(described) > MAX_DESCRIPTION or not described.isprintable():
        raise Invalid(
            f"a description is one line of {MAX_DESCRIPTION} characters at most",
            field="description",
        )
    return described


def _check_unnamed(tx: Session, row: Role) -> None:
    """Rules for workloads name roles: a renamed one would give them nothing, without a word."""
    entries = tx.scalars(
        select(TrustedIssuer).where(
            TrustedIssuer.tenant_id == row.tenant_id, TrustedIssuer.kind == WORKLOAD
        )
    )
    for entry in entries:
        for rule in workload_settings(entry.settings).rules:
            if row.name in rule.roles:
                raise Conflict(
                    f"the rule {rule.name} of {entry.slug} gives workloads the role {row.name}; "
                    "change it first"
                )


def _scopes(scopes: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(scopes)
    if len(wanted) > _MAX_SCOPES:
        raise Invalid(f"a role holds {_MAX_SCOPES} scopes at one place, at most", field="scopes")
    for scope in sorted(wanted):
        if not is_scope_name(scope) or scope.startswith(ADMIN_PREFIX):
            raise Invalid(
                f"{scope[:80]!r} is not the name of a scope of an MCP server", field="scopes"
            )
    return wanted


def _server(tx: Session, tenant_id: str, reference: str) -> Resource:
    row = tx.scalars(
        select(Resource).where(
            Resource.tenant_id == tenant_id,
            (Resource.id == reference) | (Resource.identifier == reference),
        )
    ).first()
    if row is None:
        raise NotFound(
            f"there is no MCP server {reference[:200]!r}; `authz resources list` shows them",
            field="server",
        )
    return row


def _set(tx: Session, row: Role, place: str, wanted: frozenset[str]) -> HeldHere:
    here = _here(row, place)
    held = set(tx.scalars(select(RoleScope.scope).where(*here)))
    lost, gained = held - wanted, wanted - held
    if lost:
        tx.execute(delete(RoleScope).where(*here, RoleScope.scope.in_(lost)))
    _hold(tx, row, place, gained)
    return HeldHere(row.name, sorted(gained), sorted(lost))


def _here(row: Role, place: str) -> tuple[ColumnElement[bool], ...]:
    return RoleScope.role_id == row.id, RoleScope.resource_id == place


def _hold(tx: Session, row: Role, place: str, scopes: Iterable[str]) -> None:
    common = {"tenant_id": row.tenant_id, "role_id": row.id, "resource_id": place}
    rows = [{**common, "scope": scope} for scope in sorted(scopes)]
    if rows:
        tx.execute(insert(RoleScope), rows)


def _include(tx: Session, row: Role, names: frozenset[str]) -> None:
    """Raises NotFound for a role that does not exist, Invalid for a circle."""
    ids = {name: load(tx, row.tenant_id, name).id for name in sorted(names)}
    common = {"tenant_id": row.tenant_id, "role_id": row.id}
    if ids:
        tx.execute(insert(RoleParent), [{**common, "parent_id": it} for it in ids.values()])
    known = dict(
        tx.execute(select(Role.id, Role.name).where(Role.tenant_id == row.tenant_id)).all()
    )
    parents: dict[str, list[str]] = {}
    links = select(RoleParent.role_id, RoleParent.parent_id).where(
        RoleParent.tenant_id == row.tenant_id
    )
    for role_id, parent_id in tx.execute(links):
        parents.setdefault(known[role_id], []).append(known[parent_id])
    try:
        cycle = cycle_in(parents)
    except RecursionError:
        raise Invalid(
            "roles include each other hundreds deep; include fewer levels", field="includes"
        ) from None
    if cycle:
        raise Invalid(
            f"roles include each other in a circle: {' -> '.join(cycle)}", field="includes"
        )


def _included(tx: Session, row: Role) -> list[str]:
    return list(
        tx.scalars(
            select(Role.name)
            .join(RoleParent, RoleParent.parent_id == Role.id)
            .where(RoleParent.role_id == row.id)
            .order_by(Role.name)
        )
    )


def _state(tx: Session, row: Role) -> RoleState:
    return RoleState(row.id, row.name, row.description, _included(tx, row))
