"""How long the trail is kept, and legal holds: what must not be removed before somebody says so.

Decisions:
- All of it is an owner's (`ADMINS_WRITE`, lately signed in). What is removed is the evidence of what the others did, so
  an operator may not shorten it; an auditor reads it and changes nothing; and whom an inquiry is about is not told to
  whoever runs the server. A hold alone removes nothing, but it names a person and a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.db.leases import wait_for
from authz.db.models import AuditHold, Tenant
from authz.directory import users
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission

LEAST_DAYS, MOST_DAYS = 7, 36_500
_MOST_CHARS = 1000


@dataclass(frozen=True)
class Retention:
    """How long events of a tenant are kept."""

    days: int | None
    """None: for ever."""


@dataclass(frozen=True)
class HoldLine:
    """One legal hold."""

    id: str
    subject: str | None
    """The id of the person; None for the whole tenant."""
    login: str | None
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    released_by: str | None
    released_at: datetime | None
    is_active: bool


def list_(tx: Session, tenant_id: str, now: datetime) -> list[HoldLine]:
    """All there ever were, the youngest first."""
    rows = tx.scalars(
        select(AuditHold)
        .where(AuditHold.tenant_id == tenant_id)
        .order_by(AuditHold.placed_at.desc(), AuditHold.id)
    ).all()
    logins = users.logins(tx, tenant_id, {it.subject for it in rows if it.subject is not None})
    return [_line(it, logins.get(it.subject or ""), now) for it in rows]


def show(tx: Session, tenant_id: str, hold_id: str, now: datetime) -> HoldLine:
    """One, also when it is over. Raises NotFound."""
    return _told(tx, _load(tx, tenant_id, hold_id), now)


def retention(tx: Session, tenant_id: str) -> Retention:
    """What was set last."""
    return Retention(tx.get_one(Tenant, tenant_id).audit_days)


def place(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    reason: str,
    person: str | None = None,
    until: datetime | None = None,
) -> HoldLine:
    """Keep what the trail tells of a person (login or id), or all of it. Raises Invalid, NotFound."""
    operator.must(Permission.ADMINS_WRITE)
    if not reason.strip() or len(reason) > _MOST_CHARS:
        raise Invalid(f"a hold takes a reason, of at most {_MOST_CHARS} characters", field="reason")
    if until is not None and until <= operator.now:
        raise Invalid(
            f"a hold until {until.isoformat()} is over already; name a moment to come",
            field="until",
        )
    with about("person"):
        whom = None if person is None else users.load(tx, tenant_id, person)
    lock(tx, tenant_id, operator.now)
    row = AuditHold(
        id=entropy.new_id("hold"),
        tenant_id=tenant_id,
        subject=None if whom is None else whom.id,
        reason=reason,
        placed_by=operator.name,
        placed_at=operator.now,
        until=until,
    )
    tx.add(row)
    values = {"reason": reason, "until": None if until is None else until.isoformat()}
    operator.changed(tx, tenant_id, "audit.hold", row.id, values, subject=row.subject)
    return _line(row, None if whom is None else whom.login, operator.now)


def release(tx: Session, operator: Operator, tenant_id: str, hold_id: str) -> HoldLine:
    """End a hold before its time. Raises NotFound, Conflict."""
    operator.must(Permission.ADMINS_WRITE)
    row = _load(tx, tenant_id, hold_id)
    if row.released_at is not None:
        raise Conflict(f"the hold {hold_id} was released already")
    row.released_by, row.released_at = operator.name, operator.now
    operator.changed(
        tx, tenant_id, "audit.release_hold", row.id, {"reason": row.reason}, subject=row.subject
    )
    return _told(tx, row, operator.now)


def set_retention(tx: Session, operator: Operator, tenant_id: str, *, days: int | None) -> None:
    """How many days events are kept; None: for ever. Raises Invalid."""
    operator.must(Permission.ADMINS_WRITE)
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        raise Invalid(
            f"events are kept for {LEAST_DAYS} to {MOST_DAYS} days, or for ever", field="days"
        )
    row = tx.get_one(Tenant, tenant_id)
    row.audit_days = days
    operator.changed(tx, tenant_id, "audit.retention", row.slug, {"days": days})


def active(tx: Session, tenant_id: str, now: datetime) -> Sequence[str | None]:
    """What is held: ids of people, and None for the whole tenant."""
    return tx.scalars(
        select(AuditHold.subject).where(
            AuditHold.tenant_id == tenant_id,
            AuditHold.released_at.is_(None),
            or_(AuditHold.until.is_(None), AuditHold.until > now),
        )
    ).all()


def lock(tx: Session, tenant_id: str, now: datetime) -> None:
    """Placing a hold and removing events happen one after the other."""
    wait_for(tx, f"audit-removal:{tenant_id}", now)


def _load(tx: Session, tenant_id: str, hold_id: str) -> AuditHold:
    row = tx.get(AuditHold, hold_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no legal hold {hold_id[:80]!r}")
    return row


def _told(tx: Session, row: AuditHold, now: datetime) -> HoldLine:
    about = {row.subject} if row.subject is not None else set()
    return _line(row, users.logins(tx, row.tenant_id, about).get(row.subject or ""), now)


def _line(row: AuditHold, login: str | None, now: datetime) -> HoldLine:
    is_over = row.released_at is not None or (row.until is not None and row.until <= now)
    return HoldLine(
        id=row.id,
        subject=row.subject,
        login=login,
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        until=row.until,
        released_by=row.released_by,
        released_at=row.released_at,
        is_active=not is_over,
    )
