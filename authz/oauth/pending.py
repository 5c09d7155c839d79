"""Requests that wait for a person's answer: stored for signed-in people only, bounded, answered once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.models import AuthorizationRequest as PendingRow
from authz.directory.sessions import SignedIn
from authz.oauth.asking import Asking

PENDING_LIFETIME = timedelta(minutes=10)
_MAX_PENDING_PER_SESSION = 20


@dataclass(frozen=True)
class Pending:
    """A request that waited for an answer, taken from its row: nobody else can answer it now."""

    client_id: str
    client_digest: str
    """What the person was shown of the client."""
    query: str


def find_pending(
    tx: Session, pending_id: str, signed_in: SignedIn, now: datetime
) -> Pending | None:
    """The waiting request, if it belongs to this session and is not too old."""
    row = tx.get(PendingRow, entropy.digest(pending_id))
    if row is None or row.session_digest != signed_in.digest or now >= row.expires_at:
        return None
    return Pending(row.client_id, row.parameters["client"], row.parameters["query"])


def take_pending(tx: Session, pending_id: str, signed_in: SignedIn, now: datetime) -> bool:
    """Spend it: one statement, so two answers race for one row (ATK-14). False when it is gone."""
    taken = tx.execute(
        delete(PendingRow).where(
            PendingRow.digest == entropy.digest(pending_id),
            PendingRow.session_digest == signed_in.digest,
            PendingRow.expires_at > now,
        )
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def store_pending(tx: Session, asking: Asking, now: datetime) -> str:
    """Keep it; answers the one-time id of the form."""
    digest = asking.signed_in.digest
    tx.execute(delete(PendingRow).where(PendingRow.expires_at <= now))
    waiting = tx.scalar(
        select(func.count()).select_from(PendingRow).where(PendingRow.session_digest == digest)
    )
    if (waiting or 0) >= _MAX_PENDING_PER_SESSION:
        # A page that reloads itself must not fill the table.
        tx.execute(delete(PendingRow).where(PendingRow.session_digest == digest))
    pending_id = entropy.new_token("ask")
    tx.add(
        PendingRow(
            digest=entropy.digest(pending_id),
            tenant_id=asking.configuration.tenant.id,
            session_digest=digest,
            user_id=asking.signed_in.user_id,
            client_id=asking.client.id,
            parameters={"query": asking.query, "client": asking.client.digest},
            created_at=now,
            expires_at=now + PENDING_LIFETIME,
        )
    )
    return pending_id
