"""Groups that an identity provider puts somebody into: through explicit mappings only, and from this source alone."""

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz.audit.events import Event, GroupsMapped
from authz.db import direct
from authz.db.lists import insert_once
from authz.db.models import Connection, Group, GroupMapping, GroupMember
from authz.db.statements import AnyOf, Query

_RULES = Query(
    select(GroupMapping.claim, GroupMapping.value, GroupMapping.group_id).where(
        AnyOf(GroupMapping.connection_id, "connections")
    )
)
_HELD = Query(
    select(GroupMember.group_id)
    .where(AnyOf(GroupMember.user_id, "users"))
    .where(AnyOf(GroupMember.source, "sources"))
)


def map_groups(
    tx: Session, connection: Connection, user_id: str, claims: Mapping[str, tuple[str, ...]]
) -> list[Event]:
    """Membership as this connection says it now; what other sources say stays as it is."""
    rules = direct.fetch(tx, _RULES(connections=[connection.id]))
    said = {claim: frozenset(values) for claim, values in claims.items()}
    wanted = {group_id for claim, value, group_id in rules if value in said.get(claim, ())}
    held = {
        group_id
        for (group_id,) in direct.fetch(tx, _HELD(users=[user_id], sources=[connection.id]))
    }
    if wanted == held:
        return []
    if gone := held - wanted:
        tx.execute(
            delete(GroupMember).where(
                GroupMember.user_id == user_id,
                GroupMember.source == connection.id,
                GroupMember.group_id.in_(gone),
            )
        )
    of = {"user_id": user_id, "source": connection.id, "tenant_id": connection.tenant_id}
    rows_of_new = [{"group_id": it, **of} for it in sorted(wanted - held)]
    # The same person may be signing in twice at once.
    insert_once(tx, GroupMember, rows_of_new, GroupMember.group_id)
    rows = tx.execute(select(Group.id, Group.name).where(Group.id.in_(wanted | held))).all()
    names = {row.id: row.name for row in rows}
    return [
        GroupsMapped(
            subject=user_id,
            connection=connection.slug,
            added=sorted(names[it] for it in wanted - held),
            removed=sorted(names[it] for it in held - wanted),
        )
    ]
