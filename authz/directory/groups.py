"""Groups by name and by id, and who is in them."""

from collections.abc import Iterable

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authz.db.lists import among
from authz.db.models import Group, GroupMember, User
from authz.errors import Invalid, NotFound

MAX_NAME_CHARS = 254
_ID = "grp_"


def check_name(text: str) -> str:
    """A name that a group may have, without the space around it. Raises Invalid."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or name.startswith(_ID):
        raise Invalid(
            f"{text[:80]!r} is not a name for a group: 1 to {MAX_NAME_CHARS} printable characters, "
            f"not beginning with {_ID}",
            field="name",
        )
    return name


def find(tx: Session, tenant_id: str, reference: str) -> Group | None:
    """The group with this id or exactly this name; no name begins like an id."""
    column = Group.id if reference.startswith(_ID) else Group.name
    return tx.scalars(
        select(Group).where(Group.tenant_id == tenant_id, column == reference)
    ).one_or_none()


def find_all(tx: Session, tenant_id: str, references: Iterable[str]) -> dict[str, Group]:
    """The same for many at once, by what they were asked for; those that are not there are not in it."""
    asked = set(references)
    ids = {it for it in asked if it.startswith(_ID)}
    rows = tx.scalars(
        select(Group).where(
            Group.tenant_id == tenant_id,
            or_(among(tx, Group.id, ids), among(tx, Group.name, asked - ids)),
        )
    )
    return {(row.id if row.id in ids else row.name): row for row in rows}


def load(tx: Session, tenant_id: str, reference: str) -> Group:
    """The group an operator means. Raises NotFound."""
    group = find(tx, tenant_id, reference)
    if group is None:
        raise NotFound(f"there is no group {reference!r}; `authz groups list` shows them")
    return group


def members(tx: Session, group_id: str) -> list[User]:
    """Everybody in a group, by login."""
    return list(
        tx.scalars(
            select(User)
            .join(GroupMember, GroupMember.user_id == User.id)
            .where(GroupMember.group_id == group_id)
            .distinct()
            .order_by(User.login)
        )
    )


def names_of(tx: Session, tenant_id: str, user_id: str) -> list[str]:
    """The groups a person is in, by name."""
    return list(
        tx.scalars(
            select(Group.name)
            .join(GroupMember, GroupMember.group_id == Group.id)
            .where(GroupMember.user_id == user_id, Group.tenant_id == tenant_id)
            .distinct()
            .order_by(Group.name)
        )
    )
