"""Clients, who may become one, and who asked to."""

from typing import Any

from sqlalchemy import Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId, TenantKey

_LIMITED = text("groups IS NOT NULL")


class Client(Base):
    """A client this tenant knows.

    `kind` records how it came to be and is never guessed from the identifier (CIMD-30): `registered` by an
    operator, `cimd` once a signed-in person decided about it or an admin approved it, or `dynamic` for one that
    registered itself where the tenant allows that. Otherwise strangers add no rows.
    """

    __tablename__ = "clients"
    __table_args__ = (
        Index(None, "tenant_id", "software_digest"),
        Index(None, "tenant_id", "registered_from"),
        # Few are, of perhaps very many; they are read with the policy.
        Index("ix_clients_limited", "tenant_id", postgresql_where=_LIMITED, sqlite_where=_LIMITED),
    )

    tenant_id: Mapped[TenantKey]
    id: Mapped[str] = mapped_column(String(2048), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    """`active`, `blocked`, or `known` for what no operator vouched for: a remembered document (usable as the tenant's
    trust rules say), and a client that registered itself (usable)."""
    name: Mapped[str]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    """RFC 7591 members, validated. For `cimd` the last accepted document."""
    accepted: Mapped[dict[str, Any] | None]
    """The metadata before the first change of it that no administrator has looked at; NULL when there is none."""
    secrets: Mapped[list[dict[str, Any]]]
    """`{"digest": …, "expires_at": … | null}`; two while a rotation overlaps."""
    configured_digest: Mapped[str | None] = mapped_column(String(64))
    """Of the secret that was last taken from the file, which may not be in `secrets` any more."""
    scope_ceiling: Mapped[frozenset[str] | None]
    """What this client may ever get, whatever the user's role says; NULL is no ceiling."""
    groups: Mapped[list[str] | None]
    """Ids of the groups whose members may use it; NULL is everybody. One that is gone stays in it and admits nobody:
    without it the limit would fall with its last group."""
    registration_digest: Mapped[str | None] = mapped_column(String(64))
    """Of the registration access token with which a `dynamic` client manages itself (RFC 7592)."""
    software_digest: Mapped[str | None] = mapped_column(String(64))
    """Of everything a `dynamic` client registered: the same request gets the same client."""
    registered_from: Mapped[str | None] = mapped_column(String(64))
    """The network a `dynamic` client came from, for quotas."""
    fetched_at: Mapped[OptionalMoment]
    fresh_until: Mapped[OptionalMoment]
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


class ClientTrustRule(Base):
    """One line of the trust policy for metadata documents: an exact URL, a host, or `*.` and a domain."""

    __tablename__ = "client_trust_rules"

    tenant_id: Mapped[TenantKey]
    pattern: Mapped[str] = mapped_column(String(2048), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(8))
    """`allow` or `deny`; deny wins."""
    created_at: Mapped[Moment]


class ClientRequest(Base):
    """A signed-in person asked for a client that the trust policy does not admit yet."""

    __tablename__ = "client_requests"
    __table_args__ = (Index(None, "tenant_id", "user_id"),)

    tenant_id: Mapped[TenantKey]
    client_id: Mapped[str] = mapped_column(String(2048), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(64))
    """Who asked first."""
    status: Mapped[str] = mapped_column(String(16))
    """`open`, `approved` or `refused`."""
    created_at: Mapped[Moment]
    decided_at: Mapped[OptionalMoment]
    decided_by: Mapped[str | None] = mapped_column(Text)


class InitialAccessToken(Base):
    """Admits a stranger to dynamic registration (RFC 7591 §3); stored by digest."""

    __tablename__ = "initial_access_tokens"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    digest: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    remaining: Mapped[int | None] = mapped_column(Integer)
    """How many registrations are left; NULL is no limit."""
    created_at: Mapped[Moment]
    expires_at: Mapped[OptionalMoment]
    revoked_at: Mapped[OptionalMoment]
