"""What is true of the whole installation, in numbers: ages of keys, jobs that are due, the trail, drift of policy.

Reads rows and nothing else. No answer names a tenant or a person.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from authz.admin.code.applied import Drifts
from authz.audit.delivery import lag_of
from authz.db.models import AuditCheckpoint, AuditEvent, Lease, SigningKey, Tenant
from authz.envelope import Envelope
from authz.settings import AuditSink
from authz.telemetry.installation import (
    CHECKPOINT_LAG,
    DRIFT,
    KEY_AGE,
    LEASE_ENDS,
    SINK_LAG,
    Fact,
    Values,
)


class Measurements:
    """One per process: it remembers what is slow to find out."""

    def __init__(self, envelope: Envelope, sinks: Sequence[AuditSink]) -> None:
        self._drifts = Drifts(envelope)
        self._sinks = sinks

    def read(self, tx: Session, now: datetime) -> Mapping[Fact, Values]:
        """All of them."""
        drift = self._drifts.count(tx, now)
        return {
            KEY_AGE: _key_ages(tx, now),
            LEASE_ENDS: _leases(tx),
            CHECKPOINT_LAG: {(): _checkpoint_lag(tx, now)},
            SINK_LAG: {(it.name,): lag_of(tx, it) for it in self._sinks},
            DRIFT: {(kind,): count for kind, count in drift.items()},
        }


def _key_ages(tx: Session, now: datetime) -> Values:
    signing = select(
        SigningKey.purpose, SigningKey.algorithm, func.min(SigningKey.activate_at)
    ).where(
        SigningKey.activate_at <= now,
        or_(SigningKey.retire_at.is_(None), SigningKey.retire_at > now),
    )
    rows = tx.execute(signing.group_by(SigningKey.purpose, SigningKey.algorithm))
    return {(purpose, algorithm): _seconds(now, since) for purpose, algorithm, since in rows}


def _leases(tx: Session) -> Values:
    # Of others, which are locks for as long as a transaction, the name has a colon and a tenant in it.
    rows = tx.execute(
        select(Lease.name, Lease.expires_at).where(Lease.holder != "", ~Lease.name.contains(":"))
    )
    return {(name,): ends.timestamp() for name, ends in rows}


def _checkpoint_lag(tx: Session, now: datetime) -> float:
    last = (
        select(AuditCheckpoint.at)
        .where(AuditCheckpoint.tenant_id == Tenant.id)
        .order_by(AuditCheckpoint.position.desc())
        .limit(1)
        .correlate(Tenant)
        .scalar_subquery()
    )
    first_after = (
        select(func.min(AuditEvent.at))
        .where(AuditEvent.tenant_id == Tenant.id, or_(last.is_(None), AuditEvent.at > last))
        .correlate(Tenant)
        .scalar_subquery()
    )
    oldest = select(first_after.label("at")).where(Tenant.status == "active").subquery()
    since: datetime | None = tx.scalar(select(func.min(oldest.c.at)))
    return 0.0 if since is None else _seconds(now, since)


def _seconds(now: datetime, since: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
