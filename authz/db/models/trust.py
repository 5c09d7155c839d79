"""Issuers whose assertions are redeemed for access tokens."""

from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId


class TrustedIssuer(Base):
    """One trust entry of one tenant (IDJAG-80). Several may name the same issuer, each for other values of `tenant`."""

    __tablename__ = "trusted_issuers"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    slug: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    """`id_jag`: assertions about people; `workload`: about programs. An issuer is trusted for one (CONF-05)."""
    connection_id: Mapped[str | None] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    """Whose people the subjects are: the same identity provider people sign in with has one key for both. None where
    they are no people."""
    issuer: Mapped[str]
    """Compared character by character (IDJAG-02, ATK-39)."""
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`."""
    settings: Mapped[dict[str, Any]]
    """`oauth.trust.TrustSettings`, or `oauth.workload_trust.WorkloadSettings`, as JSON."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]
