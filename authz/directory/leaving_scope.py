"""Whom and what an end of access is about: rows by statement, and for whom each ended row counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as Transaction

from authz.db.lists import among
from authz.db.models import AuthorizationCode, DeviceCode, Session, TokenFamily
from authz.directory.departures import Leaving


@dataclass(frozen=True)
class Columns:
    """Whose a row is, and what it stands on."""

    tenant: InstrumentedAttribute[str]
    user: InstrumentedAttribute[Any]
    session: InstrumentedAttribute[Any]
    connection: InstrumentedAttribute[Any]


OF_SESSIONS = Columns(Session.tenant_id, Session.user_id, Session.digest, Session.connection_id)
OF_FAMILIES, OF_CODES, OF_DEVICES = (
    Columns(it.tenant_id, it.user_id, it.session_digest, it.connection_id)
    for it in (TokenFamily, AuthorizationCode, DeviceCode)
)


@dataclass
class Tally:
    """What ended because of one of them."""

    leaving: Leaving
    sessions: int = 0
    codes: int = 0
    tokens: int = 0
    families: list[tuple[str, str]] = field(default_factory=list)
    """Id and client of each."""


class Scope:
    """Whom and what the statements are about, and for whom each ended row counts."""

    def __init__(self, tx: Transaction, tenant_id: str, leavings: Sequence[Leaving]) -> None:
        self._tx = tx
        self.tenant_id = tenant_id
        self.tallies = [Tally(leaving) for leaving in leavings]
        self.whole = {it.user_id for it in leavings if it.is_whole}
        some = [it for it in leavings if it.user_id not in self.whole]
        self._in_sessions = {it.user_id for it in some if it.sessions is not None}
        self._sessions = {digest for it in some for digest in it.sessions or ()}
        self._by_connection: dict[str, set[str]] = {}
        for it in some:
            if it.sessions is None and it.connection_id is not None:
                self._by_connection.setdefault(it.connection_id, set()).add(it.user_id)
        self.in_part = {user_id for people in self._by_connection.values() for user_id in people}
        """Who loses what stands on one connection, and keeps the rest."""
        self._of: dict[str, list[Tally]] = {}
        for tally in self.tallies:
            self._of.setdefault(tally.leaving.user_id, []).append(tally)
        self.family_tallies: dict[str, Tally] = {}

    def rows_of(self, columns: Columns) -> ColumnElement[bool]:
        """Everything of some people; of others, what stands on some sessions of theirs, or on a connection."""
        those: list[ColumnElement[bool]] = []
        if self.whole:
            those.append(self.among(columns.user, self.whole))
        if self._in_sessions:
            those.append(
                self.among(columns.user, self._in_sessions)
                & self.among(columns.session, self._sessions)
            )
        for connection_id, people in sorted(self._by_connection.items()):
            those.append(
                self.among(columns.user, people) & (columns.connection == connection_id),
            )
        return (columns.tenant == self.tenant_id) & or_(*those)

    def among(
        self, column: InstrumentedAttribute[Any], values: Iterable[str]
    ) -> ColumnElement[bool]:
        """One of these."""
        return among(self._tx, column, values)

    def tally(self, user_id: str, session_digest: str | None, connection_id: str | None) -> Tally:
        """Whom an ended row counts for."""
        tallies = self._of[user_id]
        return next(
            (it for it in tallies if it.leaving.covers(session_digest, connection_id)), tallies[0]
        )
