"""Who administers a tenant."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId


class AdminBinding(Base):
    """A user, a group or a client holds an admin role, for ever or until a moment.

    Apart from `role_bindings`, so that nothing that writes policy can write these.
    """

    __tablename__ = "admin_bindings"
    __table_args__ = (UniqueConstraint("tenant_id", "role_id", "subject_kind", "subject_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    role_id: Mapped[str] = mapped_column(String(64))
    """`admin/owner` and the others of `policy.administration`."""
    subject_kind: Mapped[str] = mapped_column(String(8))
    """`user`, `group` or `client` (a client that acts on its own behalf)."""
    subject_id: Mapped[str] = mapped_column(String(2048))
    expires_at: Mapped[OptionalMoment]
    created_at: Mapped[Moment]
