"""The order of the feed: whatever is committed gets the next numbers, and nothing ever gets one before them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from authz.db.lists import insert_once
from authz.db.models import RevocationEntry, RevocationHead
from authz.revocations.entries import LEEWAY

MOST_AT_ONCE = 5000
"""Entries that one transaction numbers, and one reading hands out."""


@dataclass(frozen=True)
class Entry:
    """One place of the feed."""

    tenant_id: str
    position: int
    kind: str
    value: str
    before_version: int | None
    resource_id: str | None
    subject: str | None
    created_at: datetime
    expires_at: datetime

    def concerns(self, resource_ids: frozenset[str]) -> bool:
        """Whether any of these servers may have such a token."""
        return self.resource_id is None or self.resource_id in resource_ids


_COLUMNS = (
    RevocationEntry.tenant_id,
    RevocationEntry.position,
    RevocationEntry.kind,
    RevocationEntry.value,
    RevocationEntry.before_version,
    RevocationEntry.resource_id,
    RevocationEntry.subject,
    RevocationEntry.created_at,
    RevocationEntry.expires_at,
)


def unnumbered(tx: Session, tenant_ids: Iterable[str]) -> list[str]:
    """The tenants of these that have entries without a number."""
    rows = tx.scalars(
        select(RevocationEntry.tenant_id)
        .where(
            RevocationEntry.tenant_id.in_(sorted(tenant_ids)), RevocationEntry.position.is_(None)
        )
        .distinct()
        .order_by(RevocationEntry.tenant_id)
    )
    return list(rows)


def number(tx: Session, tenant_id: str) -> int:
    """Number what is committed and has none; answers how many. One at a time in a tenant, by the lock of its head."""
    head = tx.scalars(
        select(RevocationHead).where(RevocationHead.tenant_id == tenant_id).with_for_update()
    ).one_or_none()
    if head is None:
        insert_once(
            tx,
            RevocationHead,
            [{"tenant_id": tenant_id, "position": 0}],
            RevocationHead.tenant_id,
        )
        head = tx.scalars(
            select(RevocationHead).where(RevocationHead.tenant_id == tenant_id).with_for_update()
        ).one()
    # Asked only now: whoever held the lock before us has numbered what was there then.
    order = (RevocationEntry.created_at, RevocationEntry.id)
    found = (
        select(RevocationEntry.id, func.row_number().over(order_by=order).label("number"))
        .where(RevocationEntry.tenant_id == tenant_id, RevocationEntry.position.is_(None))
        .order_by(*order)
        .limit(MOST_AT_ONCE)
        .subquery()
    )
    numbered = tx.execute(
        update(RevocationEntry)
        .where(RevocationEntry.id == found.c.id)
        .values(position=head.position + found.c.number)
        .execution_options(synchronize_session=False)
    )
    count = int(numbered.rowcount)  # type: ignore[attr-defined]
    head.position += count
    tx.flush()
    return count


def head_of(tx: Session, tenant_id: str) -> int:
    """The last number that was given."""
    return (
        tx.scalars(
            select(RevocationHead.position).where(RevocationHead.tenant_id == tenant_id)
        ).one_or_none()
        or 0
    )


def read_after(tx: Session, places: dict[str, int]) -> list[Entry]:
    """The entries of each tenant behind a place, in order; `MOST_AT_ONCE` at most."""
    rows = tx.execute(
        select(*_COLUMNS)
        .where(
            or_(
                *(
                    (RevocationEntry.tenant_id == tenant_id) & (RevocationEntry.position > after)
                    for tenant_id, after in sorted(places.items())
                )
            )
        )
        .order_by(RevocationEntry.tenant_id, RevocationEntry.position)
        .limit(MOST_AT_ONCE)
    )
    return [Entry(*row) for row in rows]  # type: ignore[arg-type]  # those behind a place have one


def read_for(
    tx: Session,
    tenant_id: str,
    resource_ids: Sequence[str],
    *,
    after: int,
    limit: int,
    now: datetime,
) -> list[Entry]:
    """What these servers have to know and may not know yet: behind a place, and not over."""
    rows = tx.execute(
        select(*_COLUMNS)
        .where(
            RevocationEntry.tenant_id == tenant_id,
            RevocationEntry.position > after,
            RevocationEntry.expires_at > now - LEEWAY,
            or_(
                RevocationEntry.resource_id.is_(None),
                RevocationEntry.resource_id.in_(resource_ids),
            ),
        )
        .order_by(RevocationEntry.position)
        .limit(limit)
    )
    return [Entry(*row) for row in rows]  # type: ignore[arg-type]  # those behind a place have one
