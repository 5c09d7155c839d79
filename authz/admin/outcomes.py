"""What MCP servers reported, for operators: who reports, what is missing, and whether it is still what was sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit.events import OutcomesReported
from authz.db.models import AuditEvent, OutcomeBatch, Resource, ToolOutcome
from authz.jose import JwtError, read_unverified
from authz.oauth.outcomes.batches import MAX_CHARS, batch_row_id
from authz.telemetry.traceparent import read_traceparent

KEPT = timedelta(days=400)
"""How long outcomes and their batches are kept; the trail's event about a batch stays as long as the trail."""


@dataclass(frozen=True)
class ReporterLine:
    """One spool of one MCP server."""

    resource: str | None
    client: str
    reporter: str
    batches: int
    missing: int
    """Batches whose number was skipped."""
    outcomes: int
    lost: int
    """Outcomes it had to drop."""
    unverified: int
    last_received_at: datetime


@dataclass(frozen=True)
class BatchFault:
    """The first batch that is not what the trail saw."""

    batch: str
    what: str


@dataclass(frozen=True)
class BatchesVerified:
    """What was compared."""

    batches: int
    outcomes: int
    fault: BatchFault | None


def reporters(tx: Session, tenant_id: str) -> list[ReporterLine]:
    """Every spool that ever reported, as far back as batches are kept."""
    rows = tx.execute(
        select(
            Resource.identifier,
            OutcomeBatch.client_id,
            OutcomeBatch.reporter,
            func.count(),
            func.max(OutcomeBatch.sequence) - func.min(OutcomeBatch.sequence) + 1,
            func.count(OutcomeBatch.sequence.distinct()),
            func.sum(OutcomeBatch.outcomes),
            func.sum(OutcomeBatch.lost),
            func.sum(OutcomeBatch.unverified),
            func.max(OutcomeBatch.received_at),
        )
        .join(Resource, Resource.id == OutcomeBatch.resource_id, isouter=True)
        .where(OutcomeBatch.tenant_id == tenant_id)
        .group_by(Resource.identifier, OutcomeBatch.client_id, OutcomeBatch.reporter)
        .order_by(Resource.identifier, OutcomeBatch.client_id, OutcomeBatch.reporter)
    )
    return [
        ReporterLine(
            resource=resource,
            client=client,
            reporter=reporter,
            batches=count,
            missing=span - distinct,
            outcomes=int(outcomes),
            lost=int(lost),
            unverified=int(unverified),
            last_received_at=last,
        )
        for resource, client, reporter, count, span, distinct, outcomes, lost, unverified, last in rows
    ]


def verify(tx: Session, tenant_id: str, now: datetime) -> BatchesVerified:
    """Compare every batch with the digest in the trail, and every outcome with its batch; names the first fault.

    The trail itself is `admin.audit.verify`'s: this believes its events.
    """
    told = _told(tx, tenant_id, now - KEPT + timedelta(days=1))
    batches = outcomes = 0
    for row in _batches(tx, tenant_id):
        batches += 1
        digest = told.pop(row.id, None)
        if digest is None and row.received_at >= now - KEPT + timedelta(days=1):
            return BatchesVerified(batches, outcomes, BatchFault(row.name, "not in the trail"))
        if digest not in (None, entropy.digest(row.statement)):
            return BatchesVerified(batches, outcomes, BatchFault(row.name, "altered"))
        kept = _outcomes(tx, row.id)
        outcomes += len(kept)
        if kept != _claimed(row.statement):
            fault = BatchFault(row.name, "its outcomes are not those that were signed")
            return BatchesVerified(batches, outcomes, fault)
    for digest in told.values():
        fault = BatchFault(_name_of(tx, tenant_id, digest), "missing")
        return BatchesVerified(batches, outcomes, fault)
    return BatchesVerified(batches, outcomes, None)


def _told(tx: Session, tenant_id: str, since: datetime) -> dict[str, str]:
    """The digest of each batch that the trail has since then, by the id of its row."""
    bodies = tx.scalars(
        select(AuditEvent.body)
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.at >= since,
            AuditEvent.kind == OutcomesReported.kind,
        )
        .order_by(AuditEvent.at, AuditEvent.position)
    )
    told = {}
    for body in map(json.loads, bodies):
        id_ = batch_row_id(tenant_id, body["client"], body["detail"]["batch"])
        told[id_] = body["detail"]["digest"]
    return told


def _name_of(tx: Session, tenant_id: str, digest: str) -> str:
    body = tx.scalars(
        select(AuditEvent.body).where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.kind == OutcomesReported.kind,
            AuditEvent.body.contains(digest, autoescape=True),
        )
    ).first()
    return "" if body is None else str(json.loads(body)["detail"]["batch"])


def _batches(tx: Session, tenant_id: str) -> Iterator[Any]:
    query = (
        select(OutcomeBatch.id, OutcomeBatch.name, OutcomeBatch.statement, OutcomeBatch.received_at)
        .where(OutcomeBatch.tenant_id == tenant_id)
        .order_by(OutcomeBatch.received_at, OutcomeBatch.id)
        .execution_options(yield_per=200)
    )
    # Closed with the block: the reader stops at the first fault.
    with tx.execute(query) as rows:
        yield from rows


_COLUMNS = (
    ToolOutcome.at,
    ToolOutcome.jti,
    ToolOutcome.tool,
    ToolOutcome.outcome,
    ToolOutcome.reason,
    ToolOutcome.duration_ms,
    ToolOutcome.trace_id,
    ToolOutcome.span_id,
    ToolOutcome.arguments_digest,
)


def _outcomes(tx: Session, batch_id: str) -> list[tuple[Any, ...]]:
    rows = tx.execute(
        select(*_COLUMNS).where(ToolOutcome.batch_id == batch_id).order_by(ToolOutcome.position)
    )
    return [tuple(row) for row in rows]


def _claimed(statement: str) -> Sequence[tuple[Any, ...]]:
    """What the batch says of the same columns; nothing if it says nothing that can be read."""
    try:
        _, claims = read_unverified(statement, max_chars=MAX_CHARS)
        return [_told_outcome(it) for it in claims["outcomes"]]
    except (JwtError, KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return []


def _told_outcome(told: Mapping[str, Any]) -> tuple[Any, ...]:
    trace = read_traceparent(told["traceparent"]) if "traceparent" in told else None
    return (
        datetime.fromtimestamp(told["at"], UTC),
        told["jti"],
        told["tool"],
        told["outcome"],
        told.get("reason"),
        told.get("duration_ms"),
        None if trace is None else trace.trace_id,
        None if trace is None else trace.span_id,
        told.get("arguments_sha256"),
    )
