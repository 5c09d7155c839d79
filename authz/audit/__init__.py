"""The audit trail: every outcome is an event in its tenant's hash chain, written in the transaction of the change.

Owns events, strands, heads, checkpoints and their verification. Never decides anything and never holds a secret.

Decisions:
- A tenant's chain has strands. The plain lane writes the strand `main`, serialised by its head row; every worker
  of a token lane writes a strand of its own, so no row is shared by two batches where it would cost throughput. So
  does provisioning, which writes several (`Strands`): its transactions are many, and each holds a head to its end.
- Signed checkpoints tie the heads of all strands together, and the opening of a strand is an event in `main`.
- What is searched by is copied into columns when an event is appended, and `verification` compares the copies. Only the
  person and the actor have an index: each one is a write that the token endpoint waits for.
- What strangers cause before a client is identified goes to metrics and rate-limited logs, so nobody can fill the disk.
"""

import itertools
import threading
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit import chain
from authz.audit.chain import MAIN_STRAND, Head
from authz.audit.events import Event, StrandOpened
from authz.db import direct
from authz.db.models import AuditEvent, AuditHead
from authz.db.statements import AnyOf, Insert, Query, Row, Update

HEADS = Query(
    select(AuditHead.tenant_id, AuditHead.strand, AuditHead.position, AuditHead.hash)
    .where(AnyOf(AuditHead.tenant_id, "tenants"))
    .where(AnyOf(AuditHead.strand, "strands"))
    .order_by(AuditHead.tenant_id, AuditHead.strand)
    .with_for_update()
)
INSERT_EVENTS = Insert(AuditEvent.__table__)  # type: ignore[arg-type]
INSERT_HEADS = Insert(AuditHead.__table__)  # type: ignore[arg-type]
UPDATE_HEADS = Update(
    AuditHead.__table__,  # type: ignore[arg-type]
    keys=["tenant_id", "strand"],
    assign=["position", "hash", "mac"],
)


class Strands:
    """A few strands of this process, for writers that come many at a time: they would queue for the head of `main`.

    A thread keeps to one. Two that share one wait for each other, which costs time and nothing else.
    """

    def __init__(self, kind: str, count: int) -> None:
        self._names = [f"{entropy.new_id(kind)}-{number}" for number in range(count)]
        self._threads = itertools.count()
        self._own = threading.local()

    def mine(self) -> str:
        """That of the calling thread."""
        if not hasattr(self._own, "name"):
            self._own.name = self._names[next(self._threads) % len(self._names)]
        return str(self._own.name)


def record(
    tx: Session,
    tenant_id: str,
    *events: Event,
    key: bytes,
    now: datetime,
    strand: str = MAIN_STRAND,
) -> None:
    """Append to a strand in the caller's transaction.

    Call it last: it locks the strand's head until the transaction ends. `key` is the tenant's audit key.
    """
    tx.flush()
    before = _head(tx, tenant_id, strand)
    if before is None and strand != MAIN_STRAND:
        # Whoever opens a strand holds the head of `main`; meanwhile somebody else may have opened this one.
        main = _head(tx, tenant_id, MAIN_STRAND)
        before = _head(tx, tenant_id, strand)
        if before is None:
            opened = [StrandOpened(strand=strand)]
            _append(tx, tenant_id, MAIN_STRAND, main, opened, key, now)
    _append(tx, tenant_id, strand, before, events, key, now)


def _head(tx: Session, tenant_id: str, strand: str) -> Head | None:
    found = direct.fetch(tx, HEADS(tenants=[tenant_id], strands=[strand]))
    return Head(*found[0][2:]) if found else None


def _append(
    tx: Session,
    tenant_id: str,
    strand: str,
    before: Head | None,
    events: Sequence[Event],
    key: bytes,
    now: datetime,
) -> None:
    links, head = chain.append(events, before or Head(), tenant_id=tenant_id, strand=strand, at=now)
    mac = chain.head_mac(key, tenant_id, strand, head)
    move = INSERT_HEADS if before is None else UPDATE_HEADS
    direct.write(
        tx,
        INSERT_EVENTS([event_row(tenant_id, strand, link) for link in links]),
        move([(tenant_id, strand, head.position, head.hash, mac)]),
    )


def event_row(tenant_id: str, strand: str, link: chain.Link) -> Row:
    """The event of a strand as `INSERT_EVENTS` takes it."""
    return (
        *(tenant_id, strand, link.position, link.at, link.kind, link.body, link.hash),
        *(link.subject, link.actor, link.client, link.resource, link.reason),
    )
