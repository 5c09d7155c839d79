"""The bearer tokens of provisioning clients, as a request shows them.

Decisions:
- Who was admitted is remembered for a minute, by digest and under the version of the tenant's configuration. It is good
  for reading what was sent, and for nothing else: every transaction asks first whether token, connection and version
  are what they were (`scim.calls.Desk`). So a revoked token changes nothing from that moment, on any node.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from authz.db.models import Connection as ConnectionRow
from authz.db.models import ScimToken
from authz.scim.calls import Caller

PREFIX = "scm"
_NOTED_EVERY = _REMEMBERED = timedelta(minutes=1)
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Shown:
    """A token that is good now."""

    id: str
    connection: ConnectionRow | None
    is_noted: bool
    """Whether its use was written down within the last minute."""
    expires_at: datetime | None


class Admitted:
    """Who was admitted within the last minute; for any thread."""

    def __init__(self) -> None:
        self._callers: OrderedDict[tuple[str, str], tuple[Caller, datetime]] = OrderedDict()

    def recall(self, slug: str, digest: str, now: datetime) -> Caller | None:
        """As whom the token with this digest was admitted."""
        caller, until = self._callers.get((slug, digest), (None, now))
        return caller if now < until else None

    def remember(self, caller: Caller, expires_at: datetime | None, now: datetime) -> None:
        """A caller whose token was judged just now."""
        until = now + _REMEMBERED
        key = (caller.slug, caller.digest)
        self._callers[key] = caller, until if expires_at is None else min(until, expires_at)
        if len(self._callers) > _MOST_REMEMBERED:
            self._callers.popitem(last=False)


def find(tx: Session, tenant_id: str, digest: str, now: datetime) -> Shown | None:
    """The token, if it is this tenant's, not revoked, not over, and its connection is not switched off."""
    row = tx.execute(
        select(ScimToken.id, ScimToken.last_used_at, ScimToken.expires_at, ConnectionRow)
        .outerjoin(ConnectionRow, ConnectionRow.id == ScimToken.connection_id)
        .where(
            ScimToken.tenant_id == tenant_id,
            ScimToken.digest == digest,
            ScimToken.revoked_at.is_(None),
            or_(ScimToken.expires_at.is_(None), ScimToken.expires_at > now),
            or_(ScimToken.connection_id.is_(None), ConnectionRow.status == "active"),
        )
    ).one_or_none()
    if row is None:
        return None
    token_id, used_at, expires_at, connection = row
    is_noted = used_at is not None and now - used_at < _NOTED_EVERY
    return Shown(token_id, connection, is_noted, expires_at)


def note_use(tx: Session, token_id: str, now: datetime) -> None:
    """For the operator who wonders whether a token is still in use."""
    tx.execute(update(ScimToken).where(ScimToken.id == token_id).values(last_used_at=now))
