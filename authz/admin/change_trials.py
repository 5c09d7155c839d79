"""What a change that is asked for does to everybody, found by making it and taking it back.

Counting is slow for very many people, so it is done ahead of the transaction that keeps the result, against a version
of the tenant that is named; where something was changed in between, it is done again behind a lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin import effects, operations
from authz.admin.code.plans import Rehearsed
from authz.admin.effects import ScopeEffect
from authz.admin.operator import Operator
from authz.db import Database
from authz.db.models import Tenant
from authz.errors import AuthzError


@dataclass(frozen=True)
class Trial:
    """Who gains and who loses, against one state of the tenant."""

    version: int
    effects: Sequence[ScopeEffect]


def version_of(tx: Session, tenant_id: str) -> int:
    """The number of its present state."""
    return tx.scalars(select(Tenant.config_version).where(Tenant.id == tenant_id)).one()


def hold(tx: Session, tenant_id: str) -> int:
    """The same, and nothing of the tenant is changed by anybody else until this transaction ends.

    Without it a change that is made between the look and the decision would count as looked at.
    """
    # Rows that refer to the tenant go on being written: tokens wait for nothing here.
    held = select(Tenant.config_version).where(Tenant.id == tenant_id)
    return tx.scalars(held.with_for_update(key_share=True)).one()


def ahead(
    database: Database,
    operator: Operator,
    tenant_id: str,
    operation: str,
    arguments: Mapping[str, Any],
) -> Trial | None:
    """In a transaction that is given up, and counted when it is over. None where the change cannot be made.

    Why it cannot is said by `made`: what is asked for twice under one key was done, and could not be done again.
    """
    try:
        with database.rehearse() as tx:
            version = version_of(tx, tenant_id)
            rehearsed = _rehearsed(tx, operator, tenant_id, operation, arguments)
    except AuthzError:
        return None
    return Trial(version, effects.counted(rehearsed, operator.now))


def made(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    operation: str,
    arguments: Mapping[str, Any],
    trial: Trial | None,
) -> Trial:
    """That of `ahead` if nothing was changed since, else another. Raises what the change raises."""
    version = hold(tx, tenant_id)
    if trial is not None and trial.version == version:
        return trial
    # What was read before the lock may be older than the version.
    tx.flush()
    tx.expire_all()
    attempt = tx.begin_nested()
    try:
        rehearsed = _rehearsed(tx, operator, tenant_id, operation, arguments)
    finally:
        attempt.rollback()
    return Trial(version, effects.counted(rehearsed, operator.now))


def _rehearsed(
    tx: Session, operator: Operator, tenant_id: str, operation: str, arguments: Mapping[str, Any]
) -> Rehearsed:
    return effects.measure(
        tx,
        operator,
        tenant_id,
        lambda: operations.perform(tx, operator, tenant_id, operation, arguments),
    )
