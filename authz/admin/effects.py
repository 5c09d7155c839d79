"""What one change of policy would do to everybody, before it is made: who gains and who loses which scope.

The change is made in a transaction that the caller gives up, and the whole population is compared before and after, as
for a plan (`policy.reach`). Nothing of it stays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from authz.admin.code import facts
from authz.admin.code.facts import Population
from authz.admin.code.plans import Rehearsed
from authz.admin.operator import Operator
from authz.policy.administration import Permission
from authz.policy.reach import Crowd

SHOWN = 10
"""Names of each."""
_ANY_BASE = "https://authz.invalid"
"""Of an issuer, where nobody said which: nothing of policy that is compared has it in it."""


@dataclass(frozen=True)
class Some:
    """How many, and the first of them by name."""

    count: int
    names: list[str]


@dataclass(frozen=True)
class ScopeEffect:
    """What becomes of one scope of one server."""

    server: str
    scope: str
    gained: Some
    lost: Some
    eased: Some
    """They get it by more kinds of sign-in than before."""
    tightened: Some
    clients_gained: list[str]
    clients_lost: list[str]


def rehearse(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    operation: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
    *,
    base: str,
) -> Rehearsed:
    """Perform an operation of policy; the caller rolls the transaction back. `base` is the installation's issuer."""
    operator.must(Permission.POLICY_WRITE)
    return measure(
        tx,
        operator,
        tenant_id,
        lambda: operation(tx, operator, tenant_id, *args, **named),
        base=base,
    )


def measure(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    change: Callable[[], Any],
    *,
    base: str = _ANY_BASE,
) -> Rehearsed:
    """Everybody before and after a change, which asks for its permission itself."""

    def population() -> Population:
        tx.flush()
        configuration = facts.configuration_of(tx, tenant_id, base, operator.envelope)
        return facts.read(tx, tenant_id, configuration, operator.now)

    people, before = facts.people(tx, tenant_id), population()
    change()
    return Rehearsed((), people, before, population())


def counted(rehearsed: Rehearsed, now: datetime) -> list[ScopeEffect]:
    """Compare; slow for very many people, so when the transaction is over."""
    effect = rehearsed.effect(now)
    return [
        ScopeEffect(
            server=it.server,
            scope=it.scope,
            gained=_some(effect.crowd, it.gained),
            lost=_some(effect.crowd, it.lost),
            eased=_some(effect.crowd, it.eased),
            tightened=_some(effect.crowd, it.tightened),
            clients_gained=list(it.clients_gained),
            clients_lost=list(it.clients_lost),
        )
        for it in effect.reached
    ]


def _some(crowd: Crowd, mask: int) -> Some:
    return Some(mask.bit_count(), crowd.names(mask, SHOWN))
