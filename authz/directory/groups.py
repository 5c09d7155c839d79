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
    # One that was asked for both ways is there both ways.
    return {it: row for row in rows for it in (row.id, row.name) if it in asked}


def load(tx: Session, tenant_id: str, reference: str) -> Group:
    """The group an operator means. Raises NotFound."""
    group = find(tx, tenant_id, reference)
    if group is None:
        raise _not_there(reference)
    return group


def load_all(tx: Session, tenant_id: str, references: Iterable[str]) -> list[Group]:
    """The groups an operator means, each once. Raises NotFound for the first that is not there."""
    found = find_all(tx, tenant_id, references)
    for missing in sorted(set(references) - found.keys()):
        raise _not_there(missing)
    return list({row.id: row for row in found.values()}.values())


def names_by_id(tx: Session, tenant_id: str, ids: Iterable[str]) -> dict[str, str]:
    """Of those that are there: what remembers groups may remember one that is gone."""
    rows = tx.execute(
        select(Group.id, Group.name).where(Group.tenant_id == tenant_id, among(tx, Group.id, ids))
    )
    return dict(rows.all())


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


def _not_there(reference: str) -> NotFound:
    return NotFound(f"there is no group {reference!r}; `authz groups list` shows them")
