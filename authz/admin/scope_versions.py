"""Which version of a scope people agree to: consent that is remembered counts for the one they saw (EMA-07, ATK-58).

Decisions:
- A version begins where a scope comes to mean what nobody has agreed to: other words, a higher risk, or a tool that
  counts and did not. Fewer tools and a lower risk are part of what was agreed to. A tool that waits for a review is not
  in what a scope means; its approval puts it there. Who gets a scope and how they sign in is no part of it.
- The number is that of the configuration which brought the change, not a count: a scope that is withdrawn and declared
  again never begins where consent from before would count.
- Versions govern new authorizations. What runs under a grant is governed by reviews (`admin.scope_contracts`): whoever
  is away cannot be asked, and a refresh that failed for a tool somebody reviewed would end work that is allowed.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db.models import Scope, Tenant
from authz.policy.contracts import Meaning, in_force


def meaning_of(row: Scope) -> Meaning:
    """What people are shown of it now."""
    tools = in_force(row.tools, row.unreviewed)
    return Meaning(row.description or row.name, row.risk, frozenset(tools))


def begin(tx: Session, row: Scope) -> None:
    """A version nobody has agreed to yet. The caller holds the row, or adds it, and bumps the configuration after it.

    Whoever held the row before has bumped it: so each number of a scope is higher than all before it.
    """
    held = select(Tenant.config_version).where(Tenant.id == row.tenant_id)
    row.version = tx.scalars(held).one() + 1


def begin_if_more(tx: Session, row: Scope, before: Meaning) -> bool:
    """After every change of a scope, with what it meant before; answers whether people are asked again."""
    if meaning_of(row).is_within(before):
        return False
    begin(tx, row)
    return True
