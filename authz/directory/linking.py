"""Which account somebody has who was vouched for by an identity provider, and which groups that puts them into.

Decisions (CONF-12):
- (connection, subject) is the key. An address, a name or a login never is one (OIDC-07, ATK-26).
- An address helps once: to take over the one account nobody is linked to yet, where the connection owns the verified
  domain and vouches for the address. Break-glass accounts are never taken over.
- What an identity provider says of groups counts through explicit mappings only; the rest is forgotten at once, so a
  token never grows with somebody's groups (ATK-28).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit.events import Event, IdentityLinked, UserProvisioned
from authz.db import direct
from authz.db.models import Connection, Domain, Identity, User
from authz.db.racing import add_unless_there
from authz.db.statements import AnyOf, Query, Update
from authz.directory.mapping import map_groups
from authz.directory.users import MAX_LOGIN_CHARS, normal_login
from authz.errors import Invalid

MAX_SUBJECT_CHARS = 512
_MAX_NAME_CHARS = 200
# Written once, and without objects: nearly everybody who signs in is known, and nothing of them changes.
_DOMAIN = Query(
    select(Domain.verified_at, Domain.is_mandatory, Domain.connection_id)
    .where(AnyOf(Domain.tenant_id, "tenants"))
    .where(AnyOf(Domain.name, "names"))
)
_KNOWN = Query(
    select(User.id, User.status, User.name, User.email)
    .join(Identity, Identity.user_id == User.id)
    .where(AnyOf(Identity.tenant_id, "tenants"))
    .where(AnyOf(Identity.connection_id, "connections"))
    .where(AnyOf(Identity.subject, "subjects"))
)
_SIGNED_IN = Update(
    Identity.__table__,  # type: ignore[arg-type]
    keys=["tenant_id", "connection_id", "subject"],
    assign=["last_sign_in_at"],
)
_SAID = Update(
    User.__table__,  # type: ignore[arg-type]
    keys=["id"],
    assign=["name", "email", "updated_at"],
)


@dataclass(frozen=True)
class UpstreamIdentity:
    """Somebody as a connector verified them; nothing in here is believed beyond its connection."""

    subject: str
    """Unique within the connection for ever: what the connector composes where one claim does not do."""
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Text values by claim, for mappings; whatever was not text, or lists of text, is left out."""
    auth_time: datetime | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    session: str | None = None
    """The identity provider's name of its session: `sid`, `SessionIndex`."""
    session_expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "UpstreamIdentity(***)"


