"""Access reviews: who answered for what, and what nobody answered for."""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId


class Review(Base):
    """One campaign: what was held at its start, to be kept or removed until it is due."""

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "tenant_id", "due_at"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str] = mapped_column(Text)
    started_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    due_at: Mapped[Moment]
    closed_at: Mapped[OptionalMoment]


class ReviewItem(Base):
    """A scope in a role, or a role somebody holds."""

    __tablename__ = "review_items"
    __table_args__ = (Index(None, "review_id", "decision"), Index(None, "tenant_id", "resource_id"))

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    review_id: Mapped[str] = mapped_column(String(64), ForeignKey("reviews.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    """`scope` or `binding`."""
    role_id: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str | None] = mapped_column(String(64))
    """Of a scope: the server, or `*`."""
    scope: Mapped[str | None] = mapped_column(String(128))
    binding_id: Mapped[str | None] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(Text)
    """What it was called when the campaign began."""
    decision: Mapped[str] = mapped_column(String(16))
    """`open`, `kept`, `removed`, `expired` (removed because nobody answered), or `gone` by itself."""
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[OptionalMoment]
    note: Mapped[str] = mapped_column(Text)
