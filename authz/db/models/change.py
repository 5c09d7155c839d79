"""Changes of policy that wait for somebody or for their moment, and what policy was."""

from typing import Any

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId, TenantKey


class ChangeRequest(Base):
    """An operation somebody asked for, as its name and JSON arguments."""

    __tablename__ = "change_requests"
    __table_args__ = (Index(None, "tenant_id", "status"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operation: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    """`open`; `scheduled`; or at its end `applied`, `refused`, `withdrawn` or `failed`."""
    author: Mapped[str] = mapped_column(Text)
    """As the audit trail names who asked."""
    author_id: Mapped[str | None] = mapped_column(String(64))
    """The person, if it was one."""
    version: Mapped[int] = mapped_column(BigInteger)
    """The tenant's `config_version` when it was asked for."""
    activate_at: Mapped[OptionalMoment]
    """Not before; NULL is as soon as it is approved."""
    created_at: Mapped[Moment]
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[OptionalMoment]
    note: Mapped[str] = mapped_column(Text)
    """What whoever decided said, or why it failed."""
    applied_at: Mapped[OptionalMoment]
    evidence: Mapped[dict[str, Any] | None]
    """Who gains and who loses by it, as it was last computed (`admin.change_evidence`)."""


class AppliedPolicy(Base):
    """What the last `authz apply` left: a digest of every entry of the kinds its directory speaks of."""

    __tablename__ = "applied_policies"

    tenant_id: Mapped[TenantKey]
    at: Mapped[Moment]
    kinds: Mapped[dict[str, Any]]
    """By kind and name (`admin.code.applied`)."""


class PolicyVersion(Base):
    """What policy was after a change: the document that `admin.versions.revert` makes true again."""

    __tablename__ = "policy_versions"

    tenant_id: Mapped[TenantKey]
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """The tenant's `config_version` with it."""
    at: Mapped[Moment]
    authors: Mapped[list[str]]
    """Who changed policy since the version before, as the trail names them."""
    changes: Mapped[list[str]]
    """What they did, by `area.verb`."""
    digest: Mapped[str] = mapped_column(String(64))
    """Of the document."""
    document: Mapped[dict[str, Any]]
    """Texts by the names of their files, as `authz export` writes them."""
