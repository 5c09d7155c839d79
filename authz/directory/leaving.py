"""Ending somebody's access: every credential of exactly one person of exactly one tenant, in one transaction.

One value of the person (`users.cut_at`) ends whatever stands on a sign-in of before, also what another transaction is
issuing at this moment; everywhere a sign-in is relied upon, `directory.users.may_act` asks for it. The rows are ended
as well, because lists, feeds and the clock need to know which, and when.

Decisions:
- Many leave at once in as many statements as one: a company that closes a department sends thousands of signals.
- Locks are taken in one order, the token lane's (people, sessions, families, codes, devices), each kind by its key.
- Whoever makes something that stands on a session holds the session meanwhile (`sessions.hold`), so its end either
  sees what was made or comes first.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from time import perf_counter

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session as Transaction

from authz import entropy
from authz.audit.events import AccessEnded, FamilyRevoked
from authz.clock import Clock
from authz.db.lists import insert_all
from authz.db.models import (
    AuthorizationCode,
    AuthorizationRequest,
    Departure,
    DeviceCode,
    IssuedToken,
    Session,
    TokenFamily,
    User,
)
from authz.directory.departures import Ended, Leaving, Signal
from authz.directory.leaving_scope import (
    OF_CODES,
    OF_DEVICES,
    OF_FAMILIES,
    OF_SESSIONS,
    Scope,
    Tally,
)
from authz.revocations.entries import end_tokens
from authz.telemetry.metrics import OFFBOARDING_SECONDS

__all__ = ["Ended", "Leaving", "Signal", "end_access", "end_many", "end_sessions", "observe"]

_IN_BULK = {"synchronize_session": False}


def end_access(tx: Transaction, user: User, signal: Signal, now: datetime) -> Ended:
    """Everything of this person."""
    [ended] = end_many(tx, user.tenant_id, [Leaving(user.id, signal)], lambda: now)
    tx.refresh(user, ["cut_at"])
    return ended


def end_sessions(
    tx: Transaction, user: User, digests: Sequence[str], signal: Signal, now: datetime
) -> Ended:
    """These sessions of this person, and what was granted in them; everything else of them stays."""
    leaving = Leaving(user.id, signal, frozenset(digests))
    [ended] = end_many(tx, user.tenant_id, [leaving], lambda: now)
    return ended


def end_many(
    tx: Transaction, tenant_id: str, leavings: Sequence[Leaving], clock: Clock
) -> list[Ended]:
    """All of them, people of one tenant; what ended in their order. What two of them cover counts for the first."""
    if not leavings:
        return []
    tx.flush()
    # Inside of the transaction: what was signed in before this moment is over.
    now, began = clock(), perf_counter()
    scope = Scope(tx, tenant_id, leavings)
    _cut(tx, scope, now)
    _end_sessions(tx, scope, now)
    # Families before codes, as the token lane locks them: two orders would be a deadlock.
    _revoke_families(tx, scope, now)
    _spend_codes(tx, scope, now)
    _deny_devices(tx, scope, now)
    # A code that was being redeemed while we waited for it has made one more.
    _revoke_families(tx, scope, now)
    _revoke_tokens(tx, scope, now)
    # Some callers have one moment for all they do, and their clock would say that this took no time.
    ended_at = now + timedelta(seconds=perf_counter() - began)
    insert_all(tx, Departure, [_departure(tenant_id, it, ended_at) for it in scope.tallies])
    return [_ended(it, ended_at) for it in scope.tallies]


def observe(signals: Iterable[Signal], now: datetime) -> None:
    """Tell the clock after the commit, which only now is part of the time."""
    for signal in signals:
        elapsed = (now - signal.received_at).total_seconds()
        OFFBOARDING_SECONDS.labels(signal.source).observe(max(0.0, elapsed))


def _cut(tx: Transaction, scope: Scope, now: datetime) -> None:
    """First, and by one row each: from the commit on nothing of before counts, whoever is writing it meanwhile.

    Who keeps what stands on others is locked as well: what is being made of an assertion about them has no other row
    that an end could wait for.
    """
    whom = scope.whole | scope.in_part
    if not whom:
        return
    people = tx.execute(
        select(User.id, User.cut_at)
        .where(User.tenant_id == scope.tenant_id, scope.among(User.id, whom))
        .order_by(User.id)
        .with_for_update()
    ).all()
    # Never back: another end may have waited for less long.
    earlier = [
        it.id for it in people if it.id in scope.whole and (it.cut_at is None or it.cut_at < now)
    ]
    if earlier:
        _set(tx, User, scope.among(User.id, earlier), cut_at=now)


def _end_sessions(tx: Transaction, scope: Scope, now: datetime) -> None:
    rows = tx.execute(
        select(Session.digest, Session.user_id, Session.connection_id)
        .where(
            scope.rows_of(OF_SESSIONS),
            Session.ended_at.is_(None),
        )
        .order_by(Session.digest)
        .with_for_update()
    ).all()
    if not rows:
        return
    digests = [it.digest for it in rows]
    _set(tx, Session, scope.among(Session.digest, digests), ended_at=now)
    tx.execute(
        delete(AuthorizationRequest)
        .where(scope.among(AuthorizationRequest.session_digest, digests))
        .execution_options(**_IN_BULK)
    )
    for row in rows:
        scope.tally(row.user_id, row.digest, row.connection_id).sessions += 1


def _revoke_families(tx: Transaction, scope: Scope, now: datetime) -> None:
    rows = tx.execute(
        select(
            TokenFamily.id,
            TokenFamily.user_id,
            TokenFamily.client_id,
            TokenFamily.session_digest,
            TokenFamily.connection_id,
        )
        .where(
            scope.rows_of(OF_FAMILIES),
            TokenFamily.revoked_at.is_(None),
            TokenFamily.expires_at > now,
        )
        .order_by(TokenFamily.id)
        .with_for_update()
    ).all()
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        tally = scope.tally(row.user_id, row.session_digest, row.connection_id)
        tally.families.append((row.id, row.client_id))
        scope.family_tallies[row.id] = tally
        by_reason.setdefault(tally.leaving.signal.because, []).append(row.id)
    for because, ids in sorted(by_reason.items()):
        which = scope.among(TokenFamily.id, ids)
        _set(tx, TokenFamily, which, revoked_at=now, revoked_because=because)


def _spend_codes(tx: Transaction, scope: Scope, now: datetime) -> None:
    code = AuthorizationCode
    rows = tx.execute(
        select(code.digest, code.user_id, code.session_digest, code.connection_id)
        .where(
            scope.rows_of(OF_CODES),
            code.spent_at.is_(None),
            code.expires_at > now,
        )
        .order_by(code.digest)
        .with_for_update()
    ).all()
    if rows:
        _set(tx, code, scope.among(code.digest, [it.digest for it in rows]), spent_at=now)
    for row in rows:
        scope.tally(row.user_id, row.session_digest, row.connection_id).codes += 1


def _deny_devices(tx: Transaction, scope: Scope, now: datetime) -> None:
    device = DeviceCode
    rows = tx.execute(
        select(device.digest, device.user_id, device.session_digest, device.connection_id)
        .where(
            scope.rows_of(OF_DEVICES),
            device.status == "approved",
            device.expires_at > now,
        )
        .order_by(device.digest)
        .with_for_update()
    ).all()
    if rows:
        _set(tx, device, scope.among(device.digest, [it.digest for it in rows]), status="ended")
    for row in rows:
        scope.tally(row.user_id or "", row.session_digest, row.connection_id).codes += 1


def _revoke_tokens(tx: Transaction, scope: Scope, now: datetime) -> None:
    if not scope.family_tallies:
        return
    which = scope.among(IssuedToken.family_id, scope.family_tallies)
    for token in end_tokens(tx, scope.tenant_id, which, now):
        scope.family_tallies[token.family_id].tokens += 1


def _set(
    tx: Transaction,
    model: type[User | Session | TokenFamily | AuthorizationCode | DeviceCode],
    which: ColumnElement[bool],
    **values: object,
) -> None:
    tx.execute(update(model).where(which).values(**values).execution_options(**_IN_BULK))


def _departure(tenant_id: str, tally: Tally, now: datetime) -> dict[str, object]:
    signal = tally.leaving.signal
    return {
        "id": entropy.new_id("dep"),
        "tenant_id": tenant_id,
        "user_id": tally.leaving.user_id,
        "source": signal.source,
        "because": signal.because,
        "signalled_at": signal.received_at,
        "occurred_at": signal.occurred_at,
        "ended_at": now,
        "sessions": tally.sessions,
        "families": len(tally.families),
        "codes": tally.codes,
        "tokens": tally.tokens,
    }


def _ended(tally: Tally, now: datetime) -> Ended:
    leaving, signal = tally.leaving, tally.leaving.signal
    seconds = (now - signal.received_at).total_seconds()
    revoked = [
        FamilyRevoked(
            grant_id=family_id,
            reason=signal.because,
            subject=leaving.user_id,
            client=client_id,
            actor=signal.actor,
        )
        for family_id, client_id in tally.families
    ]
    ended = AccessEnded(
        subject=leaving.user_id,
        actor=signal.actor,
        source=signal.source,
        reason=signal.because,
        sessions=tally.sessions,
        grants=len(tally.families),
        codes=tally.codes,
        tokens=tally.tokens,
        seconds=seconds,
        via=signal.via,
        reference=signal.reference,
    )
    return Ended(
        tally.sessions,
        len(tally.families),
        tally.codes,
        tally.tokens,
        seconds,
        (*revoked, ended),
    )
