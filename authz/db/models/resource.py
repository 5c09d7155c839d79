"""MCP servers and the scopes they declare."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId


class Resource(Base):
    """One MCP server. `identifier` is issued as `aud` exactly as spelled here."""

    __tablename__ = "resources"
    __table_args__ = (UniqueConstraint("tenant_id", "canonical"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    identifier: Mapped[str] = mapped_column(String(2048))
    canonical: Mapped[str] = mapped_column(String(2048))
    """`urls.canonical_resource(identifier)`: what requests are matched against."""
    name: Mapped[str]
    owner: Mapped[str]
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`."""
    is_default: Mapped[bool] = mapped_column(Boolean)
    """Used when a request names no resource (RI-04); at most one per tenant."""
    client_id: Mapped[str | None] = mapped_column(String(2048))
    """The client with which this server asks about its tokens (RFC 7662, INT-03)."""
    identity: Mapped[str] = mapped_column(String(16))
    """`service_allowed`, or `user_required`: no token for it without a person (M11)."""
    server_id: Mapped[str | None] = mapped_column(
        String(64), ForeignKey("target_servers.id", ondelete="RESTRICT")
    )
    """The authorization server that issues its tokens, if that is not this one."""
    status_list: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether its tokens have a place in a token status list (TSL-04)."""
    rollout: Mapped[dict[str, Any] | None]
    """`policy.rollout`, with `since`; NULL is `full`."""
    created_at: Mapped[Moment]


class Scope(Base):
    """One scope of one MCP server: a method or a small family of methods."""

    __tablename__ = "scopes"

    resource_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    tenant_id: Mapped[TenantId]
    description: Mapped[str]
    risk: Mapped[str] = mapped_column(String(16))
    """`read`, `write` or `destructive`."""
    is_default: Mapped[bool] = mapped_column(Boolean)
    """Granted, if the role allows, to a request that names no scope (S10)."""
    tools: Mapped[list[str]]
    """All that are declared; those of `unreviewed` do not count yet."""
    unreviewed: Mapped[dict[str, Any] | None]
    """`tools` that wait for a review, and the `authors` who added them (`admin.scope_contracts`)."""
    requires: Mapped[dict[str, Any] | None]
    """How a person must have signed in to get it: `policy.requirements`."""
    version: Mapped[int] = mapped_column(BigInteger, server_default="1", default=1)
    """Of what it means: consent counts for the one that the person saw (`admin.scope_versions`)."""
