"""Change control: where a tenant demands two people, one asks for a change of policy and another approves it.

Owns requests for changes: proposed, approved, refused, withdrawn, and applied at their moment. What a change does is
its operation's, called with the stored arguments by `operations.perform`.

Decisions:
- The demand is enforced by `Operator.must`, so no page, API or script of somebody who administers goes round it. Who
  has the machine's shell has the database, and needs nobody.
- A change is tried before it is asked for, and rolled back: what could not be applied is refused to its author, now.
- It is applied with the permissions its operation takes and no other, whatever its author may by then. Who approves is
  never who asked, whichever roles they hold (V3).
- Anybody who may approve can stop what is scheduled until its moment.
- Who gains and who loses by it is computed when it is asked for (`change_trials`), and kept with it. Whoever approves
  it approves that: where policy moved since, it is computed again, and has to be what was seen. Who says nothing of
  what they saw approves what was kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import change_evidence, change_trials, operations
from authz.admin.change_evidence import Evidence
from authz.admin.change_trials import Trial
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.db import Database
from authz.db.models import ChangeRequest, User
from authz.errors import AuthzError, Conflict, Forbidden, Invalid, NotFound, about
from authz.policy.administration import Permission

OPEN, SCHEDULED, APPLIED = "open", "scheduled", "applied"
REFUSED, WITHDRAWN, FAILED = "refused", "withdrawn", "failed"
STATUSES = (OPEN, SCHEDULED, APPLIED, REFUSED, WITHDRAWN, FAILED)
MAX_REASON_CHARS = 1000
_AT_ONCE = 100


@dataclass(frozen=True)
class ChangeLine:
    """One request."""

    id: str
    operation: str
    arguments: Mapping[str, Any]
    reason: str
    status: str
    author: str
    author_login: str | None
    version: int
    activate_at: datetime | None
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str
    applied_at: datetime | None


@dataclass(frozen=True)
class ChangeDetails(ChangeLine):
    """One request, with what it does to everybody."""

    evidence: Evidence | None
    is_current: bool
    """Whether nothing was changed since that was computed."""


def propose(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    operation: str,
    arguments: Mapping[str, Any],
    reason: str,
    activate_at: datetime | None = None,
    trial: Trial | None = None,
) -> ChangeLine:
    """Ask for a change of policy. Raises what the change itself would raise. `trial` is that of `try_ahead`.

    Where the tenant demands nobody's approval, it is applied at once, or at its moment.
    """
    known = operations.load(operation)
    if not known.is_policy:
        raise Invalid(f"{operation} is no change of policy; it is done at once, by who may")
    said = _reason(reason)
    if activate_at is not None and activate_at <= operator.now:
        raise Invalid(
            f"{activate_at.isoformat()} is in the past; leave it out for now", field="activate_at"
        )
    alone = replace(operator, needs_second=False)
    with about("arguments"):
        made = change_trials.made(tx, alone, tenant_id, operation, arguments, trial)
    row = ChangeRequest(
        id=entropy.new_id("chg"),
        tenant_id=tenant_id,
        operation=operation,
        arguments=dict(arguments),
        reason=said,
        status=OPEN if operator.needs_second else SCHEDULED,
        author=operator.name,
        author_id=operator.user_id,
        version=made.version,
        activate_at=activate_at,
        created_at=operator.now,
        note="",
    )
    tx.add(row)
    tx.flush()
    values = {"operation": operation, "reason": said}
    operator.changed(tx, tenant_id, "change.propose", row.id, values)
    # Asking moved the number, and nothing else.
    asked = change_trials.version_of(tx, tenant_id)
    row.evidence = change_evidence.as_json(change_evidence.make(made.effects, asked))
    if row.status == SCHEDULED and activate_at is None:
        _apply(tx, operator, row)
    return _line(tx, row)


def try_ahead(
    database: Database,
    operator: Operator,
    tenant_id: str,
    operation: str,
    arguments: Mapping[str, Any],
) -> Trial | None:
    """For `propose`: count before its transaction. None where there is nothing to count."""
    known = operations.OPERATIONS.get(operation)
    if known is None or not known.is_policy:
        return None
    alone = replace(operator, needs_second=False)
    return change_trials.ahead(database, alone, tenant_id, operation, arguments)


def try_again_ahead(
    database: Database,
    operator: Operator,
    tenant_id: str,
    change_id: str,
    *,
    if_stale: bool = False,
) -> Trial | None:
    """For `foresee`; for `approve`, only where what is kept is of another version than the present one."""
    with database.read() as tx:
        row = tx.get(ChangeRequest, change_id)
        if (
            row is None
            or row.tenant_id != tenant_id
            or row.status not in (OPEN, SCHEDULED)
            or not may_foresee(operator, is_own=_is_own(row, operator))
            or (if_stale and _is_current(tx, row))
        ):
            return None
    return change_trials.ahead(
        database, _author(operator, row), tenant_id, row.operation, row.arguments
    )


def may_foresee(operator: Operator, *, is_own: bool) -> bool:
    """Whoever decides, or could have asked, or did; what is kept with the change becomes another by it."""
    return (
        operator.may(Permission.POLICY_APPROVE) or operator.may(Permission.POLICY_WRITE) or is_own
    )


def foresee(
    tx: Session, operator: Operator, tenant_id: str, change_id: str, *, trial: Trial | None = None
) -> ChangeDetails:
    """Compute anew who gains and who loses, as policy is now. Raises what the change itself would raise."""
    operator.must_see(Permission.READ)
    row = _locked(tx, tenant_id, change_id)
    if not may_foresee(operator, is_own=_is_own(row, operator)):
        raise Forbidden(
            "this is for whoever writes or approves policy; what was computed is there to be read",
            permission=Permission.POLICY_APPROVE,
        )
    if row.status not in (OPEN, SCHEDULED):
        raise Conflict(f"the change {change_id} is {row.status} already")
    _renew(tx, operator, row, trial)
    return _details(tx, row)


def approve(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    change_id: str,
    *,
    note: str = "",
    seen: str | None = None,
    trial: Trial | None = None,
) -> ChangeLine:
    """Let it happen: now, or at its moment. Raises Forbidden for whoever asked for it.

    Where something was changed since it was computed who gains and who loses, it is computed anew and kept with the
    decision. `seen` is the digest of what was looked at, or it is what was kept; Conflict is raised where it comes to
    something else by now.
    """
    operator.must(Permission.POLICY_APPROVE)
    row = _locked(tx, tenant_id, change_id)
    if row.status != OPEN:
        raise Conflict(f"the change {change_id} is {row.status} already")
    if _is_own(row, operator):
        raise Forbidden(
            "whoever asked for a change cannot approve it; somebody else has to",
            permission=Permission.POLICY_APPROVE,
        )
    evidence = kept = change_evidence.of_json(row.evidence)
    if kept is None or kept.version != change_trials.hold(tx, tenant_id):
        evidence = _renew(tx, operator, row, trial)
    # Nobody approves what nobody looked at, so who does not say what they saw takes what is kept.
    if evidence is None or evidence.digest != (seen or (kept and kept.digest)):
        raise Conflict(
            "who gains and who loses by this is not what you saw: policy was changed since; look again"
        )
    row.decided_by, row.decided_at, row.note = operator.name, operator.now, _note(note)
    row.status = SCHEDULED
    tx.flush()
    values = {"operation": row.operation, "author": row.author}
    operator.changed(tx, tenant_id, "change.approve", row.id, values)
    if row.activate_at is None or row.activate_at <= operator.now:
        _apply(tx, operator, row)
    return _line(tx, row)


def refuse(
    tx: Session, operator: Operator, tenant_id: str, change_id: str, *, note: str = ""
) -> ChangeLine:
    """Stop it, also one that is approved and waits for its moment."""
    operator.must(Permission.POLICY_APPROVE)
    return _end(tx, operator, tenant_id, change_id, REFUSED, note)


def withdraw(
    tx: Session, operator: Operator, tenant_id: str, change_id: str, *, note: str = ""
) -> ChangeLine:
    """Take back what one asked for oneself."""
    operator.must_see(Permission.READ)
    if not _is_own(_find(tx, tenant_id, change_id), operator):
        raise Forbidden(
            "only whoever asked for a change withdraws it; an approver refuses it",
            permission=Permission.POLICY_APPROVE,
        )
    return _end(tx, operator, tenant_id, change_id, WITHDRAWN, note)


def apply_due(tx: Session, operator: Operator, tenant_id: str) -> list[ChangeLine]:
    """Apply what is approved and whose moment has come. One that fails by now says why, and stops no other."""
    ids = tx.scalars(
        select(ChangeRequest.id)
        .where(
            ChangeRequest.tenant_id == tenant_id,
            ChangeRequest.status == SCHEDULED,
            ChangeRequest.activate_at <= operator.now,
        )
        .order_by(ChangeRequest.activate_at, ChangeRequest.id)
        .limit(_AT_ONCE)
    ).all()
    done = []
    for change_id in ids:
        row = _locked(tx, tenant_id, change_id)
        if row.status != SCHEDULED:
            continue
        attempt = tx.begin_nested()
        try:
            _apply(tx, operator, row)
        except AuthzError as error:
            attempt.rollback()
            row.status, row.note, row.applied_at = FAILED, str(error), operator.now
            tx.flush()
            operator.changed(tx, tenant_id, "change.fail", change_id, {"operation": row.operation})
        else:
            attempt.commit()
        done.append(_line(tx, row))
    return done


def page(
    tx: Session,
    tenant_id: str,
    *,
    statuses: Sequence[str] = STATUSES,
    matching: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[ChangeLine]:
    """The youngest first; those whose operation, reason or author holds `matching`."""
    check_limit(limit)
    rows = tx.scalars(
        select(ChangeRequest)
        .where(
            ChangeRequest.tenant_id == tenant_id,
            ChangeRequest.status.in_(statuses),
            *_holding(tenant_id, matching),
            *behind(after, ChangeRequest.created_at, ChangeRequest.id, descending=True),
        )
        .order_by(ChangeRequest.created_at.desc(), ChangeRequest.id.desc())
        .limit(limit + 1)
    ).all()
    lines = [_line(tx, row) for row in rows]
    return sliced(lines, limit, [cursor_of(it.created_at, it.id) for it in lines])


def _holding(tenant_id: str, text: str) -> list[ColumnElement[bool]]:
    if not text:
        return []
    authors = select(User.id).where(
        User.tenant_id == tenant_id, User.login.icontains(text, autoescape=True)
    )
    return [
        or_(
            ChangeRequest.operation.icontains(text, autoescape=True),
            ChangeRequest.reason.icontains(text, autoescape=True),
            ChangeRequest.author.icontains(text, autoescape=True),
            ChangeRequest.author_id.in_(authors),
        )
    ]


def show(tx: Session, tenant_id: str, change_id: str) -> ChangeDetails:
    """Raises NotFound."""
    return _details(tx, _find(tx, tenant_id, change_id))


def _apply(tx: Session, operator: Operator, row: ChangeRequest) -> None:
    author = _author(operator, row)
    operations.perform(tx, author, row.tenant_id, row.operation, row.arguments)
    row.status, row.applied_at = APPLIED, operator.now
    tx.flush()
    values = {"operation": row.operation, "author": row.author, "approver": row.decided_by}
    operator.changed(tx, row.tenant_id, "change.apply", row.id, values)


def _author(operator: Operator, row: ChangeRequest) -> Operator:
    """Whoever asked for it, with the permissions it takes and no other."""
    known = operations.load(row.operation)
    return Operator(
        name=row.author,
        now=operator.now,
        envelope=operator.envelope,
        permissions=frozenset({known.permission}) | known.besides,
        user_id=row.author_id,
        is_seconded=row.decided_by is not None,
        agents_per_owner=operator.agents_per_owner,
    )


def _renew(tx: Session, operator: Operator, row: ChangeRequest, trial: Trial | None) -> Evidence:
    author = _author(operator, row)
    made = change_trials.made(
        tx, author, row.tenant_id, row.operation, row.arguments, trial
    )  # fmt: skip
    before = change_evidence.of_json(row.evidence)
    moved_from = None if before is None else before.moved_since(made.version)
    evidence = change_evidence.make(made.effects, made.version, moved_from)
    row.evidence = change_evidence.as_json(evidence)
    tx.flush()
    return evidence


def _end(
    tx: Session, operator: Operator, tenant_id: str, change_id: str, status: str, note: str
) -> ChangeLine:
    row = _locked(tx, tenant_id, change_id)
    if row.status not in (OPEN, SCHEDULED):
        raise Conflict(f"the change {change_id} is {row.status} already")
    row.status, row.note = status, _note(note)
    row.decided_by, row.decided_at = operator.name, operator.now
    tx.flush()
    values = {"operation": row.operation, "author": row.author}
    operator.changed(tx, tenant_id, f"change.{status}", row.id, values)
    return _line(tx, row)


def _is_own(row: ChangeRequest, operator: Operator) -> bool:
    """By person as well as by name: somebody at the console and through the API is one person."""
    is_same_person = operator.user_id is not None and row.author_id == operator.user_id
    return is_same_person or row.author == operator.name


def _find(tx: Session, tenant_id: str, change_id: str) -> ChangeRequest:
    row = tx.get(ChangeRequest, change_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no change {change_id!r}; `authz changes list` shows them")
    return row


def _locked(tx: Session, tenant_id: str, change_id: str) -> ChangeRequest:
    """Two who decide at once wait for each other, and the second finds it decided."""
    row = _find(tx, tenant_id, change_id)
    tx.refresh(row, with_for_update=True)
    return row


def _reason(text: str) -> str:
    said = text.strip()
    if not said:
        raise Invalid(
            "say why: whoever approves it and whoever reads it later needs the reason",
            field="reason",
        )
    with about("reason"):
        return _note(said)


def _note(text: str) -> str:
    said = text.strip()
    if len(said) > MAX_REASON_CHARS:
        raise Invalid(
            f"the text has {len(said)} characters, more than {MAX_REASON_CHARS}", field="note"
        )
    if "\x00" in said:
        raise Invalid("the text has a NUL character", field="note")
    return said


def _details(tx: Session, row: ChangeRequest) -> ChangeDetails:
    evidence = change_evidence.of_json(row.evidence)
    line = vars(_line(tx, row))
    return ChangeDetails(**line, evidence=evidence, is_current=_is_current(tx, row))


def _is_current(tx: Session, row: ChangeRequest) -> bool:
    evidence = change_evidence.of_json(row.evidence)
    if evidence is None:
        return False
    return evidence.version == change_trials.version_of(tx, row.tenant_id)


def _line(tx: Session, row: ChangeRequest) -> ChangeLine:
    login = None
    if row.author_id is not None:
        login = tx.scalar(select(User.login).where(User.id == row.author_id))
    return ChangeLine(
        id=row.id,
        operation=row.operation,
        arguments=row.arguments,
        reason=row.reason,
        status=row.status,
        author=row.author,
        author_login=login,
        version=row.version,
        activate_at=row.activate_at,
        created_at=row.created_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
        applied_at=row.applied_at,
    )
