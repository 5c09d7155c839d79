"""Roles of many groups at once, as mappings need them: what `admin.roles` does to one, in a few statements for all."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.db.lists import among, insert_all
from authz.db.models import Role, RoleBinding
from authz.errors import NotFound
from authz.policy.administration import Permission

Pair = tuple[str, str]
"""A role by name, and a group by id."""


def bind(tx: Session, operator: Operator, tenant_id: str, wanted: Iterable[Pair]) -> None:
    """Give each role to its group, without an end. Raises NotFound."""
    operator.must(Permission.POLICY_WRITE)
    pairs = list(dict.fromkeys(wanted))
    ids = _ids(tx, tenant_id, pairs)
    held = _held(tx, tenant_id, pairs)
    there = [held[place] for role, group in pairs if (place := (ids[role], group)) in held]
    tx.execute(
        update(RoleBinding)
        .where(RoleBinding.tenant_id == tenant_id, among(tx, RoleBinding.id, there))
        .values(expires_at=None)
    )
    rows = [
        {
            "id": entropy.new_id("bnd"),
            "tenant_id": tenant_id,
            "role_id": ids[role],
            "subject_kind": "group",
            "subject_id": group,
            "expires_at": None,
        }
        for role, group in pairs
        if (ids[role], group) not in held
    ]
    insert_all(tx, RoleBinding, rows)
    events = [
        operator.event("role.bind", group, {"role": role, "until": None}) for role, group in pairs
    ]
    operator.changed_all(tx, tenant_id, events)


def unbind(tx: Session, operator: Operator, tenant_id: str, unwanted: Iterable[Pair]) -> None:
    """Take each role from its group. Raises NotFound for one that is not held."""
    operator.must(Permission.POLICY_WRITE)
    pairs = list(dict.fromkeys(unwanted))
    ids, held = _ids(tx, tenant_id, pairs), _held(tx, tenant_id, pairs)
    for role, group in pairs:
        if (ids[role], group) not in held:
            raise NotFound(f"the group {group!r} does not hold the role {role!r} directly")
    gone = [held[ids[role], group] for role, group in pairs]
    of_these = among(tx, RoleBinding.id, gone)
    tx.execute(delete(RoleBinding).where(RoleBinding.tenant_id == tenant_id, of_these))
    events = [operator.event("role.unbind", group, {"role": role}) for role, group in pairs]
    operator.changed_all(tx, tenant_id, events)


def _ids(tx: Session, tenant_id: str, pairs: Sequence[Pair]) -> dict[str, str]:
    names = {role for role, _ in pairs}
    rows = tx.execute(
        select(Role.name, Role.id).where(Role.tenant_id == tenant_id, among(tx, Role.name, names))
    )
    ids = dict(rows.all())
    for role, _ in pairs:
        if role not in ids:
            raise NotFound(f"there is no role {role!r}; `authz roles list` shows them")
    return ids


def _held(tx: Session, tenant_id: str, pairs: Sequence[Pair]) -> dict[Pair, str]:
    """Bindings by role id and group."""
    rows = tx.execute(
        select(RoleBinding.role_id, RoleBinding.subject_id, RoleBinding.id).where(
            RoleBinding.tenant_id == tenant_id,
            RoleBinding.subject_kind == "group",
            among(tx, RoleBinding.subject_id, {group for _, group in pairs}),
        )
    )
    return {(role_id, group): id_ for role_id, group, id_ in rows}
