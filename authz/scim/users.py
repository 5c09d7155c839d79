"""Users: accounts of the tenant, as a company's directory sees and writes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, delete, exists, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authz import entropy
from authz.audit.events import Event
from authz.db import direct
from authz.db.lists import among
from authz.db.models import Group, GroupMember, Identity, ScimRecord, User
from authz.db.models.user import SCIM
from authz.db.statements import Insert, Row
from authz.directory.departures import Signal
from authz.directory.leaving import end_access
from authz.directory.users import normal_login
from authz.scim import links, profile, records
from authz.scim.calls import Call, Caller
from authz.scim.change import Change, Held
from authz.scim.errors import Forbidden, NotHere, Uniqueness
from authz.scim.filter import Columns, Moment, Text, Truth
from authz.scim.patch import patch_user
from authz.scim.reading import Document, read_user
from authz.scim.schema import ENTERPRISE, USER
from authz.scim.selection import Selection

KIND, PLURAL, SCHEMA = "User", "Users", USER
SORTABLE: Mapping[str, Any] = {"username": User.login, "id": User.id}
DELETED = "deleted"
_INSERTS = {model: Insert(cast("Table", model.__table__)) for model in (User, ScimRecord)}
_MAX_KEPT_LOGIN_CHARS = 150


def columns(caller: Caller, elsewhere: frozenset[str] = frozenset()) -> Columns:
    """What filters look at. An account has one name and one address: the ones that were chosen from what was sent."""
    address = Text(User.email, normal=normal_login)
    return Columns(
        SCHEMA,
        {
            "id": Text(User.id),
            "username": Text(User.login, normal=normal_login),
            "externalid": links.external_id(caller, KIND),
            "displayname": Text(User.name, folds=True),
            "active": Truth(User.status == "active"),
            "emails": address,
            "emails.value": address,
            "meta.lastmodified": Moment(User.updated_at),
        },
        elsewhere,
    )


def rows(caller: Caller) -> Select[User, ScimRecord]:
    """Everybody this caller sees, each with their record."""
    return (
        select(User, ScimRecord)
        .outerjoin(ScimRecord, ScimRecord.id == User.id)
        .where(
            User.tenant_id == caller.tenant_id,
            User.status != DELETED,
            User.is_break_glass.is_(False),
        )
    )


def load(tx: Session, caller: Caller, user_id: str) -> Held[User]:
    """One of them. Raises NotHere."""
    found = tx.execute(rows(caller).where(User.id == user_id)).one_or_none()
    if found is None:
        raise _not_here()
    return Held(*found)


def lock(tx: Session, caller: Caller, user_id: str) -> Held[User]:
    """One of them, to be changed by this caller. Raises NotHere, Forbidden."""
    found = tx.execute(
        select(User, may_change(caller))
        .where(User.tenant_id == caller.tenant_id, User.id == user_id, User.status != DELETED)
        .with_for_update(of=User)
    ).one_or_none()
    if found is None:
        raise _not_here()
    row, is_allowed = found
    if row.is_break_glass:
        raise Forbidden("this account is kept from provisioning", reason="break_glass")
    if not is_allowed:
        raise Forbidden(
            "this person belongs to another connection", reason="user_of_other_connection"
        )
    return Held(row, tx.get(ScimRecord, row.id))


def may_change(caller: Caller) -> ColumnElement[bool]:
    """Who is this caller's to change: with a connection, people linked to it or to none."""
    if caller.connection is None:
        return User.id.is_not(None)
    linked = Identity.user_id == User.id
    return or_(
        exists().where(linked, Identity.connection_id == caller.connection.id),
        ~exists().where(linked),
    )


def tag(held: Held[User]) -> str:
    """Its version."""
    return records.etag(held.record, held.row.updated_at)


def represent(
    tx: Session, caller: Caller, found: Sequence[Held[User]], selection: Selection
) -> list[Document]:
    """As they are sent."""
    groups: dict[str, list[Document]] = {}
    # Whom the session does not know was made a moment ago, and is in no group.
    known = [it.row.id for it in found if it.row in tx]
    if known and selection.needs("groups"):
        groups = _groups(tx, caller, known)
    return [selection.of(full(caller, it, groups.get(it.row.id, [])), SCHEMA) for it in found]


