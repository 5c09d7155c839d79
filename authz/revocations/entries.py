"""Writing entries: what ended, in the transaction that ends it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.lists import insert_all
from authz.db.models import IssuedToken, RevocationEntry, Tenant
from authz.db.versions import bump

GRANT, TOKEN = "grant", "token"
CLIENT, CONNECTION, RESOURCE, TENANT = "client_id", "connection", "aud", "tenant"
"""Kinds that are called like the claim that tells the tokens."""
BY_ID = (GRANT, TOKEN)
LONGEST_TOKEN = timedelta(days=1)
"""No access token lives longer (`settings.Tokens`): how long a switch is told of."""
LEEWAY = timedelta(minutes=1)
"""How much longer than a token an entry about it is told: verifiers are lenient, and their clocks differ."""


@dataclass(frozen=True)
class Died:
    """A live access token that has just been ended."""

    jti: str
    family_id: str
    subject: str
    resource_id: str
    expires_at: datetime


def end_tokens(
    tx: Session, tenant_id: str, which: ColumnElement[bool], now: datetime
) -> list[Died]:
    """End the live access tokens of the tenant that this is true of, and tell of their grants. Answers the tokens.

    What another transaction is minting is for the caller to keep out by locks; `switch_off` needs none.
    """
    died = _end(tx, tenant_id, which, now)
    last: dict[tuple[str, str], Died] = {}
    for it in died:
        place = it.family_id, it.resource_id
        if place not in last or last[place].expires_at < it.expires_at:
            last[place] = it
    entries = [
        _entry(
            tenant_id,
            GRANT,
            it.family_id,
            now,
            it.expires_at,
            resource_id=it.resource_id,
            subject=it.subject,
        )
        for _, it in sorted(last.items())
    ]
    insert_all(tx, RevocationEntry, entries)
    return died


def switch_off(
    tx: Session,
    tenant_id: str,
    kind: str,
    names: Iterable[str],
    which: ColumnElement[bool],
    now: datetime,
    *,
    resource_id: str | None = None,
) -> None:
    """End everything so far with these values of the claim `kind`, whatever is being minted meanwhile.

    `which` are the records of the same tokens: they stay ended when it is switched on again. Call it after other rows
    were locked: it changes the configuration version, which locks the tenant.
    """
    listed = sorted(set(names))
    if not listed:
        return
    _end(tx, tenant_id, which, now)
    bump(tx, tenant_id)
    version = tx.scalars(select(Tenant.config_version).where(Tenant.id == tenant_id)).one()
    # Minted under other settings, perhaps.
    latest = tx.scalars(select(func.max(IssuedToken.expires_at))).one()
    expires_at = max(now + LONGEST_TOKEN, latest or now)
    entries = [
        _entry(tenant_id, kind, name, now, expires_at, version=version, resource_id=resource_id)
        for name in listed
    ]
    insert_all(tx, RevocationEntry, entries)


def claim_digest(value: str) -> str:
    """How the value of a claim is told to servers that may not know it."""
    return hashlib.sha256(value.encode()).hexdigest()


def _end(tx: Session, tenant_id: str, which: ColumnElement[bool], now: datetime) -> list[Died]:
    rows = tx.execute(
        update(IssuedToken)
        .where(
            IssuedToken.tenant_id == tenant_id,
            which,
            IssuedToken.revoked_at.is_(None),
            IssuedToken.expires_at > now,
        )
        .values(revoked_at=now)
        .returning(
            IssuedToken.jti,
            IssuedToken.family_id,
            IssuedToken.subject,
            IssuedToken.resource_id,
            IssuedToken.expires_at,
        )
        .execution_options(synchronize_session=False)
    )
    return [Died(*row) for row in rows]


def _entry(
    tenant_id: str,
    kind: str,
    value: str,
    now: datetime,
    expires_at: datetime,
    *,
    version: int | None = None,
    resource_id: str | None = None,
    subject: str | None = None,
) -> dict[str, object]:
    return {
        "id": entropy.new_id("rev"),
        "tenant_id": tenant_id,
        "position": None,
        "kind": kind,
        "value": value,
        "before_version": version,
        "resource_id": resource_id,
        "subject": subject,
        "created_at": now,
        "expires_at": expires_at,
    }
