"""Signing keys of a tenant: the first ones, rotation, and wiping the private parts of keys that are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.db.models import SigningKey, Tenant
from authz.errors import Invalid
from authz.keys import LOCAL, PURPOSES, Custody, NewKey, describe, generate, seal
from authz.keys.rotation import CLOCKS_APART, KeyLife, due, expel, succeed
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
    backend: str = LOCAL
    reference: str | None = None
    """What the backend calls it; None of a local key, and of one that is wiped."""


def generate_one(
    purpose: str,
    algorithm: str,
    custody: Custody | None = None,
    *,
    reference: str | None = None,
) -> NewKey:
    """A successor for `rotate`, in this process or where `custody` keeps such keys.

    With a `reference` it is one that somebody made there. Raises Invalid when the purpose has no keys of this
    algorithm, BackendError when the backend does not do it.
    """
    if purpose not in PURPOSES:
        raise Invalid(
            f"there are no keys for {purpose!r}; use one of {', '.join(PURPOSES)}", field="purpose"
        )
    if algorithm not in PURPOSES[purpose]:
        fitting = ", ".join(PURPOSES[purpose])
        raise Invalid(f"{purpose} keys are {fitting}, not {algorithm!r}", field="algorithm")
    if custody is None:
        return NewKey(purpose, algorithm, generate(algorithm))
    if reference is not None:
        return custody.adopt(purpose, algorithm, reference)
    return custody.make(purpose, algorithm)


def generate_first(custody: Custody | None = None) -> list[NewKey]:
    """One key for every purpose and algorithm."""
    return [
        generate_one(purpose, algorithm, custody)
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
    # Two nodes that start at once: the second finds nothing missing.
    _alone(tx, tenant_id)
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
    emergency: bool = False,
) -> KeyLife:
    """Publish a successor now (or plan it for `at`) and let it sign `publish_ahead` later.

    Keys it replaces sign until then and stay in the JWKS until their last token has expired. With
    `publish_ahead` of zero the successor signs at once. In an `emergency` the keys before are in wrong hands: they
    sign nothing any more, leave the JWKS now and are wiped, and what they signed is worth nothing here from now on.
    """
    operator.must(Permission.KEYS_WRITE)
    if emergency and (at is not None or publish_ahead):
        raise Invalid("in an emergency the successor signs at once")
    _alone(tx, tenant_id)
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
    lives = list(map(life_of, rows.values()))
    changed = (
        expel(lives, successor, operator.now)
        if emergency
        else succeed(lives, successor, longest_token=longest_token)
    )
    for life in changed:
        rows[life.key_id].retire_at, rows[life.key_id].gone_at = life.retire_at, life.gone_at
    values = {
        "purpose": new.purpose,
        "algorithm": new.algorithm,
        "backend": new.backend,
        "activate_at": activate_at.isoformat(),
    }
    if emergency:
        values["expelled"] = ", ".join(sorted(life.key_id for life in changed))
    operator.changed(
        tx, tenant_id, "key.expel" if emergency else "key.rotate", successor.key_id, values
    )
    if emergency:
        wipe_gone(tx, operator, tenant_id)
    return successor


def find_due(
    tx: Session, tenant_id: str, *, after: timedelta, publish_ahead: timedelta, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Purposes and algorithms whose key has signed for long enough (V5)."""
    rows = tx.scalars(select(SigningKey).where(SigningKey.tenant_id == tenant_id))
    return due(map(life_of, rows), after=after, publish_ahead=publish_ahead, now=now)


def rotate_due(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    new: NewKey,
    *,
    after: timedelta,
    publish_ahead: timedelta,
    longest_token: timedelta,
) -> KeyLife | None:
    """As `rotate`, unless somebody else rotated it meanwhile."""
    # The second of two finds nothing due.
    _alone(tx, tenant_id)
    found = find_due(tx, tenant_id, after=after, publish_ahead=publish_ahead, now=operator.now)
    if (new.purpose, new.algorithm) not in found:
        return None
    return rotate(
        tx,
        operator,
        tenant_id,
        new,
        publish_ahead=publish_ahead,
        longest_token=longest_token,
    )


def wipe_gone(tx: Session, operator: Operator, tenant_id: str) -> list[str]:
    """Forget the private part of every key that no verifier needs any more; answers their ids.

    Of a key that is elsewhere the reference is forgotten; the trail says it to whoever destroys the key there.
    """
    rows = tx.scalars(
        select(SigningKey).where(
            SigningKey.tenant_id == tenant_id,
            has_private_part(),
            SigningKey.gone_at <= operator.now,
        )
    ).all()
    for row in rows:
        there = (
            {}
            if row.key_reference is None
            else {"backend": row.backend, "reference": row.key_reference}
        )
        row.private_key = row.key_reference = None
        operator.changed(tx, tenant_id, "key.wipe", row.id, there)
    return [row.id for row in rows]


def has_private_part() -> ColumnElement[bool]:
    """Whether a key can still sign, here or elsewhere."""
    return or_(SigningKey.private_key.is_not(None), SigningKey.key_reference.is_not(None))


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
            row.backend,
            row.key_reference,
        )
        for row, life in ((row, life_of(row)) for row in rows)
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


def _alone(tx: Session, tenant_id: str) -> None:
    """Who changes the keys of a tenant takes the tenant first, and sees what the one before did.

    Else a successor that is not committed yet would outlive an emergency, and of two neither would end the other.
    """
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())


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
    # It was made elsewhere, and may be anybody's: a key signs for one purpose of one tenant (CONF-13).
    if tx.get(SigningKey, kid) is not None:
        raise Invalid(
            f"the key {kid} is in use here already; make another one in the key store",
            field="reference",
        )
    row = SigningKey(
        id=kid,
        tenant_id=tenant_id,
        purpose=new.purpose,
        algorithm=new.algorithm,
        public_jwk=public_jwk,
        private_key=(
            seal(new.key, operator.envelope, tenant_id, kid) if new.backend == LOCAL else None
        ),
        backend=new.backend,
        key_reference=new.reference,
        created_at=operator.now,
        publish_at=publish_at,
        activate_at=activate_at,
        retire_at=None,
        gone_at=None,
    )
    tx.add(row)
    tx.flush()
    return life_of(row)
