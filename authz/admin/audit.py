"""The audit trail for operators: verify it, export it, tie it with a signed checkpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.audit.chain import MAIN_STRAND
from authz.audit.verification import CHECKPOINT_TYP, Verified, next_checkpoint
from authz.audit.verification import verify as verify_trail
from authz.db.models import AuditCheckpoint, AuditEvent, SigningKey
from authz.errors import Conflict
from authz.jose import import_jwks, verify_signature
from authz.keys import AUDIT, PURPOSES, KeyRing

_ALGORITHMS = PURPOSES[AUDIT]


@dataclass(frozen=True)
class Checkpoint:
    """What is to be signed: outside of a transaction, because the key may be remote."""

    position: int
    claims: dict[str, Any]


def verify(tx: Session, operator: Operator, tenant_id: str) -> Verified:
    """Check every event, strand, head and checkpoint of the tenant; names the first fault."""
    # Every audit key there ever was: a checkpoint outlives the private part of the key that signed it.
    keys = [
        key
        for jwk in tx.scalars(
            select(SigningKey.public_jwk).where(
                SigningKey.tenant_id == tenant_id, SigningKey.purpose == AUDIT
            )
        )
        for key in import_jwks({"keys": [jwk]}, algorithms=_ALGORITHMS)
    ]

    def check(statement: str) -> None:
        verify_signature(statement, keys, typ=CHECKPOINT_TYP, algorithms=_ALGORITHMS)

    key = operator.audit_key(tx, tenant_id)
    return verify_trail(tx, tenant_id, key=key, check_signature=check)


def export(tx: Session, tenant_id: str, *, since: datetime | None = None) -> Iterator[str]:
    """One JSON object a line: first events, strand by strand in order, then all checkpoints.

    `body` is the text as it was hashed, so the chain can be checked without this server. With `since` each strand
    begins at its first event from then on.
    """
    query = (
        select(AuditEvent.strand, AuditEvent.position, AuditEvent.hash, AuditEvent.body)
        .where(AuditEvent.tenant_id == tenant_id)
        .order_by(
            case((AuditEvent.strand == MAIN_STRAND, 0), else_=1),
            AuditEvent.strand,
            AuditEvent.position,
        )
    )
    if since is not None:
        query = query.where(AuditEvent.at >= since)
    # Closed also when the reader stops early: PostgreSQL keeps the cursor open otherwise.
    with tx.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows.mappings():
            yield json.dumps(dict(row))
    points = tx.execute(
        select(AuditCheckpoint.position, AuditCheckpoint.statement)
        .where(AuditCheckpoint.tenant_id == tenant_id)
        .order_by(AuditCheckpoint.position)
    )
    for position, statement in points:
        yield json.dumps({"checkpoint": position, "statement": statement})


def prepare_checkpoint(
    tx: Session, tenant_id: str, *, issuer: str, now: datetime
) -> Checkpoint | None:
    """The next statement about the heads; None when nothing was recorded since the last."""
    prepared = next_checkpoint(tx, tenant_id, issuer, now)
    return None if prepared is None else Checkpoint(*prepared)


def sign_checkpoint(ring: KeyRing, checkpoint: Checkpoint, now: datetime) -> str:
    """The statement, signed with the tenant's audit key; outside of a transaction."""
    return ring.sign(AUDIT, _ALGORITHMS[0], CHECKPOINT_TYP, checkpoint.claims, now)


def store_checkpoint(
    tx: Session, tenant_id: str, checkpoint: Checkpoint, statement: str, now: datetime
) -> None:
    """Keep a signed statement. Raises Conflict when another one was written meanwhile.

    Not an event of the trail itself: it would move the heads, and the next checkpoint would be about this one.
    """
    if tx.get(AuditCheckpoint, (tenant_id, checkpoint.position)) is not None:
        raise Conflict(f"checkpoint {checkpoint.position} was written meanwhile; nothing to do")
    tx.add(
        AuditCheckpoint(
            tenant_id=tenant_id, position=checkpoint.position, at=now, statement=statement
        )
    )
    tx.flush()
