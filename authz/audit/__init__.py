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
from authz.db.lists import insert_all
from authz.db.models import AuditEvent, AuditHead


def record(tx: Session, tenant_id: str, *events: Event, key: bytes, now: datetime) -> None:
    """Append to the main strand in the caller's transaction.

    Call it last: it locks the strand's head until the transaction ends. `key` is the tenant's audit key.
    """
    row = tx.execute(
        select(AuditHead)
        .where(AuditHead.tenant_id == tenant_id, AuditHead.strand == MAIN_STRAND)
        .with_for_update()
    ).scalar_one_or_none()
    before = Head(row.position, row.hash) if row else Head()
    links, head = chain.append(events, before, tenant_id=tenant_id, strand=MAIN_STRAND, at=now)
    mac = chain.head_mac(key, tenant_id, MAIN_STRAND, head)
    if row is None:
        tx.add(
            AuditHead(
                tenant_id=tenant_id,
                strand=MAIN_STRAND,
                position=head.position,
                hash=head.hash,
                mac=mac,
            )
        )
    else:
        row.position, row.hash, row.mac = head.position, head.hash, mac
    rows = [{"tenant_id": tenant_id, "strand": MAIN_STRAND, **vars(link)} for link in links]
    insert_all(tx, AuditEvent, rows)
