"""The authorization endpoint's short-lived records."""

from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, OptionalMoment, TenantId


class AuthorizationRequest(Base):
    """A validated request that waits for its user's consent; made for signed-in users only, decided once."""

    __tablename__ = "authorization_requests"
    __table_args__ = (Index(None, "expires_at"), Index(None, "session_digest"))

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    session_digest: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[str] = mapped_column(String(2048))
    parameters: Mapped[dict[str, Any]]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]


class AuthorizationCode(Base):
    """A code, by digest. A spent one stays as a tombstone, so that a replay is recognised (O21-08)."""

    __tablename__ = "authorization_codes"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    user_id: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(64))
    redirect_uri: Mapped[str]
    code_challenge: Mapped[str] = mapped_column(String(128))
    scopes: Mapped[frozenset[str]]
    """What the user consented to."""
    requested: Mapped[frozenset[str] | None]
    """What the client asked for; NULL when it asked for nothing in particular."""
    offline_access: Mapped[bool]
    auth_time: Mapped[Moment]
    amr: Mapped[list[str]]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    spent_at: Mapped[OptionalMoment]
    family_id: Mapped[str | None] = mapped_column(String(64))
    """The token family its redemption made."""
