"""One person, for administrators: groups and because of whom, roles and by which way, where they sign in."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.users import UserLine
from authz.db.models import (
    AdminBinding,
    Connection,
    Group,
    GroupMember,
    Identity,
    Role,
    RoleBinding,
)
from authz.db.models.user import LOCAL, SCIM
from authz.directory import users

_SOURCES = {LOCAL: "put there here", SCIM: "provisioned"}


@dataclass(frozen=True)
class Membership:
    """One group somebody is in."""

    group_id: str
    group: str
    sources: list[str]
    """Who says so, in words."""
    is_local: bool
    """An administrator here put them there, and can take them out."""


@dataclass(frozen=True)
class HeldBinding:
    """One role somebody holds."""

    role_id: str
    role: str
    through: str | None
    """The group; None: directly."""
    until: datetime | None


@dataclass(frozen=True)
class SignInPlace:
    """An account of theirs at an identity provider."""

    connection: str
    linked_by: str
    last_sign_in_at: datetime | None


@dataclass(frozen=True)
class PersonView:
    """Everything about a person that an administrator sees."""

    line: UserLine
    email: str | None
    cut_at: datetime | None
    memberships: list[Membership]
    roles: list[HeldBinding]
    places: list[SignInPlace]
    admin_roles: list[str]
    """Directly or through a group, by short name."""


def show(tx: Session, tenant_id: str, reference: str) -> PersonView:
    """Raises NotFound."""
    row = users.load(tx, tenant_id, reference)
    memberships = _memberships(tx, row.id)
    groups = {it.group_id: it.group for it in memberships}
    return PersonView(
        line=UserLine(
            id=row.id,
            login=row.login,
            name=row.name,
            status=row.status,
            has_password=row.password_hash is not None,
            is_break_glass=row.is_break_glass,
            created_at=row.created_at,
        ),
        email=row.email,
        cut_at=row.cut_at,
        memberships=memberships,
        roles=_roles(tx, tenant_id, row.id, groups),
        places=[
            SignInPlace(slug, by, at)
            for slug, by, at in tx.execute(
                select(Connection.slug, Identity.linked_by, Identity.last_sign_in_at)
                .join(Connection, Connection.id == Identity.connection_id)
                .where(Identity.user_id == row.id, Identity.tenant_id == tenant_id)
                .order_by(Connection.slug)
            )
        ],
        admin_roles=sorted(
            {
                role_id.removeprefix("admin/")
                for role_id in tx.scalars(
                    select(AdminBinding.role_id).where(
                        AdminBinding.tenant_id == tenant_id,
                        AdminBinding.subject_id.in_([row.id, *groups]),
                    )
                )
            }
        ),
    )


def _memberships(tx: Session, user_id: str) -> list[Membership]:
    found: dict[str, tuple[str, list[str]]] = {}
    for group_id, name, source, slug in tx.execute(
        select(Group.id, Group.name, GroupMember.source, Connection.slug)
        .join(GroupMember, GroupMember.group_id == Group.id)
        .outerjoin(Connection, Connection.id == GroupMember.source)
        .where(GroupMember.user_id == user_id)
        .order_by(Group.name, GroupMember.source)
    ):
        told = _SOURCES.get(source) or f"mapped from {slug or 'a connection that is gone'}"
        found.setdefault(group_id, (name, []))[1].append(told)
    return [
        Membership(group_id, name, sources, _SOURCES[LOCAL] in sources)
        for group_id, (name, sources) in found.items()
    ]


def _roles(tx: Session, tenant_id: str, user_id: str, groups: dict[str, str]) -> list[HeldBinding]:
    rows = tx.execute(
        select(Role.id, Role.name, RoleBinding.subject_id, RoleBinding.expires_at)
        .join(RoleBinding, RoleBinding.role_id == Role.id)
        .where(
            Role.tenant_id == tenant_id,
            RoleBinding.subject_kind.in_(["user", "group"]),
            RoleBinding.subject_id.in_([user_id, *groups]),
        )
        .order_by(Role.name, RoleBinding.subject_kind, RoleBinding.subject_id)
    )
    return [
        HeldBinding(role_id, name, groups.get(subject_id), until)
        for role_id, name, subject_id, until in rows
    ]