def full(caller: Caller, held: Held[User], groups: Sequence[Document] = ()) -> Document:
    """All of it."""
    row, document = held.row, _document(caller, held)
    made: Document = {
        "schemas": [USER, *([ENTERPRISE] if ENTERPRISE in document else [])],
        "id": row.id,
        **document,
    }
    if groups:
        made["groups"] = list(groups)
    location = f"{caller.base}/{PLURAL}/{row.id}"
    made["meta"] = records.meta(KIND, location, row.created_at, row.updated_at, tag(held))
    return made


def create(tx: Session, caller: Caller, call: Call, now: datetime) -> Change[User]:
    """A new person. Raises ScimError; Uniqueness when somebody has the name."""
    document = read_user(call.message(), active=True)
    user_id = entropy.new_id("usr")
    row = User(
        id=user_id,
        tenant_id=caller.tenant_id,
        login=profile.login_of(document),
        name="",
        password_hash=None,
        status="active",
        is_break_glass=False,
        created_at=now,
        updated_at=now,
    )
    record = records.new_record(caller, KIND, user_id, now, made_here=True)
    record.external_id = document.get("externalId")
    _take_over(row, record, document, now)
    if not document["active"]:
        row.status, record.may_reopen = "disabled", True
    _insert(tx, row, record)
    linked = links.link(tx, caller, user_id, None, record.external_id, now)
    is_active = row.status == "active"
    made = records.provisioned(
        caller,
        "user.create",
        user_id,
        subject=user_id,
        attributes=sorted(document),
        active=is_active,
    )
    return Change(Held(row, record), (made, *linked))


def replace(
    tx: Session, caller: Caller, held: Held[User], call: Call, now: datetime
) -> Change[User]:
    """PUT: what is not there any more goes. What says who they are and whether they work here stays as it is."""
    before = _document(caller, held)
    wanted = read_user(call.message(), active=before["active"])
    if "externalId" in before:
        wanted.setdefault("externalId", before["externalId"])
    return _changed(tx, caller, held, before, wanted, call, now)


def patch(tx: Session, caller: Caller, held: Held[User], call: Call, now: datetime) -> Change[User]:
    """PATCH: all operations or none."""
    before = _document(caller, held)
    return _changed(tx, caller, held, before, patch_user(before, call.message()), call, now)


def remove(
    tx: Session, caller: Caller, held: Held[User], call: Call, now: datetime
) -> Change[User]:
    """Gone for good: another one may have the name, nobody the `sub`."""
    row, record = held.row, held.record
    was_active = row.status == "active"
    row.login = f"{row.login[:_MAX_KEPT_LOGIN_CHARS]}#deleted-{row.id}".lower()
    # The address would keep the next one with it from being linked. Identities stay: whoever still gets past the
    # identity provider is told that the account is closed, and gets no new one.
    row.status, row.email, row.password_hash, row.updated_at = DELETED, None, None, now
    tx.execute(delete(GroupMember).where(GroupMember.user_id == row.id, GroupMember.source == SCIM))
    if record is not None:
        tx.delete(record)
    _flush(tx)
    signal = _signal(caller, "user_deleted", call) if was_active else None
    gone = records.provisioned(caller, "user.delete", row.id, subject=row.id)
    return Change(held, (gone, *_ended(tx, row, signal, now)), signal)


