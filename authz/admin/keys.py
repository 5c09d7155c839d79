"""Signing keys of a tenant: the first ones, rotation, and wiping the private parts of keys that are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.db.models import SigningKey, Tenant
from authz.errors import Invalid
from authz.keys import PURPOSES, NewKey, describe, generate, seal
from authz.keys.rotation import CLOCKS_APART, KeyLife, succeed
from authz.policy.administration import Permission


@dataclass(frozen=True)
class KeyLine:
    """A key in a list."""

    id: str
    purpose: str
    algorithm: str
    state: str
    activate_at: datetime
    retire_at: datetime | None
    gone_at: datetime | None


def generate_one(purpose: str, algorithm: str) -> NewKey:
    """A successor for `rotate`. Raises Invalid when the purpose has no keys of this algorithm."""
    if purpose not in PURPOSES:
        raise Invalid(f"there are no keys for {purpose!r}; use one of {', '.join(PURPOSES)}")
    if algorithm not in PURPOSES[purpose]:
        fitting = ", ".join(PURPOSES[purpose])
        raise Invalid(f"{purpose} keys are {fitting}, not {algorithm!r}")
    return NewKey(purpose, algorithm, generate(algorithm))


def generate_first() -> list[NewKey]:
    """One key for every purpose and algorithm."""
    return [
        NewKey(purpose, algorithm, generate(algorithm))
        for purpose, algorithms in PURPOSES.items()
        for algorithm in algorithms
    ]


def find_missing(tx: Session, tenant_id: str) -> list[tuple[str, str]]:
    """Purposes and algorithms the tenant has no key for: a later version may use more than the first did."""
    rows = tx.execute(
        select(SigningKey.purpose, SigningKey.algorithm).where(SigningKey.tenant_id == tenant_id)
    )
    known = {(purpose, algorithm) for purpose, algorithm in rows}
    return [
        (purpose, algorithm)
        for purpose, algorithms in PURPOSES.items()
        for algorithm in algorithms
        if (purpose, algorithm) not in known
    ]


def add_missing(
    tx: Session, operator: Operator, tenant_id: str, keys: Sequence[NewKey]
) -> list[NewKey]:
    """Store those that nobody stored meanwhile; answers which they were."""
    # Two nodes that start at once: the second waits here, and then finds nothing missing.
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
    missing = find_missing(tx, tenant_id)
    added = [new for new in keys if (new.purpose, new.algorithm) in missing]
    add_first_keys(tx, operator, tenant_id, added)
    for new in added:
        operator.changed(tx, tenant_id, "key.add", new.purpose, {"algorithm": new.algorithm})
    return added


def add_first_keys(tx: Session, operator: Operator, tenant_id: str, keys: Sequence[NewKey]) -> None:
    """Store keys that sign at once, and would have before: a clock that is set back leaves no tenant without a key."""
    since = operator.now - CLOCKS_APART
    for new in keys:
        _store(tx, operator, tenant_id, new, publish_at=since, activate_at=since)


def rotate(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    new: NewKey,
    *,
    publish_ahead: timedelta,
    longest_token: timedelta,
    at: datetime | None = None,
) -> KeyLife:
    """Publish a successor now (or plan it for `at`) and let it sign `publish_ahead` later.

    Keys it replaces sign until then and stay in the JWKS until their last token has expired. With
    `publish_ahead` of zero the successor signs at once: for a key that may be in wrong hands.
    """
    operator.must(Permission.KEYS_WRITE)
    publish_at = at or operator.now
    activate_at = publish_at + publish_ahead
    successor = _store(tx, operator, tenant_id, new, publish_at=publish_at, activate_at=activate_at)
    rows = {
        row.id: row
        for row in tx.scalars(
            select(SigningKey)
            .where(SigningKey.tenant_id == tenant_id, SigningKey.id != successor.key_id)
            .with_for_update()
        )
    }
    for life in succeed(map(life_of, rows.values()), successor, longest_token=longest_token):
        rows[life.key_id].retire_at, rows[life.key_id].gone_at = life.retire_at, life.gone_at
    operator.changed(
        tx,
        tenant_id,
        "key.rotate",
        successor.key_id,
        {
            "purpose": new.purpose,
            "algorithm": new.algorithm,
            "activate_at": activate_at.isoformat(),
        },
    )
    return successor


def wipe_gone(tx: Session, operator: Operator, tenant_id: str) -> list[str]:
    """Forget the private part of every key that no verifier needs any more; answers their ids."""
    rows = tx.scalars(
        select(SigningKey).where(
            SigningKey.tenant_id == tenant_id,
            SigningKey.private_key.is_not(None),
            SigningKey.gone_at <= operator.now,
        )
    ).all()
    for row in rows:
        row.private_key = None
        operator.changed(tx, tenant_id, "key.wipe", row.id)
    return [row.id for row in rows]


def list_(tx: Session, tenant_id: str, now: datetime) -> list[KeyLine]:
    """All keys, each purpose and algorithm from the first to the latest."""
    rows = tx.scalars(
        select(SigningKey)
        .where(SigningKey.tenant_id == tenant_id)
        .order_by(SigningKey.purpose, SigningKey.algorithm, SigningKey.activate_at)
    )
    return [
        KeyLine(
            life.key_id,
            life.purpose,
            life.algorithm,
            str(life.state(now)),
            life.activate_at,
            life.retire_at,
            life.gone_at,
        )
        for life in map(life_of, rows)
    ]


def life_of(row: SigningKey) -> KeyLife:
    """The moments of a stored key."""
    return KeyLife(
        row.id,
        row.purpose,
        row.algorithm,
        row.publish_at,
        row.activate_at,
        row.retire_at,
        row.gone_at,
    )


def _store(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    new: NewKey,
    *,
    publish_at: datetime,
    activate_at: datetime,
) -> KeyLife:
    kid, public_jwk = describe(new.key, new.algorithm)
    row = SigningKey(
        id=kid,
        tenant_id=tenant_id,
        purpose=new.purpose,
        algorithm=new.algorithm,
        public_jwk=public_jwk,
        private_key=seal(new.key, operator.envelope, tenant_id, kid),
        created_at=operator.now,
        publish_at=publish_at,
        activate_at=activate_at,
        retire_at=None,
        gone_at=None,
    )
    tx.add(row)
    tx.flush()
    return life_of(row)
