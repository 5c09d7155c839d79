"""Who acts for whom: agents, rules of token exchange, and authorization servers we assert people to."""

from typing import Any

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId, TenantKey


class Agent(Base):
    """A program that acts for people or by itself, with somebody who answers for it (M6)."""

    __tablename__ = "agents"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    slug: Mapped[str] = mapped_column(String(63))
    purpose: Mapped[str]
    owner_id: Mapped[str] = mapped_column(String(64), ForeignKey("users.id", ondelete="RESTRICT"))
    status: Mapped[str] = mapped_column(String(16))
    """`active`, `dormant` (an operator may wake it) or `killed`."""
    resources: Mapped[list[str]]
    """Ids of the MCP servers it may use."""
    scope_ceiling: Mapped[list[str] | None]
    """None bounds nothing."""
    expires_at: Mapped[OptionalMoment]
    dormant_after_days: Mapped[int] = mapped_column(Integer)
    """Without a token for this long it is put to sleep."""
    used_at: Mapped[Moment]
    """The last token seen, as of the last look, which is taken every hour; at first, when it was made."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


class AgentClient(Base):
    """A client that is an agent's own; a client belongs to one agent at most."""

    __tablename__ = "agent_clients"

    tenant_id: Mapped[TenantKey]
    client_id: Mapped[str] = mapped_column(String(2048), primary_key=True)
    agent_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("agents.id", ondelete="CASCADE"), index=True
    )


class Delegation(Base):
    """A client that may exchange tokens of one MCP server for tokens of another (`oauth.delegations`)."""

    __tablename__ = "delegations"
    __table_args__ = (UniqueConstraint("tenant_id", "client_id", "from_id", "to_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    client_id: Mapped[str] = mapped_column(String(2048))
    from_id: Mapped[str] = mapped_column(String(64), ForeignKey("resources.id", ondelete="CASCADE"))
    to_id: Mapped[str] = mapped_column(String(64), ForeignKey("resources.id", ondelete="CASCADE"))
    carries: Mapped[dict[str, Any]]
    max_depth: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[Moment]


class TargetServer(Base):
    """A resource authorization server that ID-JAGs are issued for (`oauth.targets`)."""

    __tablename__ = "target_servers"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        UniqueConstraint("tenant_id", "issuer"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    slug: Mapped[str] = mapped_column(String(63))
    issuer: Mapped[str] = mapped_column(String(2048))
    """Compared character by character."""
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`."""
    settings: Mapped[dict[str, Any]]
    """`oauth.targets.TargetSettings` as JSON."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]
