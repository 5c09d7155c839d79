"""The authorization endpoint's short-lived records."""

from typing import Any

from sqlalchemy import Index, Integer, String, UniqueConstraint
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
    __table_args__ = (Index(None, "expires_at"), Index(None, "user_id"))

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
    openid: Mapped[frozenset[str] | None]
    """The OpenID scopes asked for; NULL without `openid`, and then no ID token is made (OIDC-01)."""
    nonce: Mapped[str | None]
    authorization_details: Mapped[list[dict[str, Any]] | None]
    """RFC 9396: limits the user consented to."""
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    """RFC 9449 §10: only this key can redeem the code."""
    auth_time: Mapped[Moment]
    acr: Mapped[str | None]
    amr: Mapped[list[str]]
    connection_id: Mapped[str | None] = mapped_column(String(64))
    session_digest: Mapped[str | None] = mapped_column(String(64))
    """The session it came from; kept to end it together with that session."""
    signed_in_at: Mapped[Moment]
    """When that session began, which may be after `auth_time`: what `users.cut_at` is held against."""
    upstream_expires_at: Mapped[OptionalMoment]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    spent_at: Mapped[OptionalMoment]
    family_id: Mapped[str | None] = mapped_column(String(64))
    """The token family its redemption made."""


class PushedRequest(Base):
    """An authorization request pushed by its authenticated client (RFC 9126), by digest of its `request_uri`."""

    __tablename__ = "pushed_requests"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    query: Mapped[str]
    """The parameters as a query string; validated anew at each step, like one that came by browser."""
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]


class DeviceCode(Base):
    """A device's request that waits for a person on another screen (RFC 8628), by digest of its `device_code`."""

    __tablename__ = "device_codes"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_code"),
        Index(None, "expires_at"),
        Index(None, "user_id"),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    user_code: Mapped[str] = mapped_column(String(64))
    """Digest of the code the person types, without its separators and in upper case."""
    client_id: Mapped[str] = mapped_column(String(2048))
    resource_id: Mapped[str] = mapped_column(String(64))
    requested: Mapped[frozenset[str] | None]
    offline_access: Mapped[bool]
    status: Mapped[str] = mapped_column(String(16))
    """`pending`, `approved`, `denied`, `spent` or `ended`."""
    user_id: Mapped[str | None] = mapped_column(String(64))
    scopes: Mapped[frozenset[str] | None]
    """What the person allowed."""
    auth_time: Mapped[OptionalMoment]
    acr: Mapped[str | None]
    amr: Mapped[list[str] | None]
    connection_id: Mapped[str | None] = mapped_column(String(64))
    session_digest: Mapped[str | None] = mapped_column(String(64))
    """The session it came from; kept to end it together with that session."""
    signed_in_at: Mapped[OptionalMoment]
    """When that session began, which may be after `auth_time`: what `users.cut_at` is held against."""
    upstream_expires_at: Mapped[OptionalMoment]
    poll_interval: Mapped[int] = mapped_column(Integer)
    """Seconds the device has to wait between two polls; grows with every `slow_down`."""
    polled_at: Mapped[OptionalMoment]
    asked_from: Mapped[str] = mapped_column(String(64))
    """The address the device asked from, for the person to compare (RFC 8628 §5.4)."""
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    family_id: Mapped[str | None] = mapped_column(String(64))
    """The token family its redemption made."""