def _changed(
    tx: Session,
    caller: Caller,
    held: Held[User],
    before: Document,
    wanted: Document,
    call: Call,
    now: datetime,
) -> Change[User]:
    row, record = held.row, held.record
    if not _may_open(held):
        wanted["active"] = before["active"] and wanted["active"]
    if wanted == before:
        return Change(held, ())
    if record is None:
        record = records.new_record(caller, KIND, row.id, now, made_here=False)
        tx.add(record)
    known_as = records.external_id_of(record, caller)
    links.name(tx, caller, record, wanted.get("externalId"))
    if wanted["userName"] != before["userName"]:
        # Only then: whoever is here under a name that nobody could choose can leave all the same.
        row.login = profile.login_of(wanted)
    _take_over(row, record, wanted, now)
    closes = before["active"] and not wanted["active"]
    if wanted["active"] != before["active"]:
        row.status, record.may_reopen = ("disabled", True) if closes else ("active", False)
    _flush(tx)
    linked = links.link(tx, caller, row.id, known_as, wanted.get("externalId"), now)
    signal = _signal(caller, "user_disabled", call) if closes else None
    made = records.provisioned(
        caller,
        "user.update",
        row.id,
        subject=row.id,
        attributes=records.changed_names(before, wanted),
        active=row.status == "active",
    )
    events = (made, *linked, *_ended(tx, row, signal, now))
    return Change(Held(row, record), events, signal)


def _may_open(held: Held[User]) -> bool:
    """What an operator closed stays closed, whatever a directory sends with every change of a title."""
    return held.row.status == "active" or (held.record is not None and held.record.may_reopen)


def _signal(caller: Caller, because: str, call: Call) -> Signal:
    via = None if caller.connection is None else caller.connection.slug
    return Signal("scim", because, call.received_at, actor=caller.actor, via=via)


def _ended(tx: Session, row: User, signal: Signal | None, now: datetime) -> tuple[Event, ...]:
    return () if signal is None else end_access(tx, row, signal, now).events


def _document(caller: Caller, held: Held[User]) -> Document:
    """What the client may write, as it is now."""
    row, record = held.row, held.record
    if record is None:
        written: Document = {"displayName": row.name}
        if row.email is not None:
            written["emails"] = [{"value": row.email, "type": "work", "primary": True}]
    else:
        written = dict(record.attributes)
    spelled = written.pop("userName", row.login)
    document = {"userName": spelled if normal_login(spelled) == row.login else row.login}
    external_id = records.external_id_of(record, caller)
    if external_id is not None:
        document["externalId"] = external_id
    return {**document, **written, "active": row.status == "active"}


def _take_over(row: User, record: ScimRecord, document: Document, now: datetime) -> None:
    """What the account itself shows of it, and all of it in the record."""
    row.name, row.email = profile.name_of(document), profile.address_of(document)
    row.updated_at = now
    kept = {key: it for key, it in document.items() if key not in ("externalId", "active")}
    records.written_on(record, kept, now)


def _groups(tx: Session, caller: Caller, user_ids: Sequence[str]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for user_id, group_id, name in tx.execute(
        select(GroupMember.user_id, Group.id, Group.name)
        .join(Group, Group.id == GroupMember.group_id)
        .where(
            among(tx, GroupMember.user_id, user_ids),
            GroupMember.source == SCIM,
            Group.tenant_id == caller.tenant_id,
        )
        .order_by(Group.name)
    ):
        place = {"$ref": f"{caller.base}/Groups/{group_id}", "type": "direct"}
        found.setdefault(user_id, []).append({"value": group_id, "display": name, **place})
    return found


def _insert(tx: Session, row: User, record: ScimRecord) -> None:
    """By the tables: a company begins with all of its people, and the unit of work takes twice as long for each."""
    try:
        direct.write(tx, *(_INSERTS[type(it)]([_values(it)]) for it in (row, record)))
    except IntegrityError:
        raise _taken() from None


def _values(row: User | ScimRecord) -> Row:
    return tuple(getattr(row, column.key) for column in type(row).__table__.columns)


def _flush(tx: Session) -> None:
    """Write what is changed. Of two that want a name at once, one is told that it is taken."""
    try:
        tx.flush()
    except IntegrityError:
        raise _taken() from None


def _taken() -> Uniqueness:
    return Uniqueness("somebody else has this userName or externalId", reason="user_not_unique")


def _not_here() -> NotHere:
    return NotHere("there is no such user", reason="user_unknown")
