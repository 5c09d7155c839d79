"""A change that is asked for twice under one key happens once, and is answered the same (Idempotency-Key).

    claim = begin(tx, ...)      # a transaction of its own: whoever asks again meanwhile is told so
    finish(tx, claim, answer)   # with the change, so that it is answered if and only if it happened
    forget(tx, claim)           # nothing was changed; the key is free again

Decisions:
- A refusal is not kept: it changed nothing, and what is asked again may succeed by then.
- A claim whose process died can be taken over after a minute. Its `finish` would fail then, and its change with it.
- The request is kept as a keyed digest, for it may hold a password; an answer that shows a secret is not kept.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.lists import insert_once
from authz.db.models import IdempotencyKey
from authz.errors import Conflict

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=1)
_UNDER_WAY = "this very request is being performed; ask again in a moment"


class OtherRequest(Conflict):
    """The key was used for another request."""


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    body: str | None
    """None: it had a secret in it, which is shown once."""
    location: str | None = None
    etag: str | None = None


@dataclass(frozen=True)
class Claim:
    """This request is being performed, by this caller alone."""

    key: str
    claim: str


def begin(
    tx: Session,
    tenant_id: str,
    *,
    caller: str,
    key: str,
    request: bytes,
    secret: bytes,
    now: datetime,
) -> Claim | Answer:
    """Claim the key, or answer what it was answered. Raises Conflict while it is performed, OtherRequest."""
    name = entropy.digest("\x00".join((tenant_id, caller, key)))
    told = hmac.digest(secret, b"idempotency\x00" + request, "sha256").hex()
    mine = Claim(name, entropy.new_id("idm"))
    row = {
        "key": name,
        "tenant_id": tenant_id,
        "request": told,
        "claim": mine.claim,
        "claimed_at": now,
        "status": None,
        "body": None,
        "location": None,
        "etag": None,
        "expires_at": now + KEPT,
    }
    if insert_once(tx, IdempotencyKey, [row], IdempotencyKey.key):
        return mine
    found = tx.get(IdempotencyKey, name, with_for_update=True)
    is_over = found is not None and found.expires_at <= now
    if found is None or is_over:
        tx.execute(delete(IdempotencyKey).where(IdempotencyKey.key == name))
        if insert_once(tx, IdempotencyKey, [row], IdempotencyKey.key):
            return mine
        raise Conflict(_UNDER_WAY)
    if not entropy.equal(found.request, told):
        raise OtherRequest("this Idempotency-Key was used for another request; choose a new one")
    if found.status is not None:
        return Answer(found.status, found.body, found.location, found.etag)
    if now - found.claimed_at < ABANDONED:
        raise Conflict(_UNDER_WAY)
    found.claim, found.claimed_at = mine.claim, now
    tx.flush()
    return mine


def finish(tx: Session, claim: Claim, answer: Answer) -> None:
    """Keep the answer, in the transaction of the change. Raises Conflict when somebody took the claim over."""
    kept = tx.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.key == claim.key, IdempotencyKey.claim == claim.claim)
        .values(status=answer.status, body=answer.body, location=answer.location, etag=answer.etag)
        .returning(IdempotencyKey.key)
    )
    if not kept.all():
        raise Conflict("the request took too long and was asked again; nothing was done here")


def forget(tx: Session, claim: Claim) -> None:
    """Nothing was changed."""
    tx.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.key == claim.key,
            IdempotencyKey.claim == claim.claim,
            IdempotencyKey.status.is_(None),
        )
    )
