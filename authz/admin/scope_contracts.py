"""Tools that are added to scopes, where a tenant demands a review: they wait, and somebody else approves them (S12).

Decisions:
- What is taken out of a scope is out at once; only what comes waits.
- A scope that is declared anew waits as well where some role names it already: taking it out and in again is no way
  round a review.
- What a second person approved as a change of policy was reviewed by that (`admin.changes`).
- An approval names the list that was looked at, by its digest.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin import scope_versions
from authz.admin.operator import Operator
from authz.db.models import RoleScope, Scope, Tenant
from authz.errors import Conflict, Forbidden, NotFound
from authz.policy.administration import Permission
from authz.policy.contracts import digest_of
from authz.policy.snapshot import ANY_RESOURCE
from authz.tenants import REVIEWED

Waiting = dict[str, Any]


def waiting(
    tx: Session, operator: Operator, tenant_id: str, row: Scope, tools: Sequence[str]
) -> Waiting | None:
    """What waits of a scope when its tools become these."""
    before = row.unreviewed or {"tools": [], "authors": []}
    still = [it for it in before["tools"] if it in tools]
    added = [it for it in tools if it not in row.tools]
    authors = list(before["authors"]) if still else []
    if added and _is_demanded(tx, operator, tenant_id):
        still += added
        authors += [it for it in _names(operator) if it not in authors]
    return {"tools": still, "authors": authors} if still else None


def waiting_anew(tx: Session, operator: Operator, tenant_id: str, row: Scope) -> Waiting | None:
    """What waits of a scope that is declared: all of it, where some role names it already."""
    named = select(RoleScope.role_id).where(
        RoleScope.tenant_id == tenant_id,
        RoleScope.scope == row.name,
        RoleScope.resource_id.in_((row.resource_id, ANY_RESOURCE)),
    )
    if (
        not row.tools
        or not _is_demanded(tx, operator, tenant_id)
        or tx.scalar(named.limit(1)) is None
    ):
        return None
    return {"tools": list(row.tools), "authors": _names(operator)}


def _is_demanded(tx: Session, operator: Operator, tenant_id: str) -> bool:
    """Whether what this operator adds waits."""
    if operator.is_seconded:
        return False
    mode = tx.scalars(select(Tenant.scope_changes).where(Tenant.id == tenant_id)).one()
    return mode == REVIEWED


def approve(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    resource_id: str,
    name: str,
    *,
    contract: str,
) -> list[str]:
    """Let the tools that wait in a scope count, from the next token on; answers them.

    `contract` is the digest of the list that was looked at.
    """
    operator.must(Permission.POLICY_APPROVE)
    row = tx.get(Scope, (resource_id, name))
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no scope {name[:128]!r} of that server")
    tx.refresh(row, with_for_update=True)
    if row.unreviewed is None:
        raise Conflict(f"no tool of {name} waits for a review")
    if contract != digest_of(row.tools):
        raise Conflict(f"the tools of {name} are others by now; look again")
    # Whoever has the machine's shell has the database.
    if operator.home is not None and set(_names(operator)) & set(row.unreviewed["authors"]):
        raise Forbidden(
            "whoever added a tool cannot approve it; somebody else has to",
            permission=Permission.POLICY_APPROVE,
        )
    tools = list(row.unreviewed["tools"])
    authors = list(row.unreviewed["authors"])
    before = scope_versions.meaning_of(row)
    row.unreviewed = None
    asks_again = scope_versions.begin_if_more(tx, row, before)
    tx.flush()
    values = {
        "scope": name,
        "tools": tools,
        "authors": authors,
        "contract": contract,
        "asks_again": asks_again,
    }
    operator.changed(tx, tenant_id, "scope.approve", resource_id, values)
    return tools


def _names(operator: Operator) -> list[str]:
    """By person as well as by face: somebody at the console and through the API is one person."""
    return [operator.name, *([] if operator.user_id is None else [operator.user_id])]
