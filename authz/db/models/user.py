"""People of the local directory, and their groups."""

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId


class User(Base):
    """A person. `id` is the `sub` of their tokens and never changes; `login` may."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "login"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    login: Mapped[str] = mapped_column(String(254))
    """Lower case; usually an e-mail address."""
    name: Mapped[str]
    password_hash: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


class Group(Base):
    """A named set of users that roles can be bound to."""

    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[Moment]


class GroupMember(Base):
    """One user in one group."""

    __tablename__ = "group_members"
    __table_args__ = (Index(None, "user_id"),)

    group_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[TenantId]
