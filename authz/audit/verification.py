"""Checking a tenant's whole trail, and the signed checkpoints that tie its strands together."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text, select, type_coerce
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit.chain import MAIN_STRAND, Gap, Head, first_fault, head_mac
from authz.audit.events import StrandOpened
from authz.audit.reading import Span, by_strand, digest_of_spans, removed_spans
from authz.db.models import AuditCheckpoint, AuditEvent, AuditHead
from authz.jose import JwtError, read_unverified
from authz.progress import UNWATCHED, Watch

CHECKPOINT_TYP = "audit-checkpoint+jwt"
_SEARCHED = (
    AuditEvent.subject,
    AuditEvent.actor,
    AuditEvent.client,
    AuditEvent.resource,
    AuditEvent.reason,
)


@dataclass(frozen=True)
class Fault:
    """The first place where the trail does not hold."""

    strand: str
    position: int
    what: str


@dataclass(frozen=True)
class Verified:
    """What was checked, and the first fault if there is one."""

    events: int
    strands: int
    checkpoints: int
    fault: Fault | None


def verify(
    tx: Session,
    tenant_id: str,
    *,
    key: bytes,
    check_signature: Callable[[str], None],
    watch: Watch = UNWATCHED,
) -> Verified:
    """Read everything of a tenant in order. `check_signature` raises JwtError for a bad checkpoint.

    Takes a session of `Database.snapshot`: heads and events of two moments do not fit, and honest servers write on.
    """
    heads = {
        row.strand: row
        for row in tx.scalars(select(AuditHead).where(AuditHead.tenant_id == tenant_id))
    }
    found = set(
        tx.scalars(select(AuditEvent.strand).where(AuditEvent.tenant_id == tenant_id).distinct())
    )
    opened = _opened_strands(tx, tenant_id)
    count = 0
    hashes: dict[tuple[str, int], str] = {}
    points = list(_checkpoints(tx, tenant_id))
    wanted = {(strand, head[0]) for _, claims in points for strand, head in _heads(claims)}
    spans = removed_spans(tx, tenant_id)
    gone = by_strand(spans)
    strands = sorted(found | set(heads) | opened, key=lambda name: (name != MAIN_STRAND, name))
    fault = None
    length = sum(row.position for row in heads.values())
    with watch.counting("Events", length) as advance:
        for strand in strands:
            head = heads.get(strand)
            if head is None:
                fault = Fault(strand, 1, "the strand's head is missing")
                break
            expected = Head(head.position, head.hash)
            if not entropy.equal(head.mac, head_mac(key, tenant_id, strand, expected)):
                what = "the strand's head was not written by this server"
                fault = Fault(strand, head.position, what)
                break

            def counted(strand: str = strand) -> Iterator[tuple[int, str, str]]:
                nonlocal count
                for row in _links(tx, tenant_id, strand):
                    count += 1
                    advance(1)
                    if (strand, row[0]) in wanted:
                        hashes[strand, row[0]] = row[2]
                    yield row

            own = gone.get(strand, [])
            hashes.update({(strand, it.last): it.hash for it in own})
            gaps = {it.first: Gap(it.before, Head(it.last, it.hash)) for it in own}
            broken = first_fault(counted(), expected, gaps)
            if broken is not None:
                fault = Fault(strand, *broken)
                break
    if fault is None:
        fault = _checkpoint_fault(points, hashes, spans, check_signature)
    return Verified(count, len(strands), len(points), fault)


# Whatever an intruder wrote is read without trusting its shape: a verifier that stops with an error is silenced.


def _links(tx: Session, tenant_id: str, strand: str) -> Iterator[tuple[int, str, str]]:
    query = (
        select(
            AuditEvent.position,
            AuditEvent.kind,
            type_coerce(AuditEvent.at, Text),  # as stored: SQLite keeps any text in the column
            AuditEvent.body,
            AuditEvent.hash,
            *_SEARCHED,
        )
        .where(AuditEvent.tenant_id == tenant_id, AuditEvent.strand == strand)
        .order_by(AuditEvent.position)
        .execution_options(yield_per=1000)
    )
    # Closed with the block: the reader stops at the first fault.
    with tx.execute(query) as rows:
        for row in rows:
            position, kind, text, hash_ = row[0], row[1], row[3], row[4]
            # The columns are copies for searching; an edited copy would lead a reader astray.
            body = _object(text)
            copied = (body.get("kind"), body.get("position"), body.get("at"))
            honest = copied == (kind, position, _spelled(row[2])) and _searched(body) == tuple(
                row[5:]
            )
            yield position, text if honest else "", hash_


def _searched(body: Mapping[str, Any]) -> tuple[Any, ...]:
    detail = body.get("detail")
    own = detail if isinstance(detail, dict) else {}
    return (*map(body.get, ("subject", "actor", "client")), own.get("resource"), own.get("reason"))


def _spelled(stored_at: Any) -> Any:
    if isinstance(stored_at, datetime):
        return stored_at.astimezone(UTC).isoformat(timespec="microseconds")
    return stored_at


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _heads(claims: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    heads = claims.get("heads")
    if not isinstance(heads, dict):
        return []
    return [
        (strand, head)
        for strand, head in heads.items()
        if isinstance(head, list) and len(head) == 2 and isinstance(head[0], int)
    ]


def _opened_strands(tx: Session, tenant_id: str) -> set[str]:
    rows = tx.scalars(
        select(AuditEvent.body).where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.strand == MAIN_STRAND,
            AuditEvent.kind == StrandOpened.kind,
        )
    )
    details = (_object(body).get("detail") for body in rows)
    names = (detail.get("strand") for detail in details if isinstance(detail, dict))
    return {name for name in names if isinstance(name, str)}


def _checkpoints(
    tx: Session, tenant_id: str
) -> Iterator[tuple[AuditCheckpoint, Mapping[str, Any]]]:
    rows = tx.scalars(
        select(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == tenant_id)
        .order_by(AuditCheckpoint.position)
    )
    for row in rows:
        try:
            yield row, read_unverified(row.statement)[1]
        except JwtError:
            yield row, {}


def _checkpoint_fault(
    points: list[tuple[AuditCheckpoint, Mapping[str, Any]]],
    hashes: Mapping[tuple[str, int], str],
    spans: Sequence[Span],
    check_signature: Callable[[str], None],
) -> Fault | None:
    previous, removed = "", None
    gone = by_strand(spans)
    firsts = {strand: [it.first for it in own] for strand, own in gone.items()}
    for number, (row, claims) in enumerate(points, start=1):
        if row.position != number or claims.get("position") != number:
            return Fault("checkpoints", number, "missing")
        try:
            check_signature(row.statement)
        except JwtError:
            return Fault("checkpoints", number, "the signature does not hold")
        if claims.get("previous") != previous:
            return Fault("checkpoints", number, "altered")
        for strand, (position, hash_) in _heads(claims):
            before = bisect_right(firsts.get(strand, []), position)
            is_removed = before > 0 and position < gone[strand][before - 1].last
            if not is_removed and hashes.get((strand, position)) != hash_:
                return Fault(strand, position, f"not what checkpoint {number} saw")
        previous = hashlib.sha256(row.statement.encode()).hexdigest()
        removed = claims.get("removed", removed)
    if removed != (digest_of_spans(spans) if spans or removed else None):
        return Fault("checkpoints", len(points), "events count as removed that it does not name")
    return None
