"""Browser sessions."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, OptionalMoment, TenantId


class Session(Base):
    """A signed-in browser; the cookie holds the token whose digest is the key."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "tenant_id", "user_id"), Index(None, "expires_at"))

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    user_id: Mapped[str] = mapped_column(String(64))
    auth_time: Mapped[Moment]
    acr: Mapped[str | None]
    amr: Mapped[list[str]]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    ended_at: Mapped[OptionalMoment]
