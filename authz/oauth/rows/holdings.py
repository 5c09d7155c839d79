"""Roles and groups of people: one statement for those behind whatever names them."""

from sqlalchemy import Select, literal, select, union_all

from authz.db.models import GroupMember, RoleBinding
from authz.db.statements import Query, Row
from authz.db.types import UTCDateTime
from authz.oauth.facts import Facts
from authz.oauth.subjects import in_order
from authz.policy.snapshot import HeldRole


def holdings_query(users: Select[str] | Select[str | None]) -> Query:
    """Direct bindings and memberships of the people a subquery selects."""
    direct = select(
        literal("role"), RoleBinding.subject_id, RoleBinding.role_id, RoleBinding.expires_at
    ).where(
        RoleBinding.subject_kind == "user",
        RoleBinding.subject_id.in_(users),
    )
    through_groups = select(
        literal("group"),
        GroupMember.user_id,
        GroupMember.group_id,
        literal(None, UTCDateTime),
    ).where(GroupMember.user_id.in_(users))
    return Query(union_all(direct, through_groups))


def learn_holdings(facts: Facts, rows: list[Row]) -> None:
    """Add what was read; a person may be named by several statements of a batch."""
    held: dict[str, list[HeldRole]] = {}
    member: dict[str, set[str]] = {}
    for kind, user_id, id_, expires_at in rows:
        if kind == "role":
            held.setdefault(user_id, []).append(HeldRole(id_, expires_at))
        else:
            member.setdefault(user_id, set()).add(id_)
    for user_id, roles in held.items():
        known = [*facts.roles.get(user_id, ()), *roles]
        facts.roles[user_id] = in_order(known)
    for user_id, groups in member.items():
        facts.groups[user_id] = facts.groups.get(user_id, frozenset()) | groups
