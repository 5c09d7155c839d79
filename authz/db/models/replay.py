"""What may be presented only once."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, TenantKey


class ReplayKey(Base):
    """One assertion that was used; its insert decides who was first."""

    __tablename__ = "replay_keys"
    __table_args__ = (Index(None, "expires_at"),)

    tenant_id: Mapped[TenantKey]
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Digest of kind, issuer and `jti`."""
    expires_at: Mapped[Moment]
