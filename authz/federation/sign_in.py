"""From a verified identity to a session, in one transaction: replay, account, groups, session, trail.

A refusal takes back all that it began, and is told to the trail in a transaction of its own.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import LoginFailed, LoginSucceeded
from authz.db.models import Connection, ReplayKey
from authz.db.racing import add_unless_there
from authz.directory.assurance import UNKNOWN_TIME, acr_of
from authz.directory.linking import LinkRefused, link
from authz.directory.sessions import open_session
from authz.federation.connections import ACTIVE
from authz.federation.connector import Finished

NO_ACCOUNT = "You have no access here. Ask an administrator of this service."
"""The one sentence for everybody whom nobody here may let in; the reason is in the log."""
_ACTIVE = select(Connection).where(
    Connection.id == bindparam("connection_id"), Connection.status == ACTIVE
)


@dataclass(frozen=True)
class Completed:
    """Signed in: the value of the session cookie."""

    token: str
    user_id: str

    def __repr__(self) -> str:
        return f"Completed(user_id={self.user_id!r})"


def complete(
    tx: Session,
    *,
    connection_id: str,
    finished: Finished,
    audit_key: bytes,
    lifetime: timedelta,
    now: datetime,
) -> Completed:
    """Sign somebody in. Raises LinkRefused: what was begun must not be committed."""
    # Asked again: it may have been switched off while the browser was away (CVE-2026-1486's class).
    connection = tx.scalars(_ACTIVE, {"connection_id": connection_id}).one_or_none()
    if connection is None:
        raise LinkRefused("connection_disabled")
    identity = finished.identity
    if identity.session_expires_at is not None and identity.session_expires_at <= now:
        raise LinkRefused("upstream_session_over")
    if finished.once is not None:
        key, expires_at = finished.once
        used = ReplayKey(tenant_id=connection.tenant_id, key=key, expires_at=expires_at)
        if not add_unless_there(tx, used):
            raise LinkRefused("assertion_replayed")
    linked = link(tx, connection, identity, now)
    acr = acr_of(identity.acr, identity.amr)
    token = open_session(
        tx,
        tenant_id=connection.tenant_id,
        user_id=linked.user_id,
        amr=identity.amr,
        acr=acr,
        lifetime=lifetime,
        now=now,
        auth_time=identity.auth_time or UNKNOWN_TIME,
        connection_id=connection.id,
        upstream_session=identity.session,
        upstream_expires_at=identity.session_expires_at,
    )
    succeeded = LoginSucceeded(
        subject=linked.user_id, method=connection.kind, connection=connection.slug, acr=acr
    )
    audit.record(tx, connection.tenant_id, *linked.events, succeeded, key=audit_key, now=now)
    return Completed(token, linked.user_id)


def record_refusal(
    tx: Session,
    connection: Connection,
    user_id: str,
    reason: str,
    *,
    audit_key: bytes,
    now: datetime,
) -> None:
    """Tell the trail that somebody known was refused."""
    failed = LoginFailed(
        subject=user_id, method=connection.kind, reason=reason, connection=connection.slug
    )
    audit.record(tx, connection.tenant_id, failed, key=audit_key, now=now)