class LinkRefused(Exception):
    """Nobody here, or nobody who may sign in this way; `reason` is a slug, `user_id` known for a known account."""

    def __init__(self, reason: str, user_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.user_id = user_id


@dataclass(frozen=True)
class Linked:
    """The account, and what came about on the way."""

    user_id: str
    events: tuple[Event, ...]


def link(tx: Session, connection: Connection, identity: UpstreamIdentity, now: datetime) -> Linked:
    """The account of this identity, made or taken over where the connection may. Raises LinkRefused."""
    if not 1 <= len(identity.subject) <= MAX_SUBJECT_CHARS or "\x00" in identity.subject:
        raise LinkRefused("subject_unusable")
    tx.flush()
    _check_domain(tx, connection, identity)
    events: list[Event] = []
    known = _find(tx, connection, identity.subject)
    if known is None:
        known, events = _first_sign_in(tx, connection, identity, now)
    if known.status != "active":
        raise LinkRefused("account_disabled", known.user_id)
    if not events:
        direct.write(tx, _SIGNED_IN([(connection.tenant_id, connection.id, identity.subject, now)]))
    _refresh(tx, known, identity, now)
    mapped = map_groups(tx, connection, known.user_id, identity.claims)
    return Linked(known.user_id, (*events, *mapped))


def domain_of(address: str | None) -> str | None:
    """What stands behind the one `@` of an address, as domains are stored."""
    local, at, domain = (address or "").rpartition("@")
    return domain.lower().rstrip(".") if at and local and domain and "@" not in local else None


@dataclass(frozen=True)
class _Known:
    """An account that an identity leads to."""

    user_id: str
    status: str
    name: str
    email: str | None


def _find(tx: Session, connection: Connection, subject: str) -> _Known | None:
    found = direct.fetch(
        tx,
        _KNOWN(tenants=[connection.tenant_id], connections=[connection.id], subjects=[subject]),
    )
    return _Known(*found[0]) if found else None


def _check_domain(tx: Session, connection: Connection, identity: UpstreamIdentity) -> None:
    """People of a domain that has to use one connection do not come in by a weaker one (M2)."""
    name = domain_of(identity.email)
    if name is None:
        return
    for verified_at, is_mandatory, owner in direct.fetch(
        tx, _DOMAIN(tenants=[connection.tenant_id], names=[name])
    ):
        if verified_at is not None and is_mandatory and owner != connection.id:
            raise LinkRefused("domain_of_other_connection")


def _first_sign_in(
    tx: Session, connection: Connection, identity: UpstreamIdentity, now: datetime
) -> tuple[_Known, list[Event]]:
    taken = _linkable(tx, connection, identity)
    if taken is not None:
        made, by = [], "email"
        user = taken
    elif connection.provisions:
        user = _provision(tx, connection, identity, now)
        made, by = [UserProvisioned(subject=user.id, connection=connection.slug)], "provisioned"
    else:
        raise LinkRefused("not_provisioned")
    row = Identity(
        tenant_id=connection.tenant_id,
        connection_id=connection.id,
        subject=identity.subject,
        user_id=user.id,
        linked_by=by,
        linked_at=now,
        last_sign_in_at=now,
    )
    if not add_unless_there(tx, row):
        # The same person in two tabs: the other one's account is theirs, and the new one is nobody's.
        if taken is None:
            tx.delete(user)
            tx.flush()
        first = _find(tx, connection, identity.subject)
        if first is None:
            raise LinkRefused("not_provisioned")  # and was taken away again meanwhile
        return first, []
    known = _Known(user.id, user.status, user.name, user.email)
    return known, [*made, IdentityLinked(subject=user.id, connection=connection.slug, by=by)]


def _linkable(tx: Session, connection: Connection, identity: UpstreamIdentity) -> User | None:
    """The one account an address may take over, once."""
    name = domain_of(identity.email)
    if not connection.links_by_email or not identity.email_verified or name is None:
        return None
    domain = tx.get(Domain, (connection.tenant_id, name))
    if domain is None or domain.verified_at is None or domain.connection_id != connection.id:
        return None
    address = normal_login(identity.email or "")
    found = tx.scalars(
        select(User)
        .where(
            User.tenant_id == connection.tenant_id,
            or_(User.login == address, User.email == address),
        )
        .with_for_update()
    ).all()
    unlinked = [
        user
        for user in found
        if not user.is_break_glass
        and not tx.scalars(select(Identity.subject).where(Identity.user_id == user.id)).first()
    ]
    if len(unlinked) != 1:
        return None
    if unlinked[0].status != "active":
        # Not a new account beside the one that was closed.
        raise LinkRefused("account_disabled", unlinked[0].id)
    return unlinked[0]


def _provision(
    tx: Session, connection: Connection, identity: UpstreamIdentity, now: datetime
) -> User:
    user_id = entropy.new_id("usr")
    for login in _logins(connection, identity, user_id):
        user = User(
            id=user_id,
            tenant_id=connection.tenant_id,
            login=login,
            email=_address(identity),
            name=_name(identity) or login,
            password_hash=None,
            status="active",
            created_at=now,
            updated_at=now,
        )
        if add_unless_there(tx, user):
            return user
    raise Invalid(f"no free login for a new person of {connection.slug}")


def _logins(connection: Connection, identity: UpstreamIdentity, user_id: str) -> list[str]:
    """What a new person may be called. A login is no key: one that is taken says nothing about who they are."""
    address = _address(identity)
    wished = [address, f"{address}#{connection.slug}"] if address else []
    last = f"{user_id}#{connection.slug}".lower()
    return [it for it in wished if len(it) <= MAX_LOGIN_CHARS] + [last]


def _refresh(tx: Session, known: _Known, identity: UpstreamIdentity, now: datetime) -> None:
    """The name and the address are the identity provider's to say; neither is a key."""
    name, address = _name(identity) or known.name, _address(identity) or known.email
    if (name, address) != (known.name, known.email):
        direct.write(tx, _SAID([(known.user_id, name, address, now)]))


def _name(identity: UpstreamIdentity) -> str | None:
    name = " ".join((identity.name or "").split())[:_MAX_NAME_CHARS]
    return name if name and name.isprintable() else None


def _address(identity: UpstreamIdentity) -> str | None:
    address = normal_login(identity.email or "")
    plain = address.isprintable() and " " not in address and len(address) <= MAX_LOGIN_CHARS
    return address if plain and domain_of(address) else None
