"""Key-encryption keys in use: which stored secret is under which, and moving all of them under the one that seals.

Moving is done while the server runs: one tenant a transaction, what is under the key already is passed over, so it goes
on where it was stopped. Nobody who signs or verifies notices.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.db import Database
from authz.db.models import SigningKey, Tenant
from authz.envelope import UNNAMED, Envelope, unknown_key, used_keys
from authz.errors import ConfigurationError
from authz.keys.backends.local import SEALED_AS
from authz.policy.administration import Permission

_HEAD_BYTES = 16
"""Of a sealed secret: what says which key it is under, and a little more."""


@dataclass(frozen=True)
class Rewrapped:
    """What was moved of one tenant."""

    tenant: str
    secrets: int


def usage(tx: Session, tenant_id: str | None = None) -> Counter[str]:
    """How many stored secrets are under which key-encryption key, by name; of all tenants, or of one."""
    tenants = select(func.substr(Tenant.token_secret, 1, _HEAD_BYTES))
    keys = select(func.substr(SigningKey.private_key, 1, _HEAD_BYTES)).where(
        SigningKey.private_key.is_not(None)
    )
    if tenant_id is not None:
        tenants = tenants.where(Tenant.id == tenant_id)
        keys = keys.where(SigningKey.tenant_id == tenant_id)
    return used_keys(bytes(it) for query in (tenants, keys) for it in tx.scalars(query))


def check(tx: Session, envelope: Envelope) -> None:
    """Refuse to go on without a key that something is under. Raises ConfigurationError naming it."""
    for name, count in sorted(usage(tx).items()):
        if name not in (*envelope.names, UNNAMED):
            raise ConfigurationError(unknown_key(f"{count} stored secrets are", name))


def rewrap_all(database: Database, operator: Operator) -> Iterator[Rewrapped]:
    """Move the secrets of one tenant after the other; answers each that had any to move."""
    operator.must(Permission.KEYS_WRITE)
    with database.read() as tx:
        tenants = tx.execute(select(Tenant.id, Tenant.slug).order_by(Tenant.id)).all()
    for tenant_id, slug in tenants:
        with database.write() as tx:
            moved = rewrap(tx, operator, tenant_id)
        if moved:
            yield Rewrapped(slug, moved)


def rewrap(tx: Session, operator: Operator, tenant_id: str) -> int:
    """Seal the tenant's secrets again that are not under the key that seals; answers how many."""
    operator.must(Permission.KEYS_WRITE)
    envelope, moved = operator.envelope, 0
    tenant = tx.scalars(select(Tenant).where(Tenant.id == tenant_id).with_for_update()).one()
    if not envelope.is_current(tenant.token_secret):
        secret = envelope.open(tenant.token_secret, "token_secret", tenant_id)
        tenant.token_secret = envelope.seal(secret, "token_secret", tenant_id)
        moved += 1
    # Locked, so that a key which is wiped at the same moment stays wiped.
    keys = tx.scalars(
        select(SigningKey)
        .where(SigningKey.tenant_id == tenant_id, SigningKey.private_key.is_not(None))
        .order_by(SigningKey.id)
        .with_for_update()
    )
    for row in keys:
        if row.private_key is None or envelope.is_current(row.private_key):
            continue
        context = (SEALED_AS, tenant_id, row.id)
        row.private_key = envelope.seal(envelope.open(row.private_key, *context), *context)
        moved += 1
    if moved:
        tx.flush()
        values = {"secrets": moved, "key_encryption_key": envelope.name}
        operator.changed(tx, tenant_id, "keys.rewrap", tenant_id, values)
    return moved
