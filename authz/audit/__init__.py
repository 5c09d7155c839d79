"""The audit trail: every outcome is an event in its tenant's hash chain, written in the transaction of the change.

Owns events, strands, heads, checkpoints and their verification. Never decides anything and never holds a secret.

Decisions:
- A tenant's chain has strands. The plain lane writes the strand `main`, serialised by its head row; every process of
  the token lane writes a strand of its own, so no row is shared by two processes where it would cost throughput.
- Signed checkpoints tie the heads of all strands together, and the opening of a strand is an event in `main`.
- What is searched by is copied into columns when an event is appended, and `verification` compares the copies. Only the
  person and the actor have an index: each one is a write that the token endpoint waits for.
- What strangers cause before a client is identified goes to metrics and rate-limited logs, so nobody can fill the disk.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit import chain
from authz.audit.chain import MAIN_STRAND, Head
from authz.audit.events import Event
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


def record(tx: Session, tenant_id: str, *events: Event, key: bytes, now: datetime) -> None:
    """Append to the main strand in the caller's transaction.

    Call it last: it locks the strand's head until the transaction ends. `key` is the tenant's audit key.
    """
    tx.flush()
    found = direct.fetch(tx, HEADS(tenants=[tenant_id], strands=[MAIN_STRAND]))
    before = Head(*found[0][2:]) if found else Head()
    links, head = chain.append(events, before, tenant_id=tenant_id, strand=MAIN_STRAND, at=now)
    mac = chain.head_mac(key, tenant_id, MAIN_STRAND, head)
    move = UPDATE_HEADS if found else INSERT_HEADS
    direct.write(
        tx,
        INSERT_EVENTS([event_row(tenant_id, MAIN_STRAND, link) for link in links]),
        move([(tenant_id, MAIN_STRAND, head.position, head.hash, mac)]),
    )


def event_row(tenant_id: str, strand: str, link: chain.Link) -> Row:
    """The event of a strand as `INSERT_EVENTS` takes it."""
    return (
        *(tenant_id, strand, link.position, link.at, link.kind, link.body, link.hash),
        *(link.subject, link.actor, link.client, link.resource, link.reason),
    )
