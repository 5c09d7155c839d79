"""Questions that wait for a person's answer: stored for signed-in people only, bounded, answered once.

Each is of one kind, told by what it carries: an answer to one is never taken for an answer to the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.clients.client import Client
from authz.db.models import AuthorizationRequest as PendingRow
from authz.directory.sessions import SignedIn
from authz.oauth.asking import Asking

PENDING_LIFETIME = timedelta(minutes=10)
_MAX_PENDING_PER_SESSION = 20


@dataclass(frozen=True)
class Pending:
    """An authorization request of a client."""

    client_id: str
    client_digest: str
    """What the person was shown of the client."""
    query: str
    settled: frozenset[str]
    """What the person was not asked again."""
    versions: Mapping[str, int]
    """What the person was shown, asked or not: which version of each scope."""


@dataclass(frozen=True)
class PendingDevice:
    """A device's request, by its digest."""

    client_digest: str
    """What the person was shown of the client."""
    device: str
    versions: Mapping[str, int]
    """What the person was shown: which version of each scope."""


def find_pending(
    tx: Session, pending_id: str, signed_in: SignedIn, now: datetime
) -> Pending | None:
    """The waiting request, if it belongs to this session and is not too old."""
    row = _find(tx, pending_id, signed_in, now)
    if row is None or "query" not in row.parameters:
        return None
    kept = row.parameters
    settled = frozenset(kept.get("settled", ()))
    return Pending(row.client_id, kept["client"], kept["query"], settled, _versions(row))


def find_pending_device(
    tx: Session, pending_id: str, signed_in: SignedIn, now: datetime
) -> PendingDevice | None:
    """The waiting device, if it was shown to this session and not too long ago."""
    row = _find(tx, pending_id, signed_in, now)
    if row is None or "device" not in row.parameters:
        return None
    return PendingDevice(row.parameters["client"], row.parameters["device"], _versions(row))


def _versions(row: PendingRow) -> Mapping[str, int]:
    """Pages from before they were counted showed the first ones."""
    found: Mapping[str, int] = row.parameters.get("versions", {})
    return found


def _find(tx: Session, pending_id: str, signed_in: SignedIn, now: datetime) -> PendingRow | None:
    row = tx.get(PendingRow, entropy.digest(pending_id))
    if row is None or row.session_digest != signed_in.digest or now >= row.expires_at:
        return None
    return row


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


def store_pending(
    tx: Session,
    asking: Asking,
    asked: frozenset[str],
    settled: frozenset[str],
    now: datetime,
) -> str:
    """Keep it; answers the one-time id of the form."""
    return _store(
        tx,
        asking.configuration.tenant.id,
        asking.signed_in,
        asking.client.id,
        {
            "query": asking.query,
            "client": asking.client.digest,
            "settled": sorted(settled),
            "versions": asking.request.resource.versions_of(asked | settled),
        },
        now,
    )


def store_pending_device(
    tx: Session,
    tenant_id: str,
    signed_in: SignedIn,
    client: Client,
    device: str,
    versions: Mapping[str, int],
    now: datetime,
) -> str:
    """Keep it; answers the one-time id of the form."""
    parameters = {"device": device, "client": client.digest, "versions": dict(versions)}
    return _store(tx, tenant_id, signed_in, client.id, parameters, now)


def _store(
    tx: Session,
    tenant_id: str,
    signed_in: SignedIn,
    client_id: str,
    parameters: Mapping[str, Any],
    now: datetime,
) -> str:
    digest = signed_in.digest
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
            tenant_id=tenant_id,
            session_digest=digest,
            user_id=signed_in.user_id,
            client_id=client_id,
            parameters=dict(parameters),
            created_at=now,
            expires_at=now + PENDING_LIFETIME,
        )
    )
    return pending_id
