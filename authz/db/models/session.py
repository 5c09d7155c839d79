"""Browser sessions."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, OptionalMoment, TenantId


class Session(Base):
    """A signed-in browser; the cookie holds the token whose digest is the key."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "tenant_id", "user_id"),
        Index(None, "expires_at"),
        Index(None, "connection_id", "upstream_session"),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    user_id: Mapped[str] = mapped_column(String(64))
    auth_time: Mapped[Moment]
    acr: Mapped[str | None]
    amr: Mapped[list[str]]
    connection_id: Mapped[str | None] = mapped_column(String(64))
    """Whose word it stands on; NULL for the local directory."""
    upstream_session: Mapped[str | None] = mapped_column(String(256))
    """The identity provider's name for its own session: `sid`, `SessionIndex`."""
    upstream_expires_at: Mapped[OptionalMoment]
    """When the identity provider's session ends; this one and its grants never outlive it (OIDC-08)."""
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    ended_at: Mapped[OptionalMoment]
