"""The streams of a receiver, in the caller's transaction. Raises OAuthError."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.models import EventStream
from authz.errors import InvalidRequest, TooManyRequests
from authz.oauth.transmitting.events import SUPPORTED, position_of
from authz.oauth.transmitting.requests import (
    POLL,
    PUSH,
    Wanted,
    delivered,
    unsupported_delivery,
)
from authz.revocations.hub import Reader
from authz.revocations.numbering import head_of

MOST = 5
"""Streams of one client."""
MOST_REMOVED = 10_000
VERIFY_EVERY = timedelta(seconds=10)
_MOST_VERIFICATIONS = 10


class UnknownStream(InvalidRequest):
    """There is none of this name that is the caller's; another's is none."""

    status = 404

    def __init__(self) -> None:
        super().__init__("there is no such stream", reason="stream_unknown")


@dataclass(frozen=True)
class Place:
    """How far a stream is, and what goes into it."""

    stream_id: str
    enabled: bool
    position: int
    delivered: frozenset[str]
    acknowledged: frozenset[str]
    removed: frozenset[str]
    verifications: tuple[tuple[str, str | None], ...]


def create(tx: Session, reader: Reader, wanted: Wanted, now: datetime) -> EventStream:
    """One that begins now: what ended before is in the feed."""
    _check_delivery(None, wanted)
    count = tx.scalars(
        select(func.count())
        .select_from(EventStream)
        .where(EventStream.tenant_id == reader.tenant_id, EventStream.client_id == reader.client_id)
    ).one()
    if count >= MOST:
        raise InvalidRequest(f"a client has {MOST} streams at most", reason="streams_too_many")
    row = EventStream(
        id=entropy.new_id("stm"),
        tenant_id=reader.tenant_id,
        client_id=reader.client_id,
        description=wanted.description,
        requested=list(wanted.requested or ()),
        status="enabled",
        reason=None,
        position=head_of(tx, reader.tenant_id),
        acknowledged=[],
        removed=[],
        verifications=[],
        failures=0,
        created_at=now,
        updated_at=now,
    )
    tx.add(row)
    tx.flush()
    return row


def find_all(tx: Session, reader: Reader) -> Sequence[EventStream]:
    """All of the caller's."""
    return tx.scalars(
        select(EventStream)
        .where(EventStream.tenant_id == reader.tenant_id, EventStream.client_id == reader.client_id)
        .order_by(EventStream.created_at, EventStream.id)
    ).all()


def load(tx: Session, reader: Reader, stream_id: str) -> EventStream:
    """One of the caller's, locked. Raises UnknownStream."""
    row = tx.scalars(
        select(EventStream)
        .where(
            EventStream.id == stream_id,
            EventStream.tenant_id == reader.tenant_id,
            EventStream.client_id == reader.client_id,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise UnknownStream
    return row


def change(row: EventStream, wanted: Wanted, now: datetime, *, whole: bool) -> None:
    """Take over what is asked for; `whole` takes what is not named as not wanted (PUT)."""
    _check_delivery(row.push_url, wanted)
    if whole or wanted.requested is not None:
        row.requested = list(wanted.requested or ())
    if whole or wanted.description is not None:
        row.description = wanted.description
    row.updated_at = now


def _check_delivery(push_url: str | None, wanted: Wanted) -> None:
    if wanted.delivery is None:
        return
    method, url = wanted.delivery.get("method"), wanted.delivery.get("endpoint_url")
    if method != (POLL if push_url is None else PUSH) or (push_url is not None and url != push_url):
        raise unsupported_delivery()


def set_status(row: EventStream, status: str, reason: str | None, now: datetime) -> None:
    """Events of while it is paused wait, as long as the tokens they are about could live."""
    row.status, row.reason, row.updated_at = status, reason, now
    # Whoever switches it on has seen to what was wrong.
    row.failures, row.retry_at = 0, None


def take_out(row: EventStream, subject: str) -> None:
    """No more events about them. Whoever is named, known or not, the answer is one."""
    if subject not in row.removed and len(row.removed) < MOST_REMOVED:
        row.removed = [*row.removed, subject]


def take_in(row: EventStream, subject: str) -> None:
    """Events about them again."""
    row.removed = [it for it in row.removed if it != subject]


def ask_for_verification(row: EventStream, state: str | None, now: datetime) -> None:
    """Tell the stream about itself. Raises TooManyRequests."""
    last = max((datetime.fromisoformat(it["at"]) for it in row.verifications), default=None)
    if len(row.verifications) >= _MOST_VERIFICATIONS or (
        last is not None and now < last + VERIFY_EVERY
    ):
        raise TooManyRequests(
            "too many verifications", reason="verifications_too_many", retry_after=10
        )
    made = {"jti": entropy.new_id("set"), "state": state, "at": now.isoformat()}
    row.verifications = [*row.verifications, made]


def acknowledge(row: EventStream, names: Iterable[str]) -> None:
    """These have arrived; names that were never told are none."""
    done = set(names)
    places = {it for it in done if (position_of(row.id, it) or 0) > row.position}
    if places - set(row.acknowledged):
        row.acknowledged = sorted({*row.acknowledged, *places})
    left = [it for it in row.verifications if it["jti"] not in done]
    if len(left) != len(row.verifications):
        row.verifications = left


def move_on(row: EventStream, position: int) -> None:
    """Everything up to here is done."""
    if position <= row.position:
        return
    row.position = position
    row.acknowledged = [it for it in row.acknowledged if (position_of(row.id, it) or 0) > position]


def place_of(row: EventStream) -> Place:
    """As it is in this transaction."""
    return Place(
        row.id,
        row.status == "enabled",
        row.position,
        frozenset(delivered(row.requested)),
        frozenset(row.acknowledged),
        frozenset(row.removed),
        tuple((it["jti"], it["state"]) for it in row.verifications),
    )


def described(row: EventStream, *, issuer: str, poll_url: str) -> dict[str, Any]:
    """The configuration as the receiver is told (SSF §8.1.1)."""
    told: dict[str, Any] = {
        "stream_id": row.id,
        "iss": issuer,
        "aud": row.client_id,
        "delivery": (
            {"method": POLL, "endpoint_url": poll_url}
            if row.push_url is None
            else {"method": PUSH, "endpoint_url": row.push_url}
        ),
        "events_supported": list(SUPPORTED),
        "events_requested": row.requested,
        "events_delivered": delivered(row.requested),
        "min_verification_interval": int(VERIFY_EVERY.total_seconds()),
    }
    return told if row.description is None else {**told, "description": row.description}


def status_of(row: EventStream) -> dict[str, Any]:
    """SSF §8.1.2."""
    told = {"stream_id": row.id, "status": row.status}
    return told if row.reason is None else {**told, "reason": row.reason}
