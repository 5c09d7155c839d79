"""What a client calls somebody, and what that means at the connection it belongs to.

A provider that sends as `externalId` what it sends as `sub` when the person signs in has linked the account before its
first use: no address has to be believed. An identity is bound to one living account, once.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit.events import Event, IdentityLinked
from authz.db.models import Connection, Identity, ScimRecord, User
from authz.scim.calls import Caller
from authz.scim.errors import Mutability, Uniqueness
from authz.scim.filter import Text


def external_id(caller: Caller, kind: str) -> Text:
    """What filters look at: the caller's own names for things."""
    own = (
        ScimRecord.tenant_id == caller.tenant_id,
        ScimRecord.kind == kind,
        ScimRecord.provisioner == caller.provisioner,
    )
    return Text(ScimRecord.external_id, within=own)


def name(tx: Session, caller: Caller, record: ScimRecord, wanted: str | None) -> None:
    """Give it the caller's name. Raises Mutability when it has one of another client that is still there."""
    if record.provisioner != caller.provisioner:
        if wanted is None:
            return
        if is_others(tx, caller, record):
            raise Mutability(
                "another provisioning client gave this resource its externalId",
                reason="external_id_of_other_client",
            )
        record.provisioner = caller.provisioner
    record.external_id = wanted


def is_others(tx: Session, caller: Caller, record: ScimRecord) -> bool:
    """Whether it is another connection's. What was written for none, or for one that is gone, anybody takes over."""
    if record.provisioner in ("", caller.provisioner):
        return False
    return tx.get(Connection, record.provisioner) is not None


def link(
    tx: Session, caller: Caller, user_id: str, before: str | None, after: str | None, now: datetime
) -> list[Event]:
    """Follow `externalId` at the caller's connection. Raises Uniqueness."""
    connection = caller.connection
    if connection is None or before == after:
        return []
    old, new = (None if it is None else connection.subject_of(it) for it in (before, after))
    if old is not None:
        _forget_unused(tx, (caller.tenant_id, connection.id, old), user_id)
    if new is None:
        return []
    key = (caller.tenant_id, connection.id, new)
    found = tx.get(Identity, key, with_for_update=True)
    if found is None:
        tx.add(
            Identity(
                tenant_id=caller.tenant_id,
                connection_id=connection.id,
                subject=new,
                user_id=user_id,
                linked_by="scim",
                linked_at=now,
                last_sign_in_at=None,
            )
        )
    elif found.user_id == user_id:
        return []
    elif _is_deleted(tx, found.user_id):
        # Whom the directory has deleted and made anew is the new one.
        found.user_id, found.linked_by, found.linked_at = user_id, "scim", now
        found.last_sign_in_at = None
    else:
        raise Uniqueness(
            "somebody else signs in under this externalId", reason="external_id_linked"
        )
    tx.flush()
    return [
        IdentityLinked(subject=user_id, connection=connection.slug, by="scim", actor=caller.actor)
    ]


def _forget_unused(tx: Session, key: tuple[str, str, str], user_id: str) -> None:
    """What nobody ever signed in under was a mistake; what somebody did is theirs."""
    found = tx.get(Identity, key)
    if (
        found is not None
        and found.user_id == user_id
        and found.linked_by == "scim"
        and found.last_sign_in_at is None
    ):
        tx.delete(found)


def _is_deleted(tx: Session, user_id: str) -> bool:
    return tx.scalars(select(User.status).where(User.id == user_id)).one() == "deleted"
