"""How far MCP servers are rolled out: what the state is, what speaks for the next one, and the step itself (S17).

Decisions:
- A wider state needs a recorded owner: somebody has to answer for what a server lets people do.
- What was observed is told and recorded with the step, and judged by a person: days and calls do not show that a server
  is safe, only that it was used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz.admin import resources
from authz.admin.operator import Operator
from authz.db.models import IssuedToken, Resource, ToolOutcome
from authz.directory import groups as directory
from authz.errors import Conflict, about
from authz.policy.administration import Permission
from authz.policy.rollout import Rollout, check, of_json
from authz.revocations.entries import RESOURCE, switch_off


@dataclass(frozen=True)
class Evidence:
    """What happened at a server since its present state began."""

    since: datetime
    days: int
    calls: int
    """Of tools, as the server reported them."""
    failed: int
    denied: int
    people: int
    """Different ones, behind those calls."""


@dataclass(frozen=True)
class RolloutLine:
    """The state of one server."""

    id: str
    identifier: str
    owner: str
    state: str
    groups: list[str]
    percent: int
    evidence: Evidence


def show(tx: Session, tenant_id: str, reference: str, now: datetime) -> RolloutLine:
    """Raises NotFound."""
    return _line(tx, resources.load(tx, tenant_id, reference), now)


def set_rollout(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    reference: str,
    *,
    state: str,
    groups: Sequence[str] = (),
    percent: int = 0,
    cut_now: bool = False,
) -> RolloutLine:
    """Move a server on, or back. Raises Conflict for a wider state without an owner.

    Whoever holds more than the new state admits loses it at the next refresh; with `cut_now` the access tokens for the
    server end at once, and clients fetch narrower ones.
    """
    row = resources.load(tx, tenant_id, reference)
    operator.must(Permission.POLICY_WRITE, resource_id=row.id)
    with about("groups"):
        found = directory.load_all(tx, tenant_id, groups)
    wanted = check(Rollout(state, frozenset(it.id for it in found), percent))
    before = of_json(row.rollout)
    if wanted.rank > before.rank and not row.owner:
        raise Conflict(
            f"nobody is recorded to own {row.identifier}; `authz resources owner` comes first"
        )
    evidence = _evidence(tx, row, operator.now)
    row.rollout = {
        "state": state,
        "groups": sorted(wanted.groups),
        "percent": percent,
        "since": operator.now.isoformat(),
    }
    tx.flush()
    if cut_now:
        of_server = IssuedToken.resource_id == row.id
        switch_off(tx, tenant_id, RESOURCE, [row.identifier], of_server, operator.now)
    values = {
        "state": state,
        "groups": [it.name for it in found],
        "percent": percent,
        "cut_now": cut_now,
        "before": before.state,
        "days": evidence.days,
        "calls": evidence.calls,
        "denied": evidence.denied,
    }
    operator.changed(tx, tenant_id, "resource.rollout", row.id, values)
    return _line(tx, row, operator.now)


def _line(tx: Session, row: Resource, now: datetime) -> RolloutLine:
    rollout = of_json(row.rollout)
    names = directory.names_by_id(tx, row.tenant_id, rollout.groups)
    return RolloutLine(
        id=row.id,
        identifier=row.identifier,
        owner=row.owner,
        state=rollout.state,
        groups=sorted(names.values()),
        percent=rollout.percent,
        evidence=_evidence(tx, row, now),
    )


def _evidence(tx: Session, row: Resource, now: datetime) -> Evidence:
    stored = row.rollout
    since = row.created_at if stored is None else datetime.fromisoformat(stored["since"])
    of_server = (ToolOutcome.resource_id == row.id, ToolOutcome.at >= since)
    counts = dict(
        tx.execute(
            select(ToolOutcome.outcome, func.count())
            .where(*of_server)
            .group_by(ToolOutcome.outcome)
        ).all()
    )
    people = tx.scalars(select(func.count(ToolOutcome.subject.distinct())).where(*of_server)).one()
    return Evidence(
        since=since,
        days=(now - since).days,
        calls=sum(counts.values()),
        failed=counts.get("error", 0),
        denied=counts.get("denied", 0),
        people=people,
    )
