"""Requests to the admin API that their callers may send again."""

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId


class IdempotencyKey(Base):
    """One request under a key of its caller's, and what it was answered."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "expires_at"),)

    key: Mapped[Id]
    """Digest of tenant, caller and the key they chose."""
    tenant_id: Mapped[TenantId]
    request: Mapped[str] = mapped_column(String(64))
    """Keyed digest of all of it, because it may have a password in it."""
    claim: Mapped[str] = mapped_column(String(64))
    """Whoever is performing it now; no other one may answer it."""
    claimed_at: Mapped[Moment]
    status: Mapped[int | None] = mapped_column(Integer)
    """Of the answer; NULL while there is none."""
    body: Mapped[str | None] = mapped_column(Text)
    """The answer as it was sent; NULL where it had a secret in it."""
    location: Mapped[str | None] = mapped_column(Text)
    etag: Mapped[str | None] = mapped_column(String(80))
    expires_at: Mapped[Moment]
