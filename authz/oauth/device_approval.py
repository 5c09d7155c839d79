"""What a person answers to a device (RFC 8628 §3.3). Plain lane; callers hold the transaction.

The person is asked by the same decision function as anywhere, so the page shows what the device will get, and what it
will not. An answer is one conditional update of the row: of two answers, or an answer and the clock, one wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from authz import audit
from authz.audit.events import DeviceApproved, DeviceDenied, Event
from authz.clients import registered
from authz.clients.client import Client
from authz.clients.resolution import ClientRefused, usable_row
from authz.db.models import DeviceCode
from authz.directory.sessions import SignedIn
from authz.errors import UnauthorizedClient
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.consents import store_consent, unchanged
from authz.oauth.devices import APPROVED, DENIED, PENDING, ceiling, check_client
from authz.oauth.subjects import load_subject
from authz.policy import Decision, decide
from authz.policy.snapshot import Resource


class Answer(Enum):
    """What a person said."""

    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True)
class WaitingDevice:
    """A device whose request nobody has answered, with everything a person is shown of it."""

    digest: str
    client: Client
    resource: Resource
    requested: frozenset[str] | None
    offline_access: bool
    asked_from: str
    asked_at: datetime


def find_by_user_code(
    tx: Session, configuration: TenantConfiguration, user_code: str, now: datetime
) -> WaitingDevice | None:
    """By the digest of what was typed. None for all that cannot be answered (any more): one answer for a prober."""
    return _find(tx, configuration, DeviceCode.user_code == user_code, now)


def find_by_digest(
    tx: Session, configuration: TenantConfiguration, digest: str, now: datetime
) -> WaitingDevice | None:
    """The one a person was shown."""
    return _find(tx, configuration, DeviceCode.digest == digest, now)


def _find(
    tx: Session, configuration: TenantConfiguration, by: ColumnElement[bool], now: datetime
) -> WaitingDevice | None:
    tenant_id = configuration.tenant.id
    row = tx.scalars(
        select(DeviceCode).where(
            DeviceCode.tenant_id == tenant_id,
            by,
            DeviceCode.status == PENDING,
            DeviceCode.expires_at > now,
        )
    ).one_or_none()
    if row is None:
        return None
    client_row = registered.find(tx, tenant_id, row.client_id)
    resource = configuration.policy.resources.get(row.resource_id)
    if client_row is None or resource is None or not resource.enabled:
        return None
    try:
        client = usable_row(client_row)
        check_client(client)
    except (ClientRefused, UnauthorizedClient):
        return None
    return WaitingDevice(
        digest=row.digest,
        client=client,
        resource=resource,
        requested=row.requested,
        offline_access=row.offline_access,
        asked_from=row.asked_from,
        asked_at=row.created_at,
    )


def decide_for(
    tx: Session,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    device: WaitingDevice,
    now: datetime,
) -> Decision:
    """What policy leaves of the request for this person through this client on another device."""
    return decide(
        configuration.policy,
        load_subject(tx, signed_in.user_id, authentication=signed_in.authentication),
        device.resource,
        client=device.client.id,
        requested=device.requested,
        ceilings=(
            ceiling(device.resource),
            *configuration.ceilings(device.client, device.resource, now),
        ),
        now=now,
    )


def allow(
    tx: Session,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    device: WaitingDevice,
    chosen: frozenset[str],
    *,
    seen: Mapping[str, int],
    now: datetime,
) -> Answer | None:
    """Store the person's yes; a choice of which nothing is left is a no.

    None when it came too late, or a scope of it means something else by now than the version that was `seen`.
    """
    decision = decide_for(tx, configuration, signed_in, device, now)
    allowed, withheld = decision.granted & chosen, decision.granted - chosen
    if unchanged(seen, device.resource, allowed) != allowed:
        return None
    if not allowed:
        return deny(tx, configuration, signed_in, device, now, reason="consent_withheld")
    answer = {
        "status": APPROVED,
        "user_id": signed_in.user_id,
        "scopes": allowed,
        "auth_time": signed_in.auth_time,
        "acr": signed_in.acr,
        "amr": list(signed_in.amr),
        "connection_id": signed_in.connection_id,
        "session_digest": signed_in.digest,
        "signed_in_at": signed_in.signed_in_at,
        "upstream_expires_at": signed_in.upstream_expires_at,
    }
    if not _answer(tx, device, answer, now):
        return None
    store_consent(
        tx,
        tenant_id=configuration.tenant.id,
        user_id=signed_in.user_id,
        client=device.client,
        resource=device.resource,
        redirect_uri=None,
        allowed=allowed,
        withheld=withheld,
        remembered=False,  # the next device is another one (DEV-03)
        now=now,
    )
    approved = DeviceApproved(
        subject=signed_in.user_id,
        client=device.client.id,
        resource=device.resource.identifier,
        scopes=sorted(allowed),
        withheld=sorted(withheld),
        removed={scope: str(reason) for scope, reason in decision.removed.items()},
        asked_from=device.asked_from,
    )
    _record(tx, configuration, approved, now)
    return Answer.ALLOWED


def deny(
    tx: Session,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    device: WaitingDevice,
    now: datetime,
    *,
    reason: str = "consent_refused",
) -> Answer | None:
    """Store the person's no. None when it came too late."""
    answer = {"status": DENIED, "user_id": signed_in.user_id}
    if not _answer(tx, device, answer, now):
        return None
    denied = DeviceDenied(
        subject=signed_in.user_id,
        client=device.client.id,
        resource=device.resource.identifier,
        reason=reason,
        asked_from=device.asked_from,
    )
    _record(tx, configuration, denied, now)
    return Answer.DENIED


def _answer(tx: Session, device: WaitingDevice, values: dict[str, Any], now: datetime) -> bool:
    answered = tx.execute(
        update(DeviceCode)
        .where(
            DeviceCode.digest == device.digest,
            DeviceCode.status == PENDING,
            DeviceCode.expires_at > now,
        )
        .values(**values)
    )
    return bool(answered.rowcount == 1)  # type: ignore[attr-defined]


def _record(tx: Session, configuration: TenantConfiguration, event: Event, now: datetime) -> None:
    audit.record(tx, configuration.tenant.id, event, key=configuration.audit_key, now=now)
