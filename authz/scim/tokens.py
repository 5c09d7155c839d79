"""The bearer tokens of provisioning clients, as a request shows them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.models import Connection as ConnectionRow
from authz.db.models import ScimToken

PREFIX = "scm"
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Shown:
    """A token that is good now."""

    id: str
    connection: ConnectionRow | None
    is_noted: bool
    """Whether its use was written down within the last minute."""


def find(tx: Session, tenant_id: str, token: str, now: datetime) -> Shown | None:
    """The token, if it is this tenant's, not revoked, not over, and its connection is not switched off."""
    row = tx.execute(
        select(ScimToken.id, ScimToken.last_used_at, ConnectionRow)
        .outerjoin(ConnectionRow, ConnectionRow.id == ScimToken.connection_id)
        .where(
            ScimToken.tenant_id == tenant_id,
            ScimToken.digest == entropy.digest(token),
            ScimToken.revoked_at.is_(None),
            or_(ScimToken.expires_at.is_(None), ScimToken.expires_at > now),
            or_(ScimToken.connection_id.is_(None), ConnectionRow.status == "active"),
        )
    ).one_or_none()
    if row is None:
        return None
    token_id, used_at, connection = row
    return Shown(token_id, connection, used_at is not None and now - used_at < _NOTED_EVERY)


def note_use(tx: Session, token_id: str, now: datetime) -> None:
    """For the operator who wonders whether a token is still in use."""
    tx.execute(update(ScimToken).where(ScimToken.id == token_id).values(last_used_at=now))
