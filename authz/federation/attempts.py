"""Browsers that were sent to an identity provider: bound to the browser, answered once, forgotten after ten minutes.

Nothing is stored before the person pressed the button for it (MCP-AS-95, MCP-AS-96).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningDelete

from authz import entropy
from authz.db import direct
from authz.db.models import SignInAttempt
from authz.db.statements import Insert
from authz.federation.connector import Wish

LIFETIME = timedelta(minutes=10)
TICKET_LIFETIME = timedelta(minutes=1)
_INSERT = Insert(SignInAttempt.__table__)  # type: ignore[arg-type]


def _taken(*conditions: ColumnElement[bool]) -> ReturningDelete[Any]:
    """By the table, and written once: the ORM takes several times as long for each."""
    it = SignInAttempt.__table__.c
    return (
        delete(SignInAttempt.__table__)  # type: ignore[arg-type]
        .where(
            it.digest == bindparam("digest"),
            it.tenant_id == bindparam("tenant_id"),
            it.connection_id == bindparam("connection_id"),
            it.expires_at > bindparam("now"),
            *conditions,
        )
        .returning(it.connection_id, it.browser, it.continuation, it.asked, it.kept, it.created_at)
    )


_TAKE = _taken()
_TAKE_FOR_BROWSER = _taken(SignInAttempt.__table__.c.browser == bindparam("browser"))


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
    row = {
        "digest": entropy.digest(state),
        "tenant_id": tenant_id,
        "connection_id": attempt.connection_id,
        "browser": attempt.browser,
        "continuation": dict(attempt.continuation),
        "asked": asdict(attempt.wish),
        "kept": dict(attempt.kept),
        "created_at": attempt.started_at,
        "expires_at": now + lifetime,
    }
    direct.write(tx, _INSERT([_INSERT.row(row)]))


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
    of = {
        "digest": entropy.digest(state),
        "tenant_id": tenant_id,
        "connection_id": connection_id,
        "now": now,
    }
    if browser is None:
        row = tx.connection().execute(_TAKE, of).one_or_none()
    else:
        of["browser"] = entropy.digest(browser)
        row = tx.connection().execute(_TAKE_FOR_BROWSER, of).one_or_none()
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
