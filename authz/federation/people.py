"""Who is meant by what an identity provider calls somebody: people of its own connection alone (SSF-03, BCL-03).

Decisions:
- A subject is what sign-ins of this connection are known by. An address means somebody only if exactly one person of
  this connection has it (SSF-02).
- Everything of a person ends where this connection is the only one they come from. Who has another one too, and the
  emergency account, keeps what does not stand on this one: no provider speaks for another.
- Of a named session of a named person, their sessions without a name end as well: one of them is meant, perhaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import aliased

from authz.db.lists import among
from authz.db.models import Connection, Identity, Session, User
from authz.directory.users import normal_login
from authz.federation.notices import Notice
from authz.federation.security_events import Action
from authz.federation.subjects import Identifier, Subject


@dataclass(frozen=True)
class Target:
    """A person, and what of theirs is meant."""

    user_id: str
    sessions: frozenset[str] | None
    """Digests; None: everything, or everything that stands on the connection."""
    is_only_here: bool
    """Nobody else vouches for them."""


def find_targets(
    tx: Transaction, connection: Connection, notices: Sequence[Notice]
) -> list[list[Target]]:
    """For each notice, all of this connection, the people and sessions it means: usually one person, or nobody."""
    asked = [_Asked.of(connection, notice) for notice in notices]
    found = _Found()
    found.subjects = _by_subject(tx, connection, {it.subject for it in asked if it.subject})
    found.addresses = _by_address(tx, connection, {it.address for it in asked if it.address})
    found.sessions = _by_session(tx, connection, {it.session for it in asked if it.session})
    people = {user for it in asked if (user := found.user_of(it)) is not None}
    people |= {user for rows in found.sessions.values() for _, user in rows}
    found.only_here = _only_here(tx, connection, people)
    found.unnamed = _unnamed_sessions(tx, connection, people)
    return [found.targets(it) for it in asked]


@dataclass(frozen=True)
class _Asked:
    """The names in a notice, as far as this connection knows such names."""

    subject: str | None = None
    address: str | None = None
    session: str | None = None
    is_either: bool = False
    """The subject and the session are the same name, of one or the other."""

    @classmethod
    def of(cls, connection: Connection, notice: Notice) -> "_Asked":
        subject = notice.subject
        if subject is None or not _is_of_tenant(connection, subject):
            return cls()
        if subject.either is not None:
            name = subject.either.value
            return cls(subject=name, session=name, is_either=True)
        issuers = _issuers(connection, notice)
        user = _named(subject.user, issuers)
        session = _named(subject.session, issuers)
        if (subject.user is not None and user is None) or (
            subject.session is not None and session is None
        ):
            return cls()  # it is about somebody of another issuer
        if notice.reaction.action is Action.CLOSE and user is not None:
            session = None  # an account is more than one of its sessions
        if subject.user is not None and subject.user.format == "email":
            return cls(address=normal_login(subject.user.value), session=session)
        return cls(subject=user, session=session)


def _is_of_tenant(connection: Connection, subject: Subject) -> bool:
    """Whether it is about this customer of the provider, as far as that can be told."""
    ours, theirs = connection.settings.get("tenant"), subject.tenant
    return ours is None or theirs is None or theirs.format != "opaque" or theirs.value == ours


def _issuers(connection: Connection, notice: Notice) -> set[object]:
    """Whose `sub` is a subject of this connection: its own provider's, and the transmitter's that stands in for it."""
    settings, stream = connection.settings, notice.stream
    if settings.get("subject_claim", "sub") != "sub":
        return set()
    provider = {settings.get("issuer") or settings.get("entity_id")}
    return provider if stream is None else provider | {stream.issuer}


def _named(identifier: Identifier | None, issuers: set[object]) -> str | None:
    if identifier is None or (identifier.format == "iss_sub" and identifier.issuer not in issuers):
        return None
    return identifier.value


@dataclass
class _Found:
    subjects: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)
    only_here: frozenset[str] = frozenset()
    unnamed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def user_of(self, asked: _Asked) -> str | None:
        """Whom it names."""
        if asked.address is not None:
            return self.addresses.get(asked.address)
        return None if asked.subject is None else self.subjects.get(asked.subject)

    def targets(self, asked: _Asked) -> list[Target]:
        user = self.user_of(asked)
        names_user = asked.address is not None or asked.subject is not None
        if asked.is_either and user is None:
            names_user = False
        if names_user and user is None:
            return []
        if user is not None and (asked.session is None or asked.is_either):
            return [Target(user, None, user in self.only_here)]
        by_user: dict[str, set[str]] = {}
        for digest, owner in self.sessions.get(asked.session or "", ()):
            if user in (None, owner):
                by_user.setdefault(owner, set()).add(digest)
        if user is not None and (unnamed := self.unnamed.get(user)):
            by_user.setdefault(user, set()).update(unnamed)
        return [
            Target(owner, frozenset(digests), owner in self.only_here)
            for owner, digests in sorted(by_user.items())
        ]


def _by_subject(tx: Transaction, connection: Connection, names: set[str]) -> dict[str, str]:
    if not names:
        return {}
    rows = tx.execute(
        select(Identity.subject, Identity.user_id).where(
            Identity.tenant_id == connection.tenant_id,
            Identity.connection_id == connection.id,
            among(tx, Identity.subject, names),
        )
    )
    return {row.subject: row.user_id for row in rows}


def _by_address(tx: Transaction, connection: Connection, names: set[str]) -> dict[str, str]:
    if not names:
        return {}
    rows = tx.execute(
        select(User.id, User.email, User.login)
        .join(Identity, (Identity.user_id == User.id) & (Identity.tenant_id == User.tenant_id))
        .where(
            Identity.tenant_id == connection.tenant_id,
            Identity.connection_id == connection.id,
            or_(among(tx, User.email, names), among(tx, User.login, names)),
        )
    )
    owners: dict[str, set[str]] = {}
    for row in rows:
        for name in {row.email, row.login} & names:
            owners.setdefault(name, set()).add(row.id)
    return {name: next(iter(users)) for name, users in owners.items() if len(users) == 1}


def _by_session(
    tx: Transaction, connection: Connection, names: set[str]
) -> dict[str, list[tuple[str, str]]]:
    if not names:
        return {}
    rows = tx.execute(
        select(Session.upstream_session, Session.digest, Session.user_id).where(
            Session.tenant_id == connection.tenant_id,
            Session.connection_id == connection.id,
            among(tx, Session.upstream_session, names),
        )
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row.upstream_session or "", []).append((row.digest, row.user_id))
    return found


def _only_here(tx: Transaction, connection: Connection, people: set[str]) -> frozenset[str]:
    if not people:
        return frozenset()
    other = aliased(Identity)
    return frozenset(
        tx.scalars(
            select(User.id).where(
                User.tenant_id == connection.tenant_id,
                among(tx, User.id, people),
                User.is_break_glass.is_(False),
                ~exists().where(other.user_id == User.id, other.connection_id != connection.id),
            )
        )
    )


def _unnamed_sessions(
    tx: Transaction, connection: Connection, people: set[str]
) -> dict[str, frozenset[str]]:
    """By person: their sessions of this connection without a name."""
    if not people:
        return {}
    rows = tx.execute(
        select(Session.user_id, Session.digest).where(
            Session.tenant_id == connection.tenant_id,
            Session.connection_id == connection.id,
            Session.upstream_session.is_(None),
            among(tx, Session.user_id, people),
        )
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.user_id, set()).add(row.digest)
    return {user: frozenset(digests) for user, digests in found.items()}
