"""Roles and who holds them: look up, bind, unbind, export. Whole files are `admin.roles_import`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients
from authz.admin.conditions import check_connections, requirement_of, stored
from authz.admin.operator import Operator
from authz.db.models import (
    Client,
    Group,
    Resource,
    Role,
    RoleBinding,
    RoleParent,
    RoleScope,
    User,
)
from authz.directory import groups, users
from authz.errors import Invalid, NotFound, about
from authz.policy.administration import Permission
from authz.policy.requirements import Requirement
from authz.policy.roles_file import BindingEntry, RoleEntry, RolesFile
from authz.policy.snapshot import ANY_RESOURCE

HOLDERS = (
    ("user", User, User.id, User.login),
    ("group", Group, Group.id, Group.name),
    ("client", Client, Client.id, Client.id),
)
"""Who may hold a role: its kind, its table, what a binding keeps of it, and what people call it."""


@dataclass(frozen=True)
class RoleHead:
    """A role without its holders, who may be many (`admin.bindings`)."""

    id: str
    name: str
    description: str
    includes: list[str]
    scopes: list[str]
    """Its own; `scope at URL` for those of one server only."""
    requires: Requirement | None


@dataclass(frozen=True)
class RoleLine(RoleHead):
    """A role in a list."""

    users: list[str]
    groups: list[str]
    clients: list[str]


@dataclass(frozen=True)
class BindingLine:
    """Who holds a role, and until when."""

    role: str
    kind: str
    holder: str
    expires_at: datetime | None

    def __str__(self) -> str:
        until = f" until {self.expires_at.isoformat()}" if self.expires_at else ""
        return f"{self.role} for the {self.kind} {self.holder}{until}"


def bind(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    role: str,
    kind: str,
    holder: str,
    until: datetime | None = None,
) -> BindingLine:
    """Give a role to a user, group or client; an existing binding gets the new end."""
    operator.must(Permission.POLICY_WRITE)
    if until is not None and until <= operator.now:
        raise Invalid(
            f"{until.isoformat()} is in the past; a binding ends in the future", field="until"
        )
    role_row = load(tx, tenant_id, role)
    with about("holder"):
        subject_id, name = _subject(tx, tenant_id, kind, holder)
    row = _find_binding(tx, role_row.id, kind, subject_id)
    if row is None:
        row = RoleBinding(
            id=entropy.new_id("bnd"),
            tenant_id=tenant_id,
            role_id=role_row.id,
            subject_kind=kind,
            subject_id=subject_id,
        )
        tx.add(row)
    row.expires_at = until
    tx.flush()
    values = {"role": role_row.name, "until": until and until.isoformat()}
    subject = subject_id if kind == "user" else None
    operator.changed(tx, tenant_id, "role.bind", subject_id, values, subject=subject)
    return BindingLine(role_row.name, kind, name, until)


def unbind(
    tx: Session, operator: Operator, tenant_id: str, *, role: str, kind: str, holder: str
) -> BindingLine:
    """Take a role from its holder; the next token and refresh is without it."""
    operator.must(Permission.POLICY_WRITE)
    role_row = load(tx, tenant_id, role)
    subject_id, name = _subject(tx, tenant_id, kind, holder)
    row = _find_binding(tx, role_row.id, kind, subject_id)
    if row is None:
        raise NotFound(f"the {kind} {name!r} does not hold the role {role_row.name!r} directly")
    line = BindingLine(role_row.name, kind, name, row.expires_at)
    tx.execute(delete(RoleBinding).where(RoleBinding.id == row.id))
    subject = subject_id if kind == "user" else None
    values = {"role": role_row.name}
    operator.changed(tx, tenant_id, "role.unbind", subject_id, values, subject=subject)
    return line


def require(
    tx: Session, operator: Operator, tenant_id: str, *, role: str, required: Requirement
) -> Requirement | None:
    """Say how whoever holds a role must have signed in for it to count; `ANY_SIGN_IN` takes that away."""
    operator.must(Permission.POLICY_WRITE)
    row = load(tx, tenant_id, role)
    check_connections(tx, tenant_id, required)
    row.requires = stored(required)
    tx.flush()
    values = {"role": row.name, "requires": row.requires}
    operator.changed(tx, tenant_id, "role.require", row.id, values)
    return requirement_of(row.requires)


def list_(tx: Session, tenant_id: str) -> list[RoleLine]:
    """All roles by name, with their holders."""
    file = export(tx, tenant_id)
    return [
        RoleLine(
            **vars(head),
            users=_holders(b.users for b in file.bindings or () if b.role == head.name),
            groups=_holders(b.groups for b in file.bindings or () if b.role == head.name),
            clients=_holders(b.clients for b in file.bindings or () if b.role == head.name),
        )
        for head in heads(tx, tenant_id)
    ]


def heads(tx: Session, tenant_id: str) -> list[RoleHead]:
    """All roles by name, without their holders."""
    ids = {row.name: row.id for row in _roles(tx, tenant_id)}
    return [
        RoleHead(
            id=ids[name],
            name=name,
            description=role.description,
            includes=sorted(role.includes),
            scopes=sorted(role.scopes)
            + [f"{scope} at {url}" for url in sorted(role.at) for scope in sorted(role.at[url])],
            requires=role.requires,
        )
        for name, role in sorted(_entries(tx, tenant_id).items())
    ]


def show(tx: Session, tenant_id: str, name: str) -> RoleHead:
    """One role. Raises NotFound."""
    load(tx, tenant_id, name)
    return next(it for it in heads(tx, tenant_id) if it.name == name)


def export(tx: Session, tenant_id: str) -> RolesFile:
    """Everything as a file says it; importing it again changes nothing."""
    names = {row.id: row.name for row in _roles(tx, tenant_id)}
    return RolesFile(_entries(tx, tenant_id), tuple(_bindings(tx, tenant_id, names)))


def _entries(tx: Session, tenant_id: str) -> dict[str, RoleEntry]:
    names = {row.id: row.name for row in _roles(tx, tenant_id)}
    urls = dict(
        tx.execute(
            select(Resource.id, Resource.identifier).where(Resource.tenant_id == tenant_id)
        ).all()
    )
    scopes: dict[str, dict[str, set[str]]] = {}
    for role_id, resource, scope in tx.execute(
        select(RoleScope.role_id, RoleScope.resource_id, RoleScope.scope).where(
            RoleScope.tenant_id == tenant_id
        )
    ):
        scopes.setdefault(role_id, {}).setdefault(resource, set()).add(scope)
    includes: dict[str, set[str]] = {}
    for parent in tx.scalars(select(RoleParent).where(RoleParent.tenant_id == tenant_id)):
        includes.setdefault(parent.role_id, set()).add(names[parent.parent_id])
    return {
        row.name: RoleEntry(
            description=row.description,
            includes=frozenset(includes.get(row.id, ())),
            scopes=frozenset(scopes.get(row.id, {}).get(ANY_RESOURCE, ())),
            at={
                urls[resource]: frozenset(held)
                for resource, held in sorted(scopes.get(row.id, {}).items())
                if resource != ANY_RESOURCE
            },
            requires=requirement_of(row.requires),
        )
        for row in _roles(tx, tenant_id)
    }


def load(tx: Session, tenant_id: str, name: str) -> Role:
    """The row of a role. Raises NotFound."""
    row = tx.scalars(
        select(Role).where(Role.tenant_id == tenant_id, Role.name == name)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no role {name!r}; `authz roles list` shows them")
    return row


def _roles(tx: Session, tenant_id: str) -> list[Role]:
    return list(tx.scalars(select(Role).where(Role.tenant_id == tenant_id).order_by(Role.name)))


def _bindings(tx: Session, tenant_id: str, names: dict[str, str]) -> Iterable[BindingEntry]:
    """One entry for every role and end, so that equal holders stand together."""
    found: dict[tuple[str, str, datetime | None], dict[str, set[str]]] = {}
    for kind, table, id_, column in HOLDERS:
        rows = tx.execute(
            select(RoleBinding.role_id, RoleBinding.expires_at, column)
            .join(table, (id_ == RoleBinding.subject_id) & (table.tenant_id == tenant_id))
            .where(RoleBinding.tenant_id == tenant_id, RoleBinding.subject_kind == kind)
            .execution_options(yield_per=1000)
        )
        for role_id, until, name in rows:
            key = (names[role_id], until.isoformat() if until else "", until)
            found.setdefault(key, {}).setdefault(kind, set()).add(name)
    for (role, _, until), held in sorted(found.items(), key=lambda item: item[0][:2]):
        named = {f"{kind}s": frozenset(held.get(kind, ())) for kind, *_ in HOLDERS}
        yield BindingEntry(role, until=until, **named)


def _holders(sets: Iterable[frozenset[str]]) -> list[str]:
    return sorted(frozenset[str]().union(*sets))


def _find_binding(tx: Session, role_id: str, kind: str, subject_id: str) -> RoleBinding | None:
    return tx.scalars(
        select(RoleBinding).where(
            RoleBinding.role_id == role_id,
            RoleBinding.subject_kind == kind,
            RoleBinding.subject_id == subject_id,
        )
    ).one_or_none()


def _subject(tx: Session, tenant_id: str, kind: str, holder: str) -> tuple[str, str]:
    if kind == "user":
        user = users.load(tx, tenant_id, holder)
        return user.id, user.login
    if kind == "client":
        client = clients.load(tx, tenant_id, holder)
        return client.id, client.id
    if kind == "group":
        group = groups.load(tx, tenant_id, holder)
        return group.id, group.name
    raise Invalid(f"{kind!r} is not one of {', '.join(it for it, *_ in HOLDERS)}", field="kind")
