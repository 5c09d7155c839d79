"""The audit trail for operators: verify it, search it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.trace_events import Entry, entry_of, place
from authz.audit.verification import CHECKPOINT_TYP, Verified
from authz.audit.verification import verify as verify_trail
from authz.db.models import AuditEvent, SigningKey
from authz.directory import users
from authz.errors import Invalid
from authz.jose import import_jwks, verify_signature
from authz.keys import AUDIT, PURPOSES
from authz.progress import UNWATCHED, Watch

_ALGORITHMS = PURPOSES[AUDIT]
_LATELY = (timedelta(days=1), timedelta(days=7))
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_PLACE = re.compile(r"([0-9]{1,17})\.([0-9]{1,18})\.([A-Za-z0-9_-]{1,64})")


@dataclass(frozen=True)
class Page:
    """Part of what was searched for."""

    entries: Sequence[Entry]
    names: Mapping[str, str]
    """Logins of the people in it, by id."""
    next: str | None
    """Where the page after begins; None at the end."""


@dataclass(frozen=True, order=True)
class _Place:
    """Where in the order of time an event stands; strands that were written at once stand by name."""

    at: datetime
    strand: str
    position: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{self.position}.{self.strand}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Invalid."""
        written = _PLACE.fullmatch(text)
        if written is None:
            raise Invalid("this is not where a page of the trail ends")
        at = _EPOCH + int(written[1]) * _MICROSECOND
        return cls(at, written[3], int(written[2]))

    def is_before(self) -> ColumnElement[bool]:
        """Of an event: it stands further back."""
        columns = tuple_(AuditEvent.at, AuditEvent.strand, AuditEvent.position)
        # The first part alone is what an index on the time can be read from.
        return (AuditEvent.at <= self.at) & (columns < (self.at, self.strand, self.position))


def verify(
    tx: Session, operator: Operator, tenant_id: str, *, watch: Watch = UNWATCHED
) -> Verified:
    """Check every event, strand, head and checkpoint of the tenant, in a snapshot; names the first fault."""
    # Every audit key there ever was: a checkpoint outlives the private part of the key that signed it.
    keys = [
        key
        for jwk in tx.scalars(
            select(SigningKey.public_jwk).where(
                SigningKey.tenant_id == tenant_id, SigningKey.purpose == AUDIT
            )
        )
        for key in import_jwks({"keys": [jwk]}, algorithms=_ALGORITHMS)
    ]

    def check(statement: str) -> None:
        verify_signature(statement, keys, typ=CHECKPOINT_TYP, algorithms=_ALGORITHMS)

    key = operator.audit_key(tx, tenant_id)
    return verify_trail(tx, tenant_id, key=key, check_signature=check, watch=watch)


def search(
    tx: Session,
    tenant_id: str,
    *,
    person: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    client: str | None = None,
    resource: str | None = None,
    kind: str | None = None,
    reason: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Events that answer to everything given, newest first. `person` is whom they are about or who did it.

    `after` is the `next` of the page before. Raises Invalid for one that was not made here.
    """
    exact = {
        AuditEvent.subject: subject,
        AuditEvent.actor: actor,
        AuditEvent.client: client,
        AuditEvent.resource: resource,
        AuditEvent.kind: kind,
        AuditEvent.reason: reason,
    }
    asked = [column == value for column, value in exact.items() if value is not None]
    if since is not None:
        asked.append(AuditEvent.at >= since)
    if until is not None:
        asked.append(AuditEvent.at < until)
    begin = None if after is None else _Place.parse(after)
    if begin is not None:
        asked.append(begin.is_before())
    if not (person or subject or actor or reason) and (kind or client or resource):
        end = until if begin is None else begin.at
        found = _newest_of_few(tx, tenant_id, asked, limit + 1, end)
    else:
        # Questions that each have an index: to one about either, the planner would read the trail instead.
        either = [[it] for it in _about(person)] if person else [[]]
        found = {
            at: entry
            for also in either
            for at, entry in _newest(tx, tenant_id, [*asked, *also], limit + 1)
        }
    places = sorted(found, reverse=True)[:limit]
    entries = [found[it] for it in places]
    people = {name for it in entries for name in (it.subject, it.actor) if name is not None}
    return Page(
        entries,
        names_of(tx, tenant_id, people),
        str(places[-1]) if len(found) > limit else None,
    )


def names_of(tx: Session, tenant_id: str, actors: Iterable[str]) -> dict[str, str]:
    """Logins of the people among them, also of those who came through the console or the API."""
    ids = {it: it.rpartition(":")[2] for it in actors}
    logins = users.logins(tx, tenant_id, ids.values())
    return {it: logins[person] for it, person in ids.items() if person in logins}


def _about(person: str) -> list[ColumnElement[bool]]:
    """It is about them, or they did it: as themselves, at the console or through the API."""
    by = [AuditEvent.actor == name for name in (person, f"console:{person}", f"api:{person}")]
    return [AuditEvent.subject == person, *by]


def _newest_of_few(
    tx: Session,
    tenant_id: str,
    asked: Sequence[ColumnElement[bool]],
    limit: int,
    end: datetime | None,
) -> dict[_Place, Entry]:
    """What has no index of its own: in the last day, then in the last week, then in all that is asked.

    What is rare as a whole is often not so lately, which no planner knows: it would read the whole trail at once.
    """
    if end is None:
        newest = select(func.max(AuditEvent.at)).where(AuditEvent.tenant_id == tenant_id)
        end = tx.scalars(newest).one()
    for span in _LATELY if end is not None else ():
        lately = AuditEvent.at >= shortly_before(end, span)
        found = dict(_newest(tx, tenant_id, [*asked, lately], limit))
        if len(found) >= limit:
            return found
    return dict(_newest(tx, tenant_id, asked, limit))


def shortly_before(moment: datetime, span: timedelta) -> datetime:
    """So much earlier; where there is no such moment, the first there is."""
    first = datetime.min.replace(tzinfo=UTC)
    return moment - span if moment - first > span else first


def _newest(
    tx: Session, tenant_id: str, asked: Sequence[ColumnElement[bool]], limit: int
) -> list[tuple[_Place, Entry]]:
    rows = tx.execute(
        select(AuditEvent.at, AuditEvent.strand, AuditEvent.position, AuditEvent.body)
        .where(AuditEvent.tenant_id == tenant_id, *asked)
        .order_by(AuditEvent.at.desc(), AuditEvent.strand.desc(), AuditEvent.position.desc())
        .limit(limit)
    )
    return [
        (_Place(at, strand, position), entry_of(at, place(strand, position), json.loads(body)))
        for at, strand, position, body in rows
    ]
