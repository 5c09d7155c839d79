"""The trail of a tenant as a file that anybody can check: JSON lines, described in `audit.verify`.

    prepared = prepare(tx, tenant_id, issuer=…, since=…, until=…, now=…)      # `tx` of `Database.snapshot`
    statement = sign(ring, prepared, now)                 # outside of a transaction: the key may be remote
    for line in lines(tx, prepared, statement): …                              # and of another

What is prepared says how far every strand goes, and is signed: what is written meanwhile is not in the file, and what
is in the file cannot be shortened. Events are read a page at a time, so memory does not grow with them.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz.audit import verify as verifier
from authz.audit.chain import GENESIS
from authz.audit.checkpoints import digest_of, newest_of
from authz.audit.reading import Span, digest_of_spans, read_span, removed_spans, strands_of
from authz.db.models import AuditCheckpoint, AuditEvent, AuditHead, SigningKey
from authz.errors import Conflict
from authz.keys import AUDIT, PURPOSES, KeyRing

EXPORT_TYP = "audit-export+jwt"
_AT_ONCE = 500


@dataclass(frozen=True)
class Prepared:
    """What is to be in the file."""

    tenant_id: str
    claims: Mapping[str, Any]
    spans: Sequence[Span]
    """How far each strand goes in it, `main` first."""
    removed: Sequence[Span]
    """What retention removed of the trail."""

    @property
    def events(self) -> int:
        """How many there will be, for whoever waits."""
        own = {it.strand: it for it in self.spans}
        gone = (it for it in self.removed if it.strand in own and it.is_within(own[it.strand]))
        return sum(it.count for it in self.spans) - sum(it.count for it in gone)


def prepare(
    tx: Session,
    tenant_id: str,
    *,
    issuer: str,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Prepared:
    """All of the trail; or of each strand, from its first event since then to its last before that."""
    gone = removed_spans(tx, tenant_id)
    spans = [
        span
        for strand in strands_of(tx, tenant_id)
        if (span := _span(tx, tenant_id, strand, gone, since, until)) is not None
    ]
    newest = newest_of(tx, tenant_id)
    claims = {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "tenant": tenant_id,
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        "strands": digest_of_spans(spans),
        "removed": digest_of_spans(gone),
        "checkpoints": 0 if newest is None else newest.position,
        "checkpoint": "" if newest is None else digest_of(newest.statement),
    }
    return Prepared(tenant_id, claims, spans, gone)


def sign(ring: KeyRing, prepared: Prepared, now: datetime) -> str:
    """The statement of the export, signed with the tenant's audit key; outside of a transaction."""
    return ring.sign(AUDIT, PURPOSES[AUDIT][0], EXPORT_TYP, prepared.claims, now)


def lines(tx: Session, prepared: Prepared, statement: str) -> Iterator[str]:
    """The file, line by line. Raises Conflict, before the first, when retention removed something meanwhile."""
    # Read first, so that no partition is dropped from here on.
    tx.execute(
        select(AuditEvent.position).where(AuditEvent.tenant_id == prepared.tenant_id).limit(1)
    )
    if digest_of_spans(removed_spans(tx, prepared.tenant_id)) != prepared.claims["removed"]:
        raise Conflict("retention removed events while this was prepared; export again")
    return _lines(tx, prepared, statement)


def _lines(tx: Session, prepared: Prepared, statement: str) -> Iterator[str]:
    claims, tenant_id = prepared.claims, prepared.tenant_id
    about = {name: claims[name] for name in ("iss", "tenant", "since", "until")}
    yield json.dumps({"authz_audit_export": 1, **about})
    for jwk in tx.scalars(_keys_of(tenant_id)):
        yield json.dumps({"key": jwk})
    yield json.dumps({"export": statement})
    yield from _checkpoints(tx, tenant_id, claims["checkpoints"])
    for span in prepared.spans:
        yield json.dumps({"strand": span.strand, **span.ends})
    for span in prepared.removed:
        yield json.dumps({"removed": span.strand, **span.ends})
    count = 0
    for span in prepared.spans:
        for event in read_span(tx, tenant_id, span, prepared.removed):
            count += 1
            yield json.dumps(
                {
                    "event": event.position,
                    "strand": event.strand,
                    "hash": event.hash,
                    "body": event.body,
                }
            )
    yield json.dumps({"end": count})


def verifier_source() -> str:
    """The program that checks such a file: one file, for Python alone."""
    return Path(verifier.__file__).read_text(encoding="utf-8")


def _span(
    tx: Session,
    tenant_id: str,
    strand: str,
    gone: Sequence[Span],
    since: datetime | None,
    until: datetime | None,
) -> Span | None:
    head = tx.get_one(AuditHead, (tenant_id, strand))
    if since is None and until is None:
        return Span(strand, 1, GENESIS, head.position, head.hash) if head.position else None
    asked = [AuditEvent.tenant_id == tenant_id, AuditEvent.strand == strand]
    if since is not None:
        asked.append(AuditEvent.at >= since)
    if until is not None:
        asked.append(AuditEvent.at < until)
    first = tx.scalar(select(func.min(AuditEvent.position)).where(*asked))
    last = tx.scalar(select(func.max(AuditEvent.position)).where(*asked))
    if first is None or last is None:
        return None
    before = hash_at(tx, tenant_id, strand, first - 1, gone)
    return Span(strand, first, before, last, hash_at(tx, tenant_id, strand, last, gone))


def hash_at(tx: Session, tenant_id: str, strand: str, position: int, gone: Sequence[Span]) -> str:
    """Of an event, or of what is left of it; 64 zeros before the first."""
    if position == 0:
        return GENESIS
    ends = {it.last: it.hash for it in gone if it.strand == strand}
    if position in ends:
        return ends[position]
    row = tx.get(AuditEvent, (tenant_id, strand, position))
    # A trail somebody cut in the middle is exported all the same: the verifier is to say where.
    return GENESIS if row is None else row.hash


def _keys_of(tenant_id: str) -> Any:
    """Every audit key there ever was: a statement outlives the private part of the key that signed it."""
    return (
        select(SigningKey.public_jwk)
        .where(SigningKey.tenant_id == tenant_id, SigningKey.purpose == AUDIT)
        .order_by(SigningKey.activate_at, SigningKey.id)
    )


def _checkpoints(tx: Session, tenant_id: str, upto: int) -> Iterator[str]:
    position = 0
    while position < upto:
        rows = tx.execute(
            select(AuditCheckpoint.position, AuditCheckpoint.statement, AuditCheckpoint.timestamp)
            .where(
                AuditCheckpoint.tenant_id == tenant_id,
                AuditCheckpoint.position > position,
                AuditCheckpoint.position <= upto,
            )
            .order_by(AuditCheckpoint.position)
            .limit(_AT_ONCE)
        ).all()
        for position, statement, timestamp in rows:
            line = {"checkpoint": position, "statement": statement}
            if timestamp is not None:
                line["timestamp"] = base64.b64encode(timestamp).decode()
            yield json.dumps(line)
        if not rows:
            return
