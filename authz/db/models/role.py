"""Roles: named bundles of scopes, who has them, and which roles they include."""

from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, OptionalMoment, TenantId


class Role(Base):
    """A named bundle of scopes."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str]
    requires: Mapped[dict[str, Any] | None]
    """How a person must have signed in for the role to count: `policy.requirements`."""


class RoleScope(Base):
    """One scope in one role, at one resource, or (`*`) at every resource that declares it."""

    __tablename__ = "role_scopes"

    role_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    resource_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    scope: Mapped[str] = mapped_column(String(128), primary_key=True)
    tenant_id: Mapped[TenantId]


class RoleParent(Base):
    """`role_id` includes everything `parent_id` holds; cycles are refused when written."""

    __tablename__ = "role_parents"

    role_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    parent_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[TenantId]


class RoleBinding(Base):
    """A user, a group or a client holds a role, for ever or until a moment."""

    __tablename__ = "role_bindings"
    __table_args__ = (
        UniqueConstraint("role_id", "subject_kind", "subject_id"),
        Index(None, "subject_id"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    role_id: Mapped[str] = mapped_column(String(64), ForeignKey("roles.id", ondelete="CASCADE"))
    subject_kind: Mapped[str] = mapped_column(String(8))
    """`user`, `group` or `client` (a client that acts on its own behalf)."""
    subject_id: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[OptionalMoment]
