"""Signing in with a password of the local directory: throttled, uniform, and audited for accounts that exist.

Unknown names and wrong passwords get the same sentence after the same work (ATK-64, ATK-65). So do people whose domain
has to use its connection: only a break-glass account of such a domain gets in here, and everybody is told.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import BreakGlassUsed, Event, LoginFailed, LoginSucceeded
from authz.db import Database
from authz.db.models import Domain, User
from authz.directory.assurance import PASSWORD
from authz.directory.linking import domain_of
from authz.directory.sessions import open_session
from authz.directory.users import MAX_LOGIN_CHARS, normal_login
from authz.errors import TooManyRequests
from authz.limits import Bucket, Guesses, short
from authz.passwords import verify_password
from authz.telemetry.metrics import BREAK_GLASS

log = structlog.get_logger()

REFUSED = "That name and password do not match."
TOO_MANY = "Too many attempts. Wait a moment, then try again."
METHOD = "password"


@dataclass(frozen=True)
class Refused:
    """Not signed in. `retry_after` is in seconds when the budget of this name or address is used up."""

    sentence: str = REFUSED
    retry_after: int | None = None


@dataclass(frozen=True)
class Opened:
    """Signed in: the value of the session cookie."""

    token: str
    user_id: str

    def __repr__(self) -> str:
        return f"Opened(user_id={self.user_id!r})"


class LocalLogin:
    """One per process; holds the budgets."""

    def __init__(self, database: Database, *, session_lifetime: timedelta) -> None:
        self._database = database
        self._session_lifetime = session_lifetime
        self._guesses = Guesses(
            "sign_ins",
            "account",
            pair=Bucket(burst=10, every=timedelta(seconds=30)),
            address=Bucket(burst=50, every=timedelta(seconds=3)),
            subject=Bucket(burst=50, every=timedelta(seconds=10)),
        )
        # 19 MiB and a core each: more at once would only make everybody wait longer.
        self._hashing = threading.BoundedSemaphore(4)
        # Who waits holds one of the threads that make every other page, so few may (ATK-62).
        self._queue = threading.BoundedSemaphore(16)

    def sign_in(
        self,
        *,
        tenant_id: str,
        audit_key: bytes,
        login: str,
        password: str,
        address: str,
        now: datetime,
    ) -> Opened | Refused:
        """Check and open a session."""
        login = normal_login(login[:MAX_LOGIN_CHARS])
        account, present = f"{tenant_id}\x00{short(login)}", now.timestamp()
        try:
            self._guesses.spend("login", account, address, present)
        except TooManyRequests as error:
            return Refused(TOO_MANY, error.retry_after)
        with self._database.read() as tx:
            user = tx.scalars(
                select(User).where(User.tenant_id == tenant_id, User.login == login)
            ).one_or_none()
            domain = None if user is None else _mandatory_domain(tx, user)
        if not self._queue.acquire(blocking=False):
            return Refused(TOO_MANY, 1)
        try:
            with self._hashing:
                is_right = verify_password(password, user.password_hash if user else None)
        finally:
            self._queue.release()
        if user is None:
            return Refused()
        refusal = None
        if not is_right:
            refusal = "password_wrong"
        elif user.status != "active":
            refusal = "account_disabled"
        elif domain is not None and not user.is_break_glass:
            refusal = "connection_mandatory"
        if refusal is not None:
            with self._database.write() as tx:
                failed = LoginFailed(subject=user.id, method=METHOD, reason=refusal)
                audit.record(tx, tenant_id, failed, key=audit_key, now=now)
            return Refused()
        with self._database.write() as tx:
            token = open_session(
                tx,
                tenant_id=tenant_id,
                user_id=user.id,
                amr=("pwd",),
                acr=PASSWORD,
                lifetime=self._session_lifetime,
                now=now,
            )
            events: list[Event] = [LoginSucceeded(subject=user.id, method=METHOD, acr=PASSWORD)]
            if domain is not None:
                # Loudly: nobody uses the emergency door unseen.
                events.append(BreakGlassUsed(subject=user.id, domain=domain))
                log.warning("login.break_glass", user=user.id, domain=domain)
                BREAK_GLASS.inc()
            audit.record(tx, tenant_id, *events, key=audit_key, now=now)
        self._guesses.right(account, address)
        return Opened(token, user.id)


def _mandatory_domain(tx: Session, user: User) -> str | None:
    """The domain of this person, by login or by address, if it has to use its connection."""
    names = {name for it in (user.login, user.email) if (name := domain_of(it)) is not None}
    return tx.scalars(
        select(Domain.name).where(
            Domain.tenant_id == user.tenant_id,
            Domain.name.in_(names),
            Domain.verified_at.is_not(None),
            Domain.is_mandatory,
        )
    ).first()
