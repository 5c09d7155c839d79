"""Tenants: each one is an issuer."""

from sqlalchemy import BigInteger, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment


class Tenant(Base):
    """One issuer with its own keys, clients, users, policy and audit chain.

    `config_version` grows with every change to what the policy snapshot or the client cache holds, in the
    transaction of that change; every batch of the token lane reads it, so no node decides on stale policy.
    """

    __tablename__ = "tenants"
    __table_args__ = (UniqueConstraint("slug"),)

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(63))
    """`default` is the base URL itself; every other slug is `BASE/t/SLUG`."""
    name: Mapped[str]
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`."""
    config_version: Mapped[int] = mapped_column(BigInteger)
    client_trust: Mapped[str] = mapped_column(String(16))
    """What a Client ID Metadata Document needs to be used: `open`, `allow_list` or `deny_list`."""
    registration: Mapped[str] = mapped_column(String(16))
    """Dynamic client registration (RFC 7591): `off`, `token` (with an initial access token) or `open`."""
    change_control: Mapped[str] = mapped_column(String(16), server_default="off", default="off")
    """`two_person`: changes of policy take a second person; `off`."""
    audit_days: Mapped[int | None] = mapped_column(Integer)
    """How long events of the audit trail are kept; None: for ever."""
    scope_changes: Mapped[str] = mapped_column(
        String(16), server_default="at_once", default="at_once"
    )
    """`reviewed`: a tool that is added to a scope counts when somebody else approved it; `at_once`."""
    token_secret: Mapped[bytes] = mapped_column(LargeBinary)
    """Encrypted. Keys the MAC of this tenant's refresh tokens."""
    created_at: Mapped[Moment]
