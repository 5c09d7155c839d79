"""Batches become rows and one event each: many at once, in one transaction.

The number of statements depends on how many tenants are speaking, never on how many batches or outcomes there are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import audit, entropy
from authz.audit.events import OutcomesReported
from authz.clock import Clock
from authz.db.lists import among, insert_all, insert_once
from authz.db.models import IssuedToken, OutcomeBatch, ToolOutcome
from authz.jose import LEEWAY
from authz.oauth.outcomes.batches import Batch, CallOutcome, batch_row_id


@dataclass(frozen=True)
class Report:
    """A believed batch, and whose it is."""

    tenant_id: str
    client_id: str
    resource_id: str
    batch: Batch
    audit_key: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """See `batch_row_id`."""
        return batch_row_id(self.tenant_id, self.client_id, self.batch.name)


@dataclass(frozen=True)
class Receipt:
    """What became of a batch."""

    outcomes: int
    unverified: int
    is_repeated: bool = False
    is_other: bool = False
    """Another batch had this name; nothing was kept of this one."""


def receive(tx: Session, reports: Sequence[Report], clock: Clock) -> list[Receipt]:
    """Keep what is new; what became of each, in their order. The caller commits."""
    now = clock()
    firsts: dict[str, Report] = {}
    for report in reports:
        firsts.setdefault(report.id, report)
    tokens = _tokens(tx, firsts.values())
    rows = {id_: _outcome_rows(id_, it, tokens) for id_, it in firsts.items()}
    batches = {id_: _batch_row(id_, it, _unverified(rows[id_]), now) for id_, it in firsts.items()}
    # In key order, so that two that are sent the same never wait in a circle.
    new = insert_once(tx, OutcomeBatch, [batches[id_] for id_ in sorted(batches)], OutcomeBatch.id)
    insert_all(tx, ToolOutcome, [row for id_ in sorted(new) for row in rows[id_]])
    known = _known(tx, batches.keys() - new)
    receipts = [_receipt(it, firsts, batches, new, known) for it in reports]
    _record(tx, [firsts[id_] for id_ in firsts if id_ in new], batches, now)
    return receipts


def _tokens(tx: Session, reports: Any) -> Mapping[str, Any]:
    wanted = {outcome.jti for report in reports for outcome in report.batch.outcomes}
    rows = tx.execute(
        select(
            IssuedToken.jti,
            IssuedToken.tenant_id,
            IssuedToken.resource_id,
            IssuedToken.family_id,
            IssuedToken.subject,
            IssuedToken.client_id,
            IssuedToken.issued_at,
            IssuedToken.expires_at,
        ).where(among(tx, IssuedToken.jti, wanted))
    )
    return {row.jti: row for row in rows}


def _find_token(tokens: Mapping[str, Any], report: Report, outcome: CallOutcome) -> Any | None:
    """A server speaks of tokens that were made for it, while they lived; of any other it knows nothing."""
    token = tokens.get(outcome.jti)
    is_its_own = (
        token is not None
        and token.tenant_id == report.tenant_id
        and token.resource_id == report.resource_id
        and outcome.grant_id in (None, token.family_id)
        and token.issued_at - LEEWAY <= outcome.at <= token.expires_at + LEEWAY
    )
    return token if is_its_own else None


def _outcome_rows(id_: str, report: Report, tokens: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for position, outcome in enumerate(report.batch.outcomes):
        token = _find_token(tokens, report, outcome)
        rows.append(
            {
                "batch_id": id_,
                "position": position,
                "tenant_id": report.tenant_id,
                "at": outcome.at,
                "resource_id": report.resource_id,
                "jti": outcome.jti,
                "grant_id": outcome.grant_id if token is None else token.family_id,
                "subject": None if token is None else token.subject,
                "client_id": None if token is None else token.client_id,
                "verified": token is not None,
                "tool": outcome.tool,
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                "duration_ms": outcome.duration_ms,
                "trace_id": None if outcome.trace is None else outcome.trace.trace_id,
                "span_id": None if outcome.trace is None else outcome.trace.span_id,
                "arguments_digest": outcome.arguments_digest,
            }
        )
    return rows


def _unverified(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(not row["verified"] for row in rows)


def _batch_row(id_: str, report: Report, unverified: int, now: datetime) -> dict[str, Any]:
    batch = report.batch
    return {
        "id": id_,
        "tenant_id": report.tenant_id,
        "client_id": report.client_id,
        "resource_id": report.resource_id,
        "name": batch.name,
        "reporter": batch.reporter,
        "sequence": batch.sequence,
        "lost": batch.lost,
        "outcomes": len(batch.outcomes),
        "unverified": unverified,
        "content": batch.content,
        "statement": batch.statement,
        "received_at": now,
    }


def _known(tx: Session, ids: Any) -> Mapping[str, Any]:
    if not ids:
        return {}
    rows = tx.execute(
        select(
            OutcomeBatch.id, OutcomeBatch.content, OutcomeBatch.outcomes, OutcomeBatch.unverified
        ).where(among(tx, OutcomeBatch.id, ids))
    )
    return {row.id: row for row in rows}


def _receipt(
    report: Report,
    firsts: Mapping[str, Report],
    batches: Mapping[str, Mapping[str, Any]],
    new: set[str],
    known: Mapping[str, Any],
) -> Receipt:
    id_ = report.id
    if id_ in new:
        content, row = batches[id_]["content"], batches[id_]
        counts = row["outcomes"], row["unverified"]
    else:
        content = known[id_].content
        counts = known[id_].outcomes, known[id_].unverified
    return Receipt(
        *counts,
        is_repeated=id_ not in new or firsts[id_] is not report,
        is_other=content != report.batch.content,
    )


def _record(
    tx: Session, reports: Sequence[Report], batches: Mapping[str, Any], now: datetime
) -> None:
    for tenant_id in sorted({report.tenant_id for report in reports}):
        own = [report for report in reports if report.tenant_id == tenant_id]
        events = [_event(it, batches[it.id]["unverified"]) for it in own]
        audit.record(tx, tenant_id, *events, key=own[0].audit_key, now=now)


def _event(report: Report, unverified: int) -> OutcomesReported:
    batch = report.batch
    counts = Counter(outcome.outcome for outcome in batch.outcomes)
    return OutcomesReported(
        client=report.client_id,
        resource=batch.resource,
        batch=batch.name,
        digest=entropy.digest(batch.statement),
        reporter=batch.reporter,
        sequence=batch.sequence,
        outcomes=len(batch.outcomes),
        failed=counts["error"],
        denied=counts["denied"],
        unverified=unverified,
        lost=batch.lost,
    )
