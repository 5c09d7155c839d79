"""Token families and the record of every access token."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId


class TokenFamily(Base):
    """Everything that came from one authorization; dies whole. Its id is the `grant_id` of its tokens.

    Refresh tokens are not stored, not even by digest: each is a MAC over (family, generation, salt) under the
    tenant's secret (`oauth.refresh`), so this one row tells the current token, the just-spent one and a reused one
    apart, and a dump of the database holds nothing that can be presented.
    """

    __tablename__ = "token_families"
    __table_args__ = (
        Index(None, "tenant_id", "user_id"),
        Index(None, "tenant_id", "client_id"),
        Index(None, "session_digest"),
        Index(None, "expires_at"),
        # Every refresh updates the row; with room on its page PostgreSQL needs no new index entries (HOT).
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    user_id: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[frozenset[str]]
    """The ceiling of every refresh: what the authorization granted (O21-16)."""
    refreshable: Mapped[bool] = mapped_column(Boolean)
    salt: Mapped[str] = mapped_column(String(64))
    generation: Mapped[int] = mapped_column(BigInteger)
    """Of the refresh token that is good now."""
    rotated_at: Mapped[Moment]
    auth_time: Mapped[Moment]
    acr: Mapped[str | None]
    amr: Mapped[list[str]]
    connection_id: Mapped[str | None] = mapped_column(String(64))
    session_digest: Mapped[str | None] = mapped_column(String(64))
    signed_in_at: Mapped[Moment]
    """When the session it came from began: what `users.cut_at` is held against."""
    confirmation: Mapped[dict[str, Any] | None]
    """The key the client proved to hold when the family was born, as a `cnf` claim (RFC 9449 §5, RFC 8705 §3)."""
    authorization_details: Mapped[list[dict[str, Any]] | None]
    created_at: Mapped[Moment]
    idle_expires_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    revoked_at: Mapped[OptionalMoment]
    revoked_because: Mapped[str | None] = mapped_column(String(64))


class IssuedToken(Base):
    """One access token: what `authz explain` prints. The token itself is not kept."""

    __tablename__ = "issued_tokens"
    __table_args__ = (Index(None, "family_id"), Index(None, "expires_at"))

    jti: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    family_id: Mapped[str] = mapped_column(String(64))
    """The `grant_id` of the token; no family has it when the client acted on its own behalf."""
    client_id: Mapped[str] = mapped_column(String(2048))
    subject: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[frozenset[str]]
    decision: Mapped[str]
    """`policy.Decision` as canonical JSON."""
    issued_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    revoked_at: Mapped[OptionalMoment]
