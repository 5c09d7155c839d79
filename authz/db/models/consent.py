"""What a user allowed a client at a resource."""

from typing import Any

from sqlalchemy import Boolean, String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment, OptionalMoment, TenantKey


class Consent(Base):
    """The stored decision; revoking it ends every token family that came from it."""

    __tablename__ = "consents"

    tenant_id: Mapped[TenantKey]
    user_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(2048), primary_key=True)
    resource_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    scopes: Mapped[frozenset[str]]
    limited: Mapped[frozenset[str]] = mapped_column(default=frozenset())
    """Of `scopes`, those allowed only within authorization details: asked about again each time (RFC 9396)."""
    versions: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    """By scope: the version of its meaning that the person saw; the first where none is named."""
    redirect_uris: Mapped[list[str]]
    """The ones the user saw; another one asks again (MCP-AS-58)."""
    client_digest: Mapped[str] = mapped_column(String(64))
    """What identifies the client to a person when they decided; a change asks again (CIMD-28)."""
    remembered: Mapped[bool] = mapped_column(Boolean)
    """False for clients whose identity nothing proves (CIMD-25): the next request asks again."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]
    revoked_at: Mapped[OptionalMoment]
