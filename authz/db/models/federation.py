"""Upstream identity providers: connections, the people they vouch for, and sign-ins that are under way."""

from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, OptionalMoment, TenantId, TenantKey


class Connection(Base):
    """One identity provider of one tenant. Its slug is in the redirect URI only this connection has (BCPU-01)."""

    __tablename__ = "connections"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    slug: Mapped[str] = mapped_column(String(63))
    """In URLs, in `requires`, in tokens; never `local`, which is the local directory."""
    kind: Mapped[str] = mapped_column(String(8))
    """`oidc` or `saml`: a key of `federation.CONNECTORS`."""
    preset: Mapped[str] = mapped_column(String(32))
    """The product at the other end, for its quirks; `generic` has none."""
    name: Mapped[str]
    """On the button people press."""
    status: Mapped[str] = mapped_column(String(16))
    """`active` or `disabled`; asked at every sign-in and of every grant that came from it."""
    settings: Mapped[dict[str, Any]]
    """What its connector needs, validated by it. Secrets are in here by reference only."""
    is_listed: Mapped[bool] = mapped_column(Boolean)
    """Whether the sign-in page has a button for it; otherwise only its domains lead there."""
    provisions: Mapped[bool] = mapped_column(Boolean)
    """Whether a person it vouches for gets an account at the first sign-in."""
    links_by_email: Mapped[bool] = mapped_column(Boolean)
    """Whether a first sign-in may take over the one unlinked account with its verified address (CONF-12)."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


class Domain(Base):
    """A domain whose people sign in through one connection, once its owner has proved it in DNS."""

    __tablename__ = "domains"

    tenant_id: Mapped[TenantKey]
    name: Mapped[str] = mapped_column(String(253), primary_key=True)
    """Lower case, A-labels; matched whole, never by its ending."""
    connection_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    challenge: Mapped[str]
    """The value of the TXT record that proves the domain."""
    is_mandatory: Mapped[bool] = mapped_column(Boolean)
    """Nobody of this domain gets in by a password or through another connection."""
    created_at: Mapped[Moment]
    verified_at: Mapped[OptionalMoment]


class Identity(Base):
    """(connection, subject) is the key of a person at an identity provider; it points at one user for good."""

    __tablename__ = "identities"
    __table_args__ = (Index(None, "user_id"),)

    tenant_id: Mapped[TenantKey]
    connection_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True
    )
    subject: Mapped[str] = mapped_column(String(512), primary_key=True)
    """As the connector composes it: an OIDC `sub`, tenant and object id, NameID with format and qualifiers."""
    user_id: Mapped[str] = mapped_column(String(64), ForeignKey("users.id", ondelete="CASCADE"))
    linked_by: Mapped[str] = mapped_column(String(16))
    """`provisioned`, `email`, `operator` or `scim`."""
    linked_at: Mapped[Moment]
    last_sign_in_at: Mapped[OptionalMoment]


class GroupMapping(Base):
    """An explicit rule: who has this value in this claim of this connection is in this group."""

    __tablename__ = "group_mappings"
    __table_args__ = (
        UniqueConstraint("connection_id", "claim", "value", "group_id"),
        Index(None, "group_id"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    connection_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    claim: Mapped[str] = mapped_column(String(256))
    value: Mapped[str] = mapped_column(String(256))
    """Compared whole and case-exact (ATK-28)."""
    group_id: Mapped[str] = mapped_column(String(64), ForeignKey("groups.id", ondelete="CASCADE"))
    created_at: Mapped[Moment]


class SignInAttempt(Base):
    """A browser that was sent to an identity provider: answered once, by the same browser (MCP-AS-96, ATK-17)."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the `state`, the `RelayState` or the ticket that comes back."""
    tenant_id: Mapped[TenantId]
    connection_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    browser: Mapped[str] = mapped_column(String(64))
    """Digest of the cookie of the browser that began it."""
    continuation: Mapped[dict[str, Any]]
    """Where the person was going."""
    asked: Mapped[dict[str, Any]]
    """How they should sign in: `acr_values`, `max_age`, whether anew."""
    kept: Mapped[dict[str, Any]]
    """What the connector wants back with the answer (nonce, verifier, request id), and then what it was answered."""
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]


class ScimToken(Base):
    """A bearer token of one identity provider's provisioning, by digest."""

    __tablename__ = "scim_tokens"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    digest: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    connection_id: Mapped[str | None] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    """Whose people it provisions: their `externalId` is their subject there. None: nobody's."""
    created_at: Mapped[Moment]
    expires_at: Mapped[OptionalMoment]
    last_used_at: Mapped[OptionalMoment]
    revoked_at: Mapped[OptionalMoment]


class ScimRecord(Base):
    """What a provisioning client wrote of a user or group beyond the columns of those, and its version."""

    __tablename__ = "scim_records"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "provisioner", "external_id"),)

    id: Mapped[Id]
    """Of the user or group."""
    tenant_id: Mapped[TenantId]
    kind: Mapped[str] = mapped_column(String(8))
    """`User` or `Group`."""
    provisioner: Mapped[str] = mapped_column(String(64))
    """Whose client wrote it first: the id of a connection, or empty for a client of none. `external_id` is its name for
    the thing and means nothing to anybody else (RFC 7643 §3.1)."""
    external_id: Mapped[str | None] = mapped_column(String(512))
    made_here: Mapped[bool] = mapped_column(Boolean)
    """Whether the client made the thing, and did not find it: what an operator made is not its to rename or remove."""
    may_reopen: Mapped[bool] = mapped_column(Boolean)
    """Whether the account was closed on its company's own word, a client's or a signal's: then, and only then, a client
    may open it again."""
    attributes: Mapped[dict[str, Any]]
    version: Mapped[int]
    """Grows with each change; the ETag."""
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


class SignalStream(Base):
    """A Shared Signals transmitter that may tell this tenant about the people of one connection (SSF-01)."""

    __tablename__ = "signal_streams"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    slug: Mapped[str] = mapped_column(String(63))
    connection_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("connections.id", ondelete="CASCADE")
    )
    """It can end the access of people of this connection, and of nobody else."""
    issuer: Mapped[str]
    jwks_uri: Mapped[str]
    audience: Mapped[str]
    delivery: Mapped[str] = mapped_column(String(8))
    """`push` (RFC 8935) or `poll` (RFC 8936)."""
    secret_digest: Mapped[str | None] = mapped_column(String(64))
    """Of the bearer token the transmitter pushes with."""
    poll_url: Mapped[str | None]
    poll_token: Mapped[str | None]
    """A secret reference."""
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Moment]
    last_event_at: Mapped[OptionalMoment]


class Departure(Base):
    """One end of somebody's access, and how long it took: the offboarding clock."""

    __tablename__ = "departures"
    __table_args__ = (Index(None, "tenant_id", "ended_at"), Index(None, "user_id"))

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    user_id: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(32))
    """`scim`, `logout_token`, `shared_signal` or `operator`."""
    because: Mapped[str] = mapped_column(String(64))
    signalled_at: Mapped[Moment]
    """When the signal reached this server."""
    occurred_at: Mapped[OptionalMoment]
    """When it happened, as the sender says."""
    ended_at: Mapped[Moment]
    """When the last credential was dead."""
    sessions: Mapped[int]
    families: Mapped[int]
    codes: Mapped[int]
    tokens: Mapped[int]
