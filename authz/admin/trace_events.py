"""The events of the audit trail that belong to a story."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from authz.audit.chain import MAIN_STRAND
from authz.db.lists import among
from authz.db.models import AuditEvent

BEFORE = timedelta(seconds=2)
"""Rows and events of one moment may differ by a rounding."""
_ASKED = ("consent.granted", "code.issued", "device.approved")
_ID = re.compile(r"(?:grt|at)_[A-Za-z0-9_-]{1,61}")


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    at: datetime
    kind: str
    """Of the audit event; `tool.ok`, `tool.error` or `tool.denied` for what a server told."""
    subject: str | None
    client: str | None
    agent: str | None
    actor: str | None
    resource: str | None
    grant_id: str | None
    jti: str | None
    trace: str | None
    detail: Mapping[str, Any]
    source: str
    """Where it is written: strand and position, or the reporter's batch."""
    verified: bool | None = None
    """Of an outcome: the token was on record for the server that tells of it."""


@dataclass(frozen=True)
class Family:
    """What a grant came from."""

    id: str
    user_id: str
    client_id: str
    resource: str | None
    signed_in_at: datetime
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Cast:
    """Whose story it is: grants and tokens that were found so far."""

    grants: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    trace: str | None = None
    person: str | None = None
    is_one_token: bool = False
    """Of the grant, only what concerns these tokens."""


Found = tuple[datetime, Mapping[str, Any], str]
"""When, the body of an event, and its place."""


class Trail:
    """Reads it, once for the same question: what is asked anew hop by hop is mostly that."""

    def __init__(self, tx: Session, tenant_id: str, now: datetime) -> None:
        self._tx = tx
        self._tenant_id = tenant_id
        self._now = now
        self._asked: tuple[bool, frozenset[str], datetime] | None = None
        self._found: Sequence[Found] = ()

    def read(
        self, names: frozenset[str], people: frozenset[str] | None, since: datetime
    ) -> Sequence[Found]:
        """Events about or by the people where it is known whose story it is, else those that hold a name anywhere.

        Causes first.
        """
        by_people = people is not None
        asked = (by_people, names if people is None else people, since)
        if self._asked != asked:
            those = or_(*map(self._holds, sorted(names))) if people is None else self._of(people)
            self._asked, self._found = asked, self._read(those, since)
        return self._found

    def _read(self, those: ColumnElement[bool], since: datetime) -> Sequence[Found]:
        query = (
            select(AuditEvent.strand, AuditEvent.position, AuditEvent.at, AuditEvent.body)
            .where(
                AuditEvent.tenant_id == self._tenant_id,
                AuditEvent.at.between(since, self._now),
                those,
            )
            # What people do is written in the main strand, and what comes of it in those of the token lane.
            .order_by(
                AuditEvent.at,
                case((AuditEvent.strand == MAIN_STRAND, 0), else_=1),
                AuditEvent.strand,
                AuditEvent.position,
            )
            .execution_options(yield_per=1000)
        )
        with self._tx.execute(query) as rows:
            return [(row.at, json.loads(row.body), place(row.strand, row.position)) for row in rows]

    def _of(self, people: frozenset[str]) -> ColumnElement[bool]:
        return among(self._tx, AuditEvent.subject, people) | among(
            self._tx, AuditEvent.actor, people
        )

    def _holds(self, name: str) -> ColumnElement[bool]:
        # Each engine's quicker way: LIKE takes PostgreSQL six times as long, and SQLite half.
        if self._tx.get_bind().dialect.name == "sqlite":
            return AuditEvent.body.contains(name, autoescape=True)
        return func.strpos(AuditEvent.body, name) > 0


def events_of(
    trail: Trail,
    cast: Cast,
    families: Sequence[Family],
    owners: frozenset[str] | None,
    since: datetime,
) -> Iterator[Entry]:
    """Those of the story, causes first. `owners` are whom all of it is about, where that is known."""
    people = [it.user_id for it in families]
    named = [it for it in (cast.person, cast.trace) if it is not None]
    # Every event about a token names whose it is, so its own name is asked for only where nobody is known.
    tokens = () if people else cast.tokens
    found = trail.read(frozenset({*cast.grants, *tokens, *people, *named}), owners, since)
    before = _beginnings(found, families)
    for number, (at, body, source) in enumerate(found):
        if number in before or _belongs(body, cast, families):
            yield entry_of(at, source, body)


def _belongs(body: Mapping[str, Any], cast: Cast, families: Sequence[Family]) -> bool:
    if cast.person is not None and cast.person in (body["subject"], body["actor"]):
        return True
    if cast.trace is not None and str(body.get("trace", "")).startswith(cast.trace):
        return True
    named = ids_in(body["detail"])
    if named & cast.tokens:
        return True
    if not named & cast.grants:
        return body["kind"] == "access.ended" and _is_end(body, families)
    # Of a grant whose one token is asked for, the other tokens are another story; its refusals and its end are not.
    return not (cast.is_one_token and "jti" in body["detail"])


def _is_end(body: Mapping[str, Any], families: Sequence[Family]) -> bool:
    """Whether the access that ended was that of a grant here."""
    at = datetime.fromisoformat(body["at"])
    return any(
        it.user_id == body["subject"]
        and it.revoked_at is not None
        and abs(it.revoked_at - at) <= BEFORE
        for it in families
    )


def _beginnings(found: Sequence[Found], families: Sequence[Family]) -> set[int]:
    """The sign-in, the consent and the code that each grant came from: the last ones before it that fit."""
    chosen: dict[tuple[str, str], int] = {}
    for number, (at, body, _) in enumerate(found):
        for family in families:
            kind = body["kind"]
            if body["subject"] != family.user_id or at > family.created_at + BEFORE:
                continue
            # Whom somebody else vouched for has no sign-in here, and an earlier one of theirs is none of this.
            is_login = kind == "login.succeeded" and abs(at - family.signed_in_at) <= BEFORE
            is_asked = kind in _ASKED and body["client"] == family.client_id
            is_here = body["detail"].get("resource") in (None, family.resource)
            if is_login or (is_asked and is_here):
                chosen[family.id, kind] = number
    return set(chosen.values())


def ids_in(value: object) -> frozenset[str]:
    """Grants and tokens that are named anywhere in a value."""
    if isinstance(value, str):
        return frozenset({value}) if _ID.fullmatch(value) else frozenset()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return frozenset[str]().union(*map(ids_in, value))
    return frozenset()


def place(strand: str, position: int) -> str:
    """Where an event is written, as people are told."""
    return f"{strand} #{position}"


def entry_of(at: datetime, source: str, body: Mapping[str, Any]) -> Entry:
    """The event that was found at a place."""
    detail = body["detail"]
    return Entry(
        at=at,
        kind=body["kind"],
        subject=body["subject"],
        client=body["client"],
        agent=body["agent"],
        actor=body["actor"],
        resource=detail.get("resource"),
        grant_id=detail.get("grant_id"),
        jti=detail.get("jti"),
        trace=body.get("trace"),
        detail=detail,
        source=source,
    )
