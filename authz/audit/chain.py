"""The hash chain, as pure functions.

    hash(n) = SHA-256( hash(n-1) "\\n" body(n) )        hash(0) = 64 zeros

`body` is canonical JSON that names its tenant, strand and position, so an event fits one place only. A head carries a
MAC under a key that is not in the database: who can write rows but has no key cannot shorten a strand unnoticed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from authz import entropy
from authz.audit.events import VERSION, Event
from authz.db.types import canonical_json
from authz.values import value

GENESIS = "0" * 64
MAIN_STRAND = "main"


@value(frozen=True)
class Head:
    """The last event of a strand."""

    position: int = 0
    hash: str = GENESIS


@value(frozen=True)
class Link:
    """One event in its place."""

    position: int
    at: datetime
    kind: str
    body: str
    hash: str
    # Copies out of the body, for searching.
    subject: str | None
    actor: str | None
    client: str | None
    resource: str | None
    reason: str | None


def link(event: Event, head: Head, *, tenant_id: str, strand: str, at: datetime) -> Link:
    """The event as the next of its strand."""
    return _link(event, head, tenant_id, strand, at, _spelled(at))


def _spelled(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _link(
    event: Event, head: Head, tenant_id: str, strand: str, at: datetime, spelled_at: str
) -> Link:
    position = head.position + 1
    # Most requests belong to no trace that anybody told of.
    trace = {} if event.trace is None else {"trace": event.trace}
    detail = event.detail()
    body = canonical_json(
        {
            "v": VERSION,
            "tenant": tenant_id,
            "strand": strand,
            "position": position,
            "at": spelled_at,
            "kind": event.kind,
            "subject": event.subject,
            "client": event.client,
            "agent": event.agent,
            "actor": event.actor,
            "detail": detail,
            **trace,
        }
    )
    return Link(
        position,
        at,
        event.kind,
        body,
        chained(head.hash, body),
        event.subject,
        event.actor,
        event.client,
        detail.get("resource"),
        detail.get("reason"),
    )


def chained(previous: str, body: str) -> str:
    """The hash of a body after a previous hash."""
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def append(
    events: Sequence[Event], head: Head, *, tenant_id: str, strand: str, at: datetime
) -> tuple[list[Link], Head]:
    """All events after the head, and the new head."""
    links, spelled_at = [], _spelled(at)
    for event in events:
        made = _link(event, head, tenant_id, strand, at, spelled_at)
        head = Head(made.position, made.hash)
        links.append(made)
    return links, head


def head_mac(key: bytes, tenant_id: str, strand: str, head: Head) -> str:
    """What proves that the head was written by a holder of the key."""
    return entropy.mac(key, "audit-head", tenant_id, strand, str(head.position), head.hash)


@value(frozen=True)
class Gap:
    """Events of a strand that retention removed."""

    before: str
    last: Head


def first_fault(
    links: Iterator[tuple[int, str, str]],
    expected: Head,
    gaps: Mapping[int, Gap] = MappingProxyType({}),
) -> tuple[int, str] | None:
    """The first position of a strand that does not hold, with the reason; None when all of it does.

    `links` yields (position, body, hash) in order of position; `gaps` are by their first position. What is in one and
    still there is about to be removed, and is nobody's concern.
    """
    head = Head()
    removed = range(0)
    for position, body, stored in links:
        while (gap := gaps.get(head.position + 1)) is not None:
            if (wrong := _wrong(gap, head)) is not None:
                return head.position, wrong
            removed, head = range(head.position + 1, gap.last.position + 1), gap.last
        if position in removed:
            continue
        if position != head.position + 1:
            return head.position + 1, "missing"
        if chained(head.hash, body) != stored:
            return position, "altered"
        head = Head(position, stored)
    while (gap := gaps.get(head.position + 1)) is not None:
        if (wrong := _wrong(gap, head)) is not None:
            return head.position, wrong
        head = gap.last
    if head.position < expected.position:
        return head.position + 1, "truncated"
    if head != expected:
        return head.position, "head does not match"
    return None


def _wrong(gap: Gap, head: Head) -> str | None:
    if gap.before != head.hash:
        return "not what removed events followed"
    # Whoever can write rows could send the reader back to here for ever.
    return "what was removed behind it is nothing" if gap.last.position <= head.position else None
