"""Groups, and who is in them because a company's directory says so; what other sources say stays beside it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit.events import Event
from authz.db.models import Group, RoleBinding, ScimRecord
from authz.db.versions import bump
from authz.directory.groups import check_name
from authz.errors import Invalid
from authz.scim import links, members, records
from authz.scim.calls import Call, Caller
from authz.scim.change import Change, Held
from authz.scim.errors import Forbidden, InvalidValue, NotHere, Uniqueness
from authz.scim.filter import Among, Columns, Moment, Text
from authz.scim.patch import MemberChange, patch_group
from authz.scim.reading import Document, read_group
from authz.scim.schema import GROUP
from authz.scim.selection import Selection

KIND, PLURAL, SCHEMA = "Group", "Groups", GROUP
SORTABLE: Mapping[str, Any] = {"displayname": Group.name, "id": Group.id}
MAX_LISTED_MEMBERS = 20_000


def columns(caller: Caller, elsewhere: frozenset[str] = frozenset()) -> Columns:
    """What filters look at."""
    among = Among(members.has_member, members.has_any())
    modified: ColumnElement[datetime] = func.coalesce(ScimRecord.updated_at, Group.created_at)
    return Columns(
        SCHEMA,
        {
            "id": Text(Group.id),
            "displayname": Text(Group.name, folds=True),
            "externalid": links.external_id(caller, KIND),
            "members": among,
            "members.value": among,
            "meta.lastmodified": Moment(modified),
        },
        elsewhere,
    )


def rows(caller: Caller) -> Select[Group, ScimRecord]:
    """All groups of the tenant, each with its record."""
    return (
        select(Group, ScimRecord)
        .outerjoin(ScimRecord, ScimRecord.id == Group.id)
        .where(Group.tenant_id == caller.tenant_id)
    )


def load(tx: Session, caller: Caller, group_id: str) -> Held[Group]:
    """One of them. Raises NotHere."""
    found = tx.execute(rows(caller).where(Group.id == group_id)).one_or_none()
    if found is None:
        raise _not_here()
    return Held(*found)


def lock(tx: Session, caller: Caller, group_id: str) -> Held[Group]:
    """One of them, to be changed by this caller. Raises NotHere, Forbidden."""
    row = tx.scalars(
        select(Group)
        .where(Group.tenant_id == caller.tenant_id, Group.id == group_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise _not_here()
    record = tx.get(ScimRecord, row.id)
    if record is not None and record.made_here and links.is_others(tx, caller, record):
        raise Forbidden(
            "this group belongs to another connection", reason="group_of_other_connection"
        )
    return Held(row, record)


def tag(held: Held[Group]) -> str:
    """Its version."""
    return records.etag(held.record, _modified(held))


def represent(
    tx: Session, caller: Caller, found: Sequence[Held[Group]], selection: Selection
) -> list[Document]:
    """As they are sent. Raises TooMany for a page with more members than anybody reads."""
    people: dict[str, list[Document]] = {}
    if found and selection.needs("members"):
        most = None if len(found) == 1 else MAX_LISTED_MEMBERS
        people = members.listed(tx, caller, [it.row.id for it in found], most)
    return [selection.of(full(caller, it, people.get(it.row.id, [])), SCHEMA) for it in found]


def full(caller: Caller, held: Held[Group], members: Sequence[Document] = ()) -> Document:
    """All of it."""
    row = held.row
    location = f"{caller.base}/{PLURAL}/{row.id}"
    return {
        "schemas": [GROUP],
        "id": row.id,
        **_document(caller, held),
        "members": list(members),
        "meta": records.meta(KIND, location, row.created_at, _modified(held), tag(held)),
    }


def create(tx: Session, caller: Caller, call: Call, now: datetime) -> Change[Group]:
    """A new group, with its members. No role is bound to it yet."""
    document, people = read_group(call.message())
    row = Group(
        id=entropy.new_id("grp"), tenant_id=caller.tenant_id, name=_name(document), created_at=now
    )
    record = records.new_record(caller, KIND, row.id, now, made_here=True)
    record.external_id = document.get("externalId")
    records.written_on(record, {}, now)
    tx.add_all([row, record])
    _flush(tx)
    made = records.provisioned(caller, "group.create", row.id, attributes=sorted(document))
    moved = members.settle(tx, caller, row, MemberChange.exactly(people or frozenset()))
    return Change(Held(row, record), (made, *moved))


def replace(
    tx: Session, caller: Caller, held: Held[Group], call: Call, now: datetime
) -> Change[Group]:
    """PUT. A group that comes without `members` keeps them: emptying it takes an empty list."""
    document, people = read_group(call.message())
    before = _document(caller, held)
    if "externalId" in before:
        document.setdefault("externalId", before["externalId"])
    change = MemberChange() if people is None else MemberChange.exactly(people)
    return _changed(tx, caller, held, document, change, now)


def patch(
    tx: Session, caller: Caller, held: Held[Group], call: Call, now: datetime
) -> Change[Group]:
    """PATCH: all operations or none."""
    document, change = patch_group(_document(caller, held), call.message())
    return _changed(tx, caller, held, document, change, now)


def remove(tx: Session, caller: Caller, held: Held[Group], _: Call, __: datetime) -> Change[Group]:
    """Gone with its members and its roles; the next refresh of everybody is without them."""
    row = held.row
    _check_own(held)
    bound = tx.execute(
        delete(RoleBinding)
        .where(
            RoleBinding.tenant_id == caller.tenant_id,
            RoleBinding.subject_kind == "group",
            RoleBinding.subject_id == row.id,
        )
        .returning(RoleBinding.id)
    ).all()
    tx.delete(row)
    tx.delete(held.record)
    tx.flush()
    if bound:
        bump(tx, caller.tenant_id)
    return Change(held, (records.provisioned(caller, "group.delete", row.id, roles=len(bound)),))


def _changed(
    tx: Session,
    caller: Caller,
    held: Held[Group],
    wanted: Document,
    change: MemberChange,
    now: datetime,
) -> Change[Group]:
    row, record = held.row, held.record
    before, name = _document(caller, held), _name(wanted)
    wanted = {**wanted, "displayName": name}
    moved = members.settle(tx, caller, row, change)
    if wanted == before and not moved:
        return Change(held, ())
    if record is None:
        record = records.new_record(caller, KIND, row.id, now, made_here=False)
        tx.add(record)
    is_renamed = name != row.name
    if is_renamed:
        _check_own(held)
        row.name = name
    links.name(tx, caller, record, wanted.get("externalId"))
    records.written_on(record, {}, now)
    _flush(tx)
    if is_renamed and _has_roles(tx, row):
        bump(tx, caller.tenant_id)
    events: tuple[Event, ...] = tuple(moved)
    if names := records.changed_names(before, wanted):
        events = (records.provisioned(caller, "group.update", row.id, attributes=names), *events)
    return Change(Held(row, record), events)


def _document(caller: Caller, held: Held[Group]) -> Document:
    """What the client may write, but for members."""
    external_id = records.external_id_of(held.record, caller)
    named = {} if external_id is None else {"externalId": external_id}
    return {"displayName": held.row.name, **named}


def _modified(held: Held[Group]) -> datetime:
    return held.row.created_at if held.record is None else held.record.updated_at


def _name(document: Document) -> str:
    try:
        return check_name(document["displayName"])
    except Invalid:
        raise InvalidValue(
            "displayName has 1 to 254 printable characters", reason="group_name_malformed"
        ) from None


def _check_own(held: Held[Group]) -> None:
    """What an operator made has the name their roles files know it by."""
    if held.record is None or not held.record.made_here:
        raise Forbidden(
            "an operator made this group: it can be filled, not renamed or removed",
            reason="group_of_operator",
        )


def _has_roles(tx: Session, row: Group) -> bool:
    return (
        tx.scalars(
            select(RoleBinding.id).where(
                RoleBinding.subject_kind == "group", RoleBinding.subject_id == row.id
            )
        ).first()
        is not None
    )


def _flush(tx: Session) -> None:
    try:
        tx.flush()
    except IntegrityError:
        raise Uniqueness(
            "there is a group with this displayName or externalId", reason="group_not_unique"
        ) from None


def _not_here() -> NotHere:
    return NotHere("there is no such group", reason="group_unknown")
