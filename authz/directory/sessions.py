"""Browser sessions: a random cookie, stored by digest, ended by the clock, by the person or with the account."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Transaction

from authz import entropy
from authz.db import direct
from authz.db.models import Session, User
from authz.db.statements import Insert
from authz.directory.assurance import Authentication
from authz.directory.users import may_act

MARK_CHARS = 16
_INSERT = Insert(Session.__table__)  # type: ignore[arg-type]


@dataclass(frozen=True)
class SignedIn:
    """A live session of an active person."""

    digest: str
    user_id: str
    login: str
    name: str
    auth_time: datetime
    amr: tuple[str, ...]
    acr: str | None
    connection_id: str | None
    """None: the local directory."""
    signed_in_at: datetime
    """When this session began; `auth_time` is when the person last proved who they are, perhaps elsewhere."""
    upstream_expires_at: datetime | None

    @property
    def authentication(self) -> Authentication:
        """As policy sees it."""
        return Authentication(self.auth_time, self.acr, self.connection_id)

    @property
    def mark(self) -> str:
        """Names the session in a URL of ours; good for nothing else."""
        return self.digest[:MARK_CHARS]


def mark_of(token: str) -> str:
    """The mark of the session behind this cookie."""
    return entropy.digest(token)[:MARK_CHARS]


def open_session(
    tx: Transaction,
    *,
    tenant_id: str,
    user_id: str,
    amr: tuple[str, ...],
    acr: str | None,
    lifetime: timedelta,
    now: datetime,
    auth_time: datetime | None = None,
    connection_id: str | None = None,
    upstream_session: str | None = None,
    upstream_expires_at: datetime | None = None,
) -> str:
    """A new session's cookie value. Always a new one at sign-in, whatever the browser brought (ATK-16).

    It ends with the identity provider's own session, where that has an end (OIDC-08). `auth_time` is now unless an
    identity provider says that the person proved who they are before.
    """
    expires_at = now + lifetime
    if upstream_expires_at is not None:
        expires_at = min(expires_at, upstream_expires_at)
    token = entropy.new_token("ses")
    row = {
        "digest": entropy.digest(token),
        "tenant_id": tenant_id,
        "user_id": user_id,
        "auth_time": auth_time or now,
        "acr": acr,
        "amr": list(amr),
        "connection_id": connection_id,
        "upstream_session": upstream_session,
        "upstream_expires_at": upstream_expires_at,
        "created_at": now,
        "expires_at": expires_at,
        "ended_at": None,
    }
    tx.flush()
    direct.write(tx, _INSERT([_INSERT.row(row)]))
    return token


def find_session(
    tx: Transaction, *, tenant_id: str, token: str | None, now: datetime
) -> SignedIn | None:
    """The session behind a cookie, if it lives and its person is active in this tenant."""
    if not token or len(token) > 128:
        return None
    row = tx.execute(
        select(Session, User)
        .join(User, (User.id == Session.user_id) & (User.tenant_id == Session.tenant_id))
        .where(
            Session.digest == entropy.digest(token),
            Session.tenant_id == tenant_id,
            Session.ended_at.is_(None),
            Session.expires_at > now,
        )
    ).one_or_none()
    if row is None:
        return None
    session, user = row
    if not may_act(user.status, user.cut_at, session.created_at):
        return None
    return SignedIn(
        digest=session.digest,
        user_id=user.id,
        login=user.login,
        name=user.name,
        auth_time=session.auth_time,
        amr=tuple(session.amr),
        acr=session.acr,
        connection_id=session.connection_id,
        signed_in_at=session.created_at,
        upstream_expires_at=session.upstream_expires_at,
    )


def hold(tx: Transaction, digest: str) -> bool:
    """Whether the session still lives. If so, it lives until this transaction ends.

    For whoever makes something that stands on a session which they read before: it could end between the two, and
    what is made then would be nobody's to end.
    """
    held = tx.execute(
        select(Session.digest)
        .where(Session.digest == digest, Session.ended_at.is_(None))
        .with_for_update(read=True)
    )
    return held.first() is not None


def end_session(tx: Transaction, digest: str, now: datetime) -> None:
    """Sign out."""
    tx.execute(
        update(Session)
        .where(Session.digest == digest, Session.ended_at.is_(None))
        .values(ended_at=now)
    )
