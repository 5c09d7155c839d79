"""Signing keys."""

from typing import Any

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId


class SigningKey(Base):
    """One key pair. Its state follows from these moments and the present, so no node has to be told:

    planned, until `publish_at`; published, until `activate_at`; active, until `retire_at`; retiring, until
    `gone_at`; gone. See `keys.rotation`.
    """

    __tablename__ = "signing_keys"
    __table_args__ = (Index(None, "tenant_id"),)

    id: Mapped[Id]
    """The `kid`: the RFC 7638 thumbprint of the public key."""
    tenant_id: Mapped[TenantId]
    purpose: Mapped[str] = mapped_column(String(16))
    """`access_token`: one key, one algorithm, one purpose (CONF-13)."""
    algorithm: Mapped[str] = mapped_column(String(16))
    public_jwk: Mapped[dict[str, Any]]
    private_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted PKCS#8 of a local key; wiped when the key is gone."""
    backend: Mapped[str] = mapped_column(String(16), server_default="local")
    """Where the private part is (`keys.backends`)."""
    key_reference: Mapped[str | None] = mapped_column(String(512))
    """What the backend calls the key; none of a local one."""
    created_at: Mapped[Moment]
    publish_at: Mapped[Moment]
    activate_at: Mapped[Moment]
    retire_at: Mapped[OptionalMoment]
    gone_at: Mapped[OptionalMoment]
