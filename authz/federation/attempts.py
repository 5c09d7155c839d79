"""Browsers that were sent to an identity provider: bound to the browser, answered once, forgotten after ten minutes.

Nothing is stored before the person pressed the button for it (MCP-AS-95, MCP-AS-96).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.models import SignInAttempt
from authz.federation.connector import Wish

LIFETIME = timedelta(minutes=10)
TICKET_LIFETIME = timedelta(minutes=1)


@dataclass(frozen=True)
class Attempt:
    """A sign-in that is under way."""

    connection_id: str
    continuation: Mapping[str, Any]
    wish: Wish
    kept: Mapping[str, Any]
    browser: str
    """Digest of the cookie of the browser that began it."""
    started_at: datetime

    def __repr__(self) -> str:
        return f"Attempt({self.connection_id!r})"


def store(
    tx: Session,
    tenant_id: str,
    attempt: Attempt,
    state: str,
    now: datetime,
    *,
    lifetime: timedelta = LIFETIME,
) -> None:
    """Keep it under the digest of `state`."""
    tx.add(
        SignInAttempt(
            digest=entropy.digest(state),
            tenant_id=tenant_id,
            connection_id=attempt.connection_id,
            browser=attempt.browser,
            continuation=dict(attempt.continuation),
            asked=asdict(attempt.wish),
            kept=dict(attempt.kept),
            created_at=attempt.started_at,
            expires_at=now + lifetime,
        )
    )


def find(
    tx: Session, tenant_id: str, connection_id: str, state: str, now: datetime
) -> Attempt | None:
    """The attempt of this connection, without spending it."""
    row = tx.scalars(
        select(SignInAttempt).where(
            SignInAttempt.digest == entropy.digest(state),
            SignInAttempt.tenant_id == tenant_id,
            SignInAttempt.connection_id == connection_id,
            SignInAttempt.expires_at > now,
        )
    ).one_or_none()
    return None if row is None else _attempt(row)


def take(
    tx: Session,
    tenant_id: str,
    connection_id: str,
    state: str,
    now: datetime,
    *,
    browser: str | None = None,
) -> Attempt | None:
    """Spend it: one statement decides who was first. With `browser` (the cookie's value) only for that browser.

    A stranger who presents somebody's state spends nothing of theirs.
    """
    conditions = [
        SignInAttempt.digest == entropy.digest(state),
        SignInAttempt.tenant_id == tenant_id,
        SignInAttempt.connection_id == connection_id,
        SignInAttempt.expires_at > now,
    ]
    if browser is not None:
        conditions.append(SignInAttempt.browser == entropy.digest(browser))
    row = tx.execute(
        delete(SignInAttempt)
        .where(*conditions)
        .returning(
            SignInAttempt.connection_id,
            SignInAttempt.browser,
            SignInAttempt.continuation,
            SignInAttempt.asked,
            SignInAttempt.kept,
            SignInAttempt.created_at,
        )
    ).one_or_none()
    return None if row is None else _attempt(row)


def _attempt(row: Any) -> Attempt:
    asked = dict(row.asked)
    asked["acr_values"] = tuple(asked["acr_values"])
    return Attempt(
        connection_id=row.connection_id,
        continuation=row.continuation,
        wish=Wish(**asked),
        kept=row.kept,
        browser=row.browser,
        started_at=row.created_at,
    )
