"""How people sign in: as they did last, or as they would."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db.models import Identity, User
from authz.db.models import Session as BrowserSession
from authz.directory.assurance import PASSWORD, Authentication


@dataclass(frozen=True)
class SignIn:
    """How the person would have signed in."""

    auth_time: datetime
    acr: str | None = None
    amr: tuple[str, ...] = ()
    connection_id: str | None = None

    @property
    def authentication(self) -> Authentication:
        """As policy sees it."""
        return Authentication(self.auth_time, self.acr, self.connection_id)


def latest(tx: Session, person: User, now: datetime) -> tuple[SignIn, str]:
    """As in their latest session, or the way that is open to them; and where that is from, in words."""
    session = tx.scalars(
        select(BrowserSession)
        .where(
            BrowserSession.tenant_id == person.tenant_id,
            BrowserSession.user_id == person.id,
        )
        .order_by(BrowserSession.created_at.desc(), BrowserSession.digest)
        .limit(1)
    ).one_or_none()
    if session is not None:
        is_live = session.ended_at is None and session.expires_at > now
        made = SignIn(
            session.auth_time if is_live else now,
            session.acr,
            tuple(session.amr),
            session.connection_id,
        )
        return made, "as in their session" if is_live else "as they last did, but just now"
    if person.password_hash is not None:
        return usual(None, now), "as if they had just signed in"
    connection_id = tx.scalars(
        select(Identity.connection_id)
        .where(Identity.user_id == person.id)
        .order_by(Identity.last_sign_in_at.desc(), Identity.connection_id)
        .limit(1)
    ).one_or_none()
    return usual(connection_id, now), "as if they had just signed in"


def usual(connection_id: str | None, now: datetime) -> SignIn:
    """What an identity provider says of its sign-ins is known when it says it."""
    if connection_id is None:
        return SignIn(now, PASSWORD, ("pwd",))
    return SignIn(now, connection_id=connection_id)
