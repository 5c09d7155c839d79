"""The revocation feed: what ended, for those who verify access tokens by themselves."""

from sqlalchemy import BigInteger, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Id, Moment, TenantId, TenantKey

_UNNUMBERED = text("position IS NULL")


class RevocationEntry(Base):
    """Some access tokens that are dead before they expire. Written by whoever ends them, in the same transaction."""

    __tablename__ = "revocation_entries"
    __table_args__ = (
        Index(None, "tenant_id", "position", unique=True),
        # Almost always empty: what nobody has put in order yet.
        Index(
            "ix_revocation_entries_unnumbered",
            "tenant_id",
            postgresql_where=_UNNUMBERED,
            sqlite_where=_UNNUMBERED,
        ),
        Index(None, "expires_at"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    position: Mapped[int | None] = mapped_column(BigInteger)
    """In the feed; NULL until a reader's process has put it there (`revocations.numbering`)."""
    kind: Mapped[str] = mapped_column(String(16))
    """`grant`, `token`, or the claim that tells the tokens: `client_id`, `connection`, `aud`, `tenant`."""
    value: Mapped[str] = mapped_column(String(2048))
    """Of the claim."""
    before_version: Mapped[int | None] = mapped_column(BigInteger)
    """Of all tokens with the claim, those that were decided under an older `policy_version`; NULL: all."""
    resource_id: Mapped[str | None] = mapped_column(String(64))
    """Whose tokens they are; NULL where any server may have one."""
    subject: Mapped[str | None] = mapped_column(String(2048))
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    """From then on none of them can be alive."""


class RevocationHead(Base):
    """How far the feed of a tenant goes. Outlives the entries, so that no number comes twice."""

    __tablename__ = "revocation_heads"

    tenant_id: Mapped[TenantKey]
    position: Mapped[int] = mapped_column(BigInteger)


class StatusEntry(Base):
    """The place of one token in a token status list; only of servers that want one."""

    __tablename__ = "status_entries"
    __table_args__ = (
        # No place is used twice (TSL-03), whoever draws them.
        UniqueConstraint("list_id", "place"),
        Index(None, "expires_at"),
    )

    jti: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId]
    list_id: Mapped[str] = mapped_column(String(64))
    place: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[Moment]
