"""People and their groups, whoever vouches for them."""

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId

LOCAL, SCIM = "local", "scim"
"""Sources of membership that are not a connection."""


class User(Base):
    """A person. `id` is the `sub` of their tokens and never changes; `login` may."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("tenant_id", "login"),
        Index(None, "tenant_id", "email"),
        # A search looks at everybody's login and name: in the index alone, and in the order of the list.
        Index(None, "tenant_id", "login", "name", "status"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    login: Mapped[str] = mapped_column(String(254))
    """Lower case; usually an e-mail address."""
    email: Mapped[str | None] = mapped_column(String(254), default=None)
    """Lower case; what a company's directory says. Never a key: it only helps to link an account once (CONF-12)."""
    name: Mapped[str]
    password_hash: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(16))
    """`active`, `disabled`, or `deleted`: gone for good, and its `sub` kept for the trail and for nobody else."""
    is_break_glass: Mapped[bool] = mapped_column(Boolean, default=False)
    """May sign in by password although their domain has to use its connection; every such sign-in is told loudly."""
    cut_at: Mapped[OptionalMoment] = mapped_column(default=None)
    """Nothing that stands on a sign-in of this moment or before is good any more: one value ends all of it, also what
    another transaction is about to issue."""
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
    """One user in one group, because of one source: what a source says does not touch what another one said."""

    __tablename__ = "group_members"
    __table_args__ = (Index(None, "user_id"),)

    group_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(String(64), primary_key=True, default=LOCAL)
    """`LOCAL`, `scim`, or the id of the connection whose claims say so."""
    tenant_id: Mapped[TenantId]
