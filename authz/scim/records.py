"""What both resource types share: the record of what a client wrote, its version, and the event of a change."""

from datetime import UTC, datetime
from typing import Any

from authz.audit.events import Provisioned
from authz.db.models import ScimRecord
from authz.scim.calls import Call, Caller
from authz.scim.errors import Outdated
from authz.scim.reading import Document


def new_record(
    caller: Caller, kind: str, id_: str, now: datetime, *, made_here: bool
) -> ScimRecord:
    """Nothing written yet."""
    return ScimRecord(
        id=id_,
        tenant_id=caller.tenant_id,
        kind=kind,
        provisioner=caller.provisioner,
        external_id=None,
        made_here=made_here,
        may_reopen=False,
        attributes={},
        version=0,
        created_at=now,
        updated_at=now,
    )


def external_id_of(record: ScimRecord | None, caller: Caller) -> str | None:
    """What this caller calls it; what others call it is theirs (RFC 7643 §3.1)."""
    return (
        None if record is None or record.provisioner != caller.provisioner else record.external_id
    )


def written_on(record: ScimRecord, attributes: Document, now: datetime) -> None:
    """The next version."""
    record.attributes = attributes
    record.version += 1
    record.updated_at = now


def etag(record: ScimRecord | None, updated_at: datetime) -> str:
    """Weak, because what others change is in it by its moment alone."""
    version = 0 if record is None else record.version
    return f'W/"{version}.{int(updated_at.timestamp() * 1_000_000)}"'


def check_version(call: Call, current: str) -> None:
    """Raise Outdated unless the client knows this version (`If-Match`)."""
    if call.if_match is not None and not is_listed(call.if_match, current):
        raise Outdated("the resource has changed since", reason="version_outdated")


def is_listed(header: str, current: str) -> bool:
    """Whether a list of entity tags has this one, compared weakly."""
    tags = [it.strip().removeprefix("W/") for it in header.split(",")]
    return "*" in tags or current.removeprefix("W/") in tags


def spelled(moment: datetime) -> str:
    """A dateTime of RFC 7643 §2.3.5, as exact as it is stored: clients ask for what is later than it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def meta(kind: str, location: str, created: datetime, modified: datetime, tag: str) -> Document:
    """RFC 7643 §3.1."""
    return {
        "resourceType": kind,
        "created": spelled(created),
        "lastModified": spelled(modified),
        "location": location,
        "version": tag,
    }


def changed_names(before: Document, after: Document) -> list[str]:
    """Which attributes differ; never their values."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )


def provisioned(
    caller: Caller, what: str, target: str, *, subject: str | None = None, **values: Any
) -> Provisioned:
    """The event of a change by this caller."""
    connection = None if caller.connection is None else caller.connection.slug
    return Provisioned(
        what=what,
        target=target,
        values=values,
        connection=connection,
        subject=subject,
        actor=caller.actor,
    )
