"""Who is in a group because a provisioning client says so; every row is looked up with its tenant."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, insert, select
from sqlalchemy.orm import Session

from authz.audit.events import Event
from authz.db.lists import among
from authz.db.models import Group, GroupMember, User
from authz.db.models.user import SCIM
from authz.scim import records
from authz.scim.calls import Caller
from authz.scim.errors import Forbidden, InvalidValue, TooMany
from authz.scim.patch import MemberChange
from authz.scim.reading import Document
from authz.scim.users import DELETED, may_change


def settle(tx: Session, caller: Caller, row: Group, change: MemberChange) -> list[Event]:
    """Make the members those of the change; one event for everybody who came or went."""
    own = (GroupMember.group_id == row.id, GroupMember.source == SCIM)
    query = select(GroupMember.user_id).where(*own)
    if change.keeps:
        query = query.where(among(tx, GroupMember.user_id, change.added | change.removed))
    current = frozenset(tx.scalars(query))
    after = change.of(current)
    added, removed = sorted(after - current), sorted(current - after)
    _check_people(tx, caller, added)
    if removed:
        tx.execute(delete(GroupMember).where(*own, among(tx, GroupMember.user_id, removed)))
    if added:
        values = {"group_id": row.id, "source": SCIM, "tenant_id": row.tenant_id}
        tx.execute(insert(GroupMember), [{**values, "user_id": it} for it in added])
    return [
        records.provisioned(caller, f"group.member_{verb}", row.id, subject=it)
        for verb, ids in (("add", added), ("remove", removed))
        for it in ids
    ]


def _check_people(tx: Session, caller: Caller, user_ids: Sequence[str]) -> None:
    """Every row is looked up with its tenant: an id of somebody else's is nobody here (M1)."""
    if not user_ids:
        return
    found = tx.execute(
        select(User.id, User.is_break_glass, may_change(caller)).where(
            User.tenant_id == caller.tenant_id,
            User.status != DELETED,
            among(tx, User.id, user_ids),
        )
    ).all()
    if len(found) < len(user_ids):
        raise InvalidValue("a member is not a user here", reason="member_unknown")
    if any(is_break_glass for _, is_break_glass, _ in found):
        raise Forbidden("an account is kept from provisioning", reason="break_glass")
    if not all(is_allowed for *_, is_allowed in found):
        raise Forbidden("a member belongs to another connection", reason="user_of_other_connection")


def listed(
    tx: Session, caller: Caller, group_ids: Sequence[str], most: int | None
) -> dict[str, list[Document]]:
    """Who is in each group, as they are sent. Raises TooMany above `most`."""
    query = (
        select(GroupMember.group_id, User.id)
        .join(User, User.id == GroupMember.user_id)
        .where(
            among(tx, GroupMember.group_id, group_ids),
            GroupMember.source == SCIM,
            User.tenant_id == caller.tenant_id,
            User.status != DELETED,
            User.is_break_glass.is_(False),
        )
        .order_by(User.id)
    )
    found = tx.execute(query if most is None else query.limit(most + 1)).all()
    if most is not None and len(found) > most:
        raise TooMany("ask for fewer groups, or exclude members", reason="members_too_many")
    members: dict[str, list[Document]] = {}
    for group_id, user_id in found:
        place = f"{caller.base}/Users/{user_id}"
        members.setdefault(group_id, []).append({"value": user_id, "$ref": place, "type": "User"})
    return members


def has_any() -> ColumnElement[bool]:
    """Groups with members."""
    return exists().where(*_membership())


def _membership() -> tuple[ColumnElement[bool], ...]:
    return (GroupMember.group_id == Group.id, GroupMember.source == SCIM)


def has_member(user_id: str) -> ColumnElement[bool]:
    """Groups with this one."""
    return exists().where(*_membership(), GroupMember.user_id == user_id)
