"""References to credentials of the systems behind MCP servers. What they lead to is on no row."""

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId


class UpstreamCredential(Base):
    """Where the secret is that one MCP server gets under a name (`oauth.upstream_credentials`)."""

    __tablename__ = "upstream_credentials"
    __table_args__ = (UniqueConstraint("tenant_id", "resource_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    resource_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("resources.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(63))
    reference: Mapped[str] = mapped_column(String(2048))
    """`scheme:rest`, never a value."""
    scopes: Mapped[list[str]]
    """A token has to hold all of them; none: any token for the server will do."""
    created_at: Mapped[Moment]
