"""Ending somebody's access: every credential of exactly one person of exactly one tenant, in one transaction.

One value of the person (`users.cut_at`) ends whatever stands on a sign-in of before, also what another transaction is
issuing at this moment; everywhere a sign-in is relied upon, `directory.users.may_act` asks for it. The rows are ended
as well, because lists, feeds and the clock need to know which, and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Update, delete, select, update
from sqlalchemy.orm import Session as Transaction

from authz import entropy
from authz.audit.events import AccessEnded, Event, FamilyRevoked
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


@dataclass(frozen=True)
class Signal:
    """Who says that somebody's access ends, and since when."""

    source: str
    """`scim`, `logout_token`, `shared_signal` or `operator`."""
    because: str
    """A slug for the trail: `user_disabled`, `session_revoked` ..."""
    received_at: datetime
    """When it reached this server: the offboarding clock starts."""
    occurred_at: datetime | None = None
    """When it happened, as the sender says."""
    actor: str | None = None


@dataclass(frozen=True)
class Ended:
    """What ended, and what the trail has to say of it."""

    sessions: int
    families: int
    codes: int
    tokens: int
    seconds: float
    """From the signal to here; what remains is the commit."""
    events: tuple[Event, ...]


def end_access(tx: Transaction, user: User, signal: Signal, now: datetime) -> Ended:
    """Everything of this person. Whether they may come back is their status, which the caller sets."""
    # First, and by one row: from its commit on nothing of before counts, whoever is writing it meanwhile.
    user.cut_at = now
    tx.flush()
    return _end(
        tx,
        user,
        signal,
        now,
        sessions=Session.user_id == user.id,
        families=TokenFamily.user_id == user.id,
        codes=AuthorizationCode.user_id == user.id,
        devices=DeviceCode.user_id == user.id,
    )


def end_sessions(
    tx: Transaction, user: User, digests: Sequence[str], signal: Signal, now: datetime
) -> Ended:
    """These sessions of this person, and what was granted in them; everything else of them stays."""
    return _end(
        tx,
        user,
        signal,
        now,
        sessions=Session.digest.in_(digests),
        families=TokenFamily.session_digest.in_(digests),
        codes=AuthorizationCode.session_digest.in_(digests),
        devices=DeviceCode.session_digest.in_(digests),
    )


def _end(
    tx: Transaction,
    user: User,
    signal: Signal,
    now: datetime,
    *,
    sessions: ColumnElement[bool],
    families: ColumnElement[bool],
    codes: ColumnElement[bool],
    devices: ColumnElement[bool],
) -> Ended:
    ended = list(
        tx.scalars(
            update(Session)
            .where(Session.tenant_id == user.tenant_id, sessions, Session.ended_at.is_(None))
            .values(ended_at=now)
            .returning(Session.digest)
        )
    )
    if ended:
        tx.execute(
            delete(AuthorizationRequest).where(AuthorizationRequest.session_digest.in_(ended))
        )
    # Families before codes, each in key order, as the token lane locks them: two orders would be a deadlock.
    revoked = _revoke(tx, user, families, signal, now)
    codes_ended = _spend(tx, user, codes, devices, now)
    # A code that was being redeemed while we waited for it has made one more.
    revoked += _revoke(tx, user, families, signal, now)
    tokens = 0
    if revoked:
        tokens = _count(
            tx,
            update(IssuedToken)
            .where(
                IssuedToken.family_id.in_([it.id for it in revoked]),
                IssuedToken.revoked_at.is_(None),
                IssuedToken.expires_at > now,
            )
            .values(revoked_at=now),
        )
    seconds = (now - signal.received_at).total_seconds()
    tx.add(
        Departure(
            id=entropy.new_id("dep"),
            tenant_id=user.tenant_id,
            user_id=user.id,
            source=signal.source,
            because=signal.because,
            signalled_at=signal.received_at,
            occurred_at=signal.occurred_at,
            ended_at=now,
            sessions=len(ended),
            families=len(revoked),
            codes=codes_ended,
            tokens=tokens,
        )
    )
    tx.flush()
    events: list[Event] = [
        FamilyRevoked(
            grant_id=it.id,
            reason=signal.because,
            subject=user.id,
            client=it.client_id,
            actor=signal.actor,
        )
        for it in revoked
    ]
    events.append(
        AccessEnded(
            subject=user.id,
            actor=signal.actor,
            source=signal.source,
            reason=signal.because,
            sessions=len(ended),
            grants=len(revoked),
            codes=codes_ended,
            tokens=tokens,
            seconds=seconds,
        )
    )
    return Ended(len(ended), len(revoked), codes_ended, tokens, seconds, tuple(events))


def _revoke(
    tx: Transaction, user: User, which: ColumnElement[bool], signal: Signal, now: datetime
) -> list[TokenFamily]:
    live = list(
        tx.scalars(
            select(TokenFamily)
            .where(
                TokenFamily.tenant_id == user.tenant_id,
                which,
                TokenFamily.revoked_at.is_(None),
                TokenFamily.expires_at > now,
            )
            .order_by(TokenFamily.id)
            .with_for_update()
        )
    )
    for family in live:
        family.revoked_at, family.revoked_because = now, signal.because
    tx.flush()
    return live


def _spend(
    tx: Transaction,
    user: User,
    codes: ColumnElement[bool],
    devices: ColumnElement[bool],
    now: datetime,
) -> int:
    spent = _count(
        tx,
        update(AuthorizationCode)
        .where(
            AuthorizationCode.tenant_id == user.tenant_id,
            codes,
            AuthorizationCode.spent_at.is_(None),
            AuthorizationCode.expires_at > now,
        )
        .values(spent_at=now),
    )
    return spent + _count(
        tx,
        update(DeviceCode)
        .where(
            DeviceCode.tenant_id == user.tenant_id,
            devices,
            DeviceCode.status == "approved",
            DeviceCode.expires_at > now,
        )
        .values(status="denied"),
    )


def _count(tx: Transaction, statement: Update) -> int:
    return int(tx.execute(statement).rowcount)  # type: ignore[attr-defined]
