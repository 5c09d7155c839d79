"""What happened, in order: login, consent, issuance, tool calls, exchange, refusals, the end (S5, S16, E8).

Asked for by a grant, a token, a trace or a person. Joined by the ids that events and outcomes carry, by nobody's clock
alone: an event belongs to a story because it names a grant or token of it, because its request named the trace, or
because it is the sign-in, consent or code that the grant came from.

Decisions:
- Whatever names an id of another grant in its detail joins the two: a token that was exchanged tells of both, so the
  hop after belongs to the story of the one before, whatever grant type made it.
- The trail is read by the people whose grants they are, who have an index, and else over a span of time; not by an
  index of ids: such an index would be a row for every id of every event, written by whom the token endpoint waits for,
  so that a question asked once a month is quick.
- Outcomes are marked where the token was not on record for the server that tells of it. They are shown: who looks into
  an incident has to see that somebody invented one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from authz.admin.trace_events import BEFORE, Cast, Entry, Family, Trail, events_of, ids_in
from authz.db.lists import among
from authz.db.models import (
    IssuedToken,
    OutcomeBatch,
    Resource,
    TokenFamily,
    ToolOutcome,
)
from authz.directory import users
from authz.errors import NotFound
from authz.telemetry.traceparent import read_traceparent

GRANT, TOKEN, TRACE, PERSON = "grant", "token", "trace", "person"
FAR_BACK = timedelta(days=30)
"""How far a question about a trace or a person looks, unless it says so itself."""
MOST = 2000
"""Entries; a longer story is told from its beginning, and says that it goes on."""
_MAX_HOPS = 8
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Story:
    """All of it, in order."""

    about: str
    kind: str
    entries: Sequence[Entry]
    is_whole: bool
    names: Mapping[str, str] = field(default_factory=dict)
    """Logins of the people in it, by id."""


def tell(
    tx: Session, tenant_id: str, reference: str, now: datetime, *, since: datetime | None = None
) -> Story:
    """The story of a grant id, a `jti`, a traceparent or trace id, or a login or user id. Raises NotFound."""
    kind, cast = _cast(tx, tenant_id, reference)
    begin = since or _long_before(tx, tenant_id, cast, now)
    if kind in (TRACE, PERSON):
        cast = _seen(tx, tenant_id, cast, begin)
    entries: list[Entry] = []
    trail = Trail(tx, tenant_id, now)
    for _ in range(_MAX_HOPS):
        families = _families(tx, tenant_id, cast)
        first = since or _first(tx, tenant_id, cast, families, begin)
        owners = _owners(tx, tenant_id, cast, families)
        events = events_of(trail, cast, families, owners, first - BEFORE)
        entries = [*events, *_outcomes(tx, tenant_id, cast, begin)]
        wider = _widened(tx, tenant_id, cast, entries)
        if wider == cast:
            break
        cast = wider
    if not entries:
        raise NotFound(
            f"nothing is on record here of the {kind} {reference!r} since "
            f"{begin.isoformat(timespec='seconds')}; look further back with --since"
        )
    # Of what happened at once, the cause is written first: the order of the trail, then of the reports.
    told = sorted(entries, key=lambda it: (it.at, it.verified is not None))
    people = {name for it in told for name in (it.subject, it.actor) if name is not None}
    return Story(
        reference, kind, told[:MOST], len(told) <= MOST, users.logins(tx, tenant_id, people)
    )


def _cast(tx: Session, tenant_id: str, reference: str) -> tuple[str, Cast]:
    trace = read_traceparent(reference)
    if trace is not None:
        return TRACE, Cast(trace=trace.trace_id)
    if _TRACE_ID.fullmatch(reference):
        return TRACE, Cast(trace=reference)
    if reference.startswith("grt_"):
        return GRANT, Cast(grants=frozenset({reference}))
    if reference.startswith("at_"):
        token = tx.get(IssuedToken, reference)
        is_ours = token is not None and token.tenant_id == tenant_id
        grants = frozenset({token.family_id}) if token is not None and is_ours else frozenset[str]()
        return TOKEN, Cast(grants, frozenset({reference}), is_one_token=True)
    return PERSON, Cast(person=users.load(tx, tenant_id, reference).id)


def _long_before(tx: Session, tenant_id: str, cast: Cast, now: datetime) -> datetime:
    """From where to look if nobody says. A trace is over in minutes: a day before what servers told of it will do."""
    query = select(func.min(ToolOutcome.at)).where(
        ToolOutcome.tenant_id == tenant_id, ToolOutcome.trace_id == cast.trace
    )
    told = None if cast.trace is None else tx.scalars(query).one()
    return now - FAR_BACK if told is None else told - timedelta(days=1)


def _seen(tx: Session, tenant_id: str, cast: Cast, begin: datetime) -> Cast:
    """The grants and tokens that a trace or a person was seen with."""
    if cast.person is not None:
        query = select(TokenFamily.id).where(
            TokenFamily.tenant_id == tenant_id,
            TokenFamily.user_id == cast.person,
            or_(TokenFamily.created_at >= begin, TokenFamily.rotated_at >= begin),
        )
        return replace(cast, grants=frozenset(tx.scalars(query)))
    tokens = tx.execute(
        select(ToolOutcome.jti, ToolOutcome.grant_id).where(
            ToolOutcome.tenant_id == tenant_id, ToolOutcome.trace_id == cast.trace
        )
    ).all()
    return replace(
        cast,
        tokens=frozenset(row.jti for row in tokens),
        grants=frozenset(row.grant_id for row in tokens if row.grant_id),
        is_one_token=True,
    )


def _families(tx: Session, tenant_id: str, cast: Cast) -> Sequence[Family]:
    rows = tx.execute(
        select(
            TokenFamily.id,
            TokenFamily.user_id,
            TokenFamily.client_id,
            Resource.identifier,
            TokenFamily.signed_in_at,
            TokenFamily.created_at,
            TokenFamily.revoked_at,
        )
        .join(Resource, Resource.id == TokenFamily.resource_id, isouter=True)
        .where(TokenFamily.tenant_id == tenant_id, among(tx, TokenFamily.id, cast.grants))
    )
    return [Family(*row) for row in rows]


def _owners(
    tx: Session, tenant_id: str, cast: Cast, families: Sequence[Family]
) -> frozenset[str] | None:
    """Whom every event of the story is about; None where that cannot be said."""
    # Of a trace, anybody's; and a grant that is not on record any more may have been somebody else's.
    if cast.trace is not None:
        return None
    known = {it.id: it.user_id for it in families}
    without = cast.grants - known.keys()
    if without:
        tokens = select(IssuedToken.family_id, IssuedToken.subject).where(
            IssuedToken.tenant_id == tenant_id, among(tx, IssuedToken.family_id, without)
        )
        known.update((row.family_id, row.subject) for row in tx.execute(tokens))
    if not cast.grants <= known.keys():
        return None
    people = set(known.values()) | ({cast.person} if cast.person is not None else set())
    return frozenset(people) or None


def _first(
    tx: Session, tenant_id: str, cast: Cast, families: Sequence[Family], begin: datetime
) -> datetime:
    """The moment from which something of it may be in the trail: there may be years before."""
    issued = tx.scalars(
        select(func.min(IssuedToken.issued_at)).where(
            IssuedToken.tenant_id == tenant_id,
            or_(
                among(tx, IssuedToken.jti, cast.tokens),
                among(tx, IssuedToken.family_id, cast.grants),
            ),
        )
    ).one()
    known = [it.signed_in_at for it in families] + ([] if issued is None else [issued])
    if cast.trace is not None or cast.person is not None or not known:
        known.append(begin)
    return min(known)


# -- what servers told -------------------------------------------------------------------------------------


def _outcomes(tx: Session, tenant_id: str, cast: Cast, begin: datetime) -> Iterator[Entry]:
    query = (
        select(ToolOutcome, OutcomeBatch.reporter, OutcomeBatch.sequence, Resource.identifier)
        .join(OutcomeBatch, OutcomeBatch.id == ToolOutcome.batch_id)
        .join(Resource, Resource.id == ToolOutcome.resource_id, isouter=True)
        .where(ToolOutcome.tenant_id == tenant_id, _asked(tx, cast, begin))
        .order_by(ToolOutcome.at, ToolOutcome.batch_id, ToolOutcome.position)
        .limit(MOST + 1)
    )
    for row, reporter, sequence, identifier in tx.execute(query):
        own = {
            "tool": row.tool,
            "reason": row.reason,
            "duration_ms": row.duration_ms,
            "arguments_sha256": row.arguments_digest,
        }
        yield Entry(
            at=row.at,
            kind=f"tool.{row.outcome}",
            subject=row.subject,
            client=row.client_id,
            agent=None,
            actor=None,
            resource=identifier,
            grant_id=row.grant_id,
            jti=row.jti,
            trace=None if row.trace_id is None else f"{row.trace_id}-{row.span_id}",
            detail={name: value for name, value in own.items() if value is not None},
            source=f"{reporter} {sequence}.{row.position + 1}",
            verified=row.verified,
        )


def _asked(tx: Session, cast: Cast, begin: datetime) -> ColumnElement[bool]:
    if cast.trace is not None:
        return ToolOutcome.trace_id == cast.trace
    if cast.person is not None:
        return (ToolOutcome.subject == cast.person) & (ToolOutcome.at >= begin)
    of_tokens = among(tx, ToolOutcome.jti, cast.tokens)
    if cast.is_one_token:
        return of_tokens
    return of_tokens | among(tx, ToolOutcome.grant_id, cast.grants)


# -- hops --------------------------------------------------------------------------------------------------


def _widened(tx: Session, tenant_id: str, cast: Cast, entries: Sequence[Entry]) -> Cast:
    """With what the entries say was exchanged from, or into, what is here already."""
    grants, tokens = set(cast.grants), set(cast.tokens)
    for entry in entries:
        # A server's word joins nothing.
        if entry.verified is not None:
            continue
        if cast.trace is not None and entry.grant_id is not None:
            grants.add(entry.grant_id)
        if entry.jti is not None and entry.grant_id in cast.grants and not cast.is_one_token:
            tokens.add(entry.jti)
        named = ids_in(entry.detail)
        # What names others than its own is a hop: all of them belong together.
        if named - {entry.grant_id, entry.jti}:
            grants |= {name for name in named if name.startswith("grt_")}
            tokens |= {name for name in named if name.startswith("at_")}
    parents = tx.scalars(
        select(IssuedToken.family_id).where(
            IssuedToken.tenant_id == tenant_id, among(tx, IssuedToken.jti, tokens)
        )
    )
    return replace(cast, grants=frozenset(grants | set(parents)), tokens=frozenset(tokens))
