"""Notices of identity providers become the end of somebody's access: many at once, in one transaction.

The number of statements depends on how many connections are speaking, never on how many people they speak of. A notice
is done once, however often it is told: its key is remembered in the transaction that does it (SSF-01, BCL-01).
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import Changed, Event, StreamNoted
from authz.clock import Clock
from authz.db.claims import claim
from authz.db.lists import among
from authz.db.models import Connection, ScimRecord, Tenant, User
from authz.directory.leaving import Leaving, Signal, end_many, observe
from authz.federation import streams
from authz.federation.connections import ACTIVE
from authz.federation.notices import Notice, Outcome
from authz.federation.people import Target, find_targets
from authz.federation.security_events import SSF_REASONS, Action
from authz.telemetry.metrics import SIGNALS

log = structlog.get_logger()


_OF_NOTHING = {
    Action.NOTE: Outcome.NOTED,
    Action.IGNORE: Outcome.UNKNOWN,
    Action.DISCARD: Outcome.DISCARDED,
}


def receive(tx: Session, notices: Sequence[Notice], clock: Clock) -> list[Outcome]:
    """Do them; what came of each, in their order. The caller commits and then calls `tell`."""
    outcomes: dict[int, Outcome] = {}
    tenants = sorted({notice.tenant_id for notice in notices})
    for tenant_id in tenants:
        numbers = [n for n, notice in enumerate(notices) if notice.tenant_id == tenant_id]
        found = _receive(tx, tenant_id, [notices[n] for n in numbers], clock)
        outcomes.update(zip(numbers, found, strict=True))
    return [outcomes[n] for n in range(len(notices))]


def tell(way: str, notices: Sequence[Notice], outcomes: Sequence[Outcome], now: datetime) -> None:
    """After the commit: the clock, the counters, and the log of what the trail does not have."""
    ended = (Outcome.ENDED, Outcome.CLOSED)
    told = list(zip(notices, outcomes, strict=True))
    observe((_signal(notice) for notice, outcome in told if outcome in ended), now)
    for notice, outcome in told:
        SIGNALS.labels(way, outcome.value).inc()
        if outcome in ended:
            continue
        log.info(
            "signal.received",
            way=way,
            via=notice.via,
            because=notice.reaction.because,
            outcome=outcome.value,
            reference=notice.reference,
        )


def _receive(tx: Session, tenant_id: str, notices: Sequence[Notice], clock: Clock) -> list[Outcome]:
    outcomes = _standing(tx, tenant_id, notices)
    keys = {
        n.replay_key: n.remembered_until
        for n, it in zip(notices, outcomes, strict=True)
        if it is None
    }
    new = claim(tx, tenant_id, keys.items())
    for number, notice in enumerate(notices):
        if outcomes[number] is None and notice.replay_key not in new:
            outcomes[number] = Outcome.REPEATED
        new.discard(notice.replay_key)
    standing = [n for n, outcome in enumerate(outcomes) if outcome is None]
    if not standing:
        return [it for it in outcomes if it is not None]
    # Who is only mentioned need not be known.
    acting = [n for n in standing if notices[n].reaction.acts]
    targets = _targets(tx, [notices[n] for n in acting])
    for n in standing:
        outcomes[n] = _OF_NOTHING.get(notices[n].reaction.action)
    leavings: list[Leaving] = []
    closing: list[tuple[Notice, Target]] = []
    for number, found in zip(acting, targets, strict=True):
        notice = notices[number]
        outcomes[number] = _outcome(notice, found)
        if outcomes[number] in (Outcome.ENDED, Outcome.CLOSED):
            leavings += [_leaving(notice, it) for it in found]
        if outcomes[number] is Outcome.CLOSED:
            closing += [(notice, it) for it in found]
    events = [event for it in end_many(tx, tenant_id, leavings, clock) for event in it.events]
    events += _close(tx, tenant_id, closing, clock())
    events += [
        StreamNoted(
            stream=it.via, event=it.reaction.because, reference=it.reference, actor=_actor(it)
        )
        for n in standing
        if (it := notices[n]).reaction.because in SSF_REASONS
    ]
    if came := {s.id for n in standing if (s := notices[n].stream) is not None}:
        streams.note(tx, came, clock())
    if events:
        audit.record(tx, tenant_id, *events, key=notices[0].audit_key, now=clock())
    return [it for it in outcomes if it is not None]


def _standing(tx: Session, tenant_id: str, notices: Sequence[Notice]) -> list[Outcome | None]:
    """Whether what each was verified against still stands: asked here, because it was a moment ago."""
    connections = set(
        tx.scalars(
            select(Connection.id)
            .join(Tenant, Tenant.id == Connection.tenant_id)
            .where(
                Connection.tenant_id == tenant_id,
                Connection.id.in_({notice.connection_id for notice in notices}),
                Connection.status == ACTIVE,
                Tenant.status == ACTIVE,
            )
        )
    )
    now = streams.load_many(tx, {it.stream.id for it in notices if it.stream is not None})

    def judge(notice: Notice) -> Outcome | None:
        if notice.connection_id not in connections:
            return Outcome.OFF
        if notice.stream is None:
            return None
        stream = now.get(notice.stream.id)
        if stream is None or stream.status != streams.ACTIVE:
            return Outcome.OFF
        return None if stream == notice.stream else Outcome.STALE

    return [judge(notice) for notice in notices]


def _targets(tx: Session, notices: Sequence[Notice]) -> list[list[Target]]:
    """Each connection is asked about its own notices only (SSF-03, BCL-03)."""
    found: dict[int, list[Target]] = {}
    for connection_id in sorted({notice.connection_id for notice in notices}):
        connection = tx.get_one(Connection, connection_id)
        numbers = [n for n, it in enumerate(notices) if it.connection_id == connection_id]
        of_these = find_targets(tx, connection, [notices[n] for n in numbers])
        found.update(zip(numbers, of_these, strict=True))
    return [found[n] for n in range(len(notices))]


def _outcome(notice: Notice, targets: Sequence[Target]) -> Outcome:
    if not targets:
        return Outcome.NOBODY
    closes = notice.reaction.action is Action.CLOSE and all(
        it.is_only_here and it.sessions is None for it in targets
    )
    return Outcome.CLOSED if closes else Outcome.ENDED


def _close(
    tx: Session, tenant_id: str, closing: Sequence[tuple[Notice, Target]], now: datetime
) -> list[Event]:
    """Disable accounts; an event for each that was open."""
    if not closing:
        return []
    closed = set(
        tx.scalars(
            update(User)
            .where(
                User.tenant_id == tenant_id,
                among(tx, User.id, {target.user_id for _, target in closing}),
                User.status == ACTIVE,
            )
            .values(status="disabled", updated_at=now)
            .returning(User.id)
            .execution_options(synchronize_session=False)
        )
    )
    # The company said so: its directory may say that they are back.
    tx.execute(
        update(ScimRecord)
        .where(ScimRecord.tenant_id == tenant_id, among(tx, ScimRecord.id, closed))
        .values(may_reopen=True)
        .execution_options(synchronize_session=False)
    )
    events: list[Event] = []
    for notice, target in closing:
        if target.user_id in closed:
            closed.discard(target.user_id)
            events.append(
                Changed(
                    subject=target.user_id,
                    actor=_actor(notice),
                    what="user.status",
                    target=target.user_id,
                    values={"status": "disabled", "because": notice.reaction.because},
                )
            )
    return events


def _leaving(notice: Notice, target: Target) -> Leaving:
    """No provider speaks for another: of who comes from elsewhere too, only what stands on its own word ends."""
    is_bounded = target.sessions is None and not target.is_only_here
    connection_id = notice.connection_id if is_bounded else None
    return Leaving(target.user_id, _signal(notice), target.sessions, connection_id)


def _signal(notice: Notice) -> Signal:
    return Signal(
        source=notice.source,
        because=notice.reaction.because,
        received_at=notice.received_at,
        occurred_at=notice.occurred_at,
        actor=_actor(notice),
        via=notice.via,
        reference=notice.reference,
    )


def _actor(notice: Notice) -> str:
    kind = "connection" if notice.stream is None else "stream"
    return f"{kind}:{notice.via}"
