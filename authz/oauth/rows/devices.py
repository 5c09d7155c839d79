"""Devices that wait for a person, or waited (RFC 8628)."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import and_, select

from authz.db.models import Consent, DeviceCode, User
from authz.db.statements import AnyOf, Call, Insert, Query, Row, Update
from authz.directory.users import may_act
from authz.oauth.facts import Approval, Changes, Device, Facts
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

_PLAIN = (
    "digest",
    "tenant_id",
    "user_code",
    "client_id",
    "resource_id",
    "requested",
    "offline_access",
    "status",
    "poll_interval",
    "polled_at",
    "asked_from",
    "created_at",
    "expires_at",
    "family_id",
)
"""Columns that are fields of the fact under the same name."""

DEVICES = Query(
    select(
        *[getattr(DeviceCode, name) for name in _PLAIN],
        DeviceCode.user_id,
        DeviceCode.scopes,
        DeviceCode.auth_time,
        DeviceCode.acr,
        DeviceCode.amr,
        DeviceCode.connection_id,
        DeviceCode.session_digest,
        DeviceCode.signed_in_at,
        DeviceCode.upstream_expires_at,
    )
    .where(AnyOf(DeviceCode.digest, "devices"))
    .order_by(DeviceCode.digest)
    .with_for_update()
)
# A statement of its own: one that waited for the person's answer would join the new row with nobody, as the old
# one had nobody to join.
STANDINGS = Query(
    select(
        DeviceCode.digest,
        DeviceCode.signed_in_at,
        User.status,
        User.cut_at,
        Consent.scopes,
        Consent.revoked_at,
    )
    .join_from(
        DeviceCode,
        User,
        and_(User.id == DeviceCode.user_id, User.tenant_id == DeviceCode.tenant_id),
    )
    .join(
        Consent,
        and_(
            Consent.tenant_id == DeviceCode.tenant_id,
            Consent.user_id == DeviceCode.user_id,
            Consent.client_id == DeviceCode.client_id,
            Consent.resource_id == DeviceCode.resource_id,
        ),
        isouter=True,
    )
    .where(AnyOf(DeviceCode.digest, "devices"))
)
HOLDINGS = holdings_query(select(DeviceCode.user_id).where(AnyOf(DeviceCode.digest, "devices")))
USER_CODES = Query(
    select(DeviceCode.tenant_id, DeviceCode.user_code).where(
        AnyOf(DeviceCode.user_code, "user_codes")
    )
)
UPDATE_DEVICES = Update(
    DeviceCode.__table__,  # type: ignore[arg-type]
    keys=["digest"],
    assign=["status", "poll_interval", "polled_at", "family_id"],
)
INSERT_DEVICES = Insert(DeviceCode.__table__)  # type: ignore[arg-type]


def reads(wanted: Wanted) -> list[Read]:
    """By digest, with their people; and which user codes are in use."""
    calls: list[Read] = []
    if wanted.devices:
        calls.append((DEVICES(devices=wanted.devices), _learn))
        calls.append((STANDINGS(devices=wanted.devices), _learn_standings))
        calls.append((HOLDINGS(devices=wanted.devices), learn_holdings))
    if wanted.user_codes:
        calls.append((USER_CODES(user_codes=wanted.user_codes), _learn_user_codes))
    return calls


def writes(changes: Sequence[Changes]) -> list[Call]:
    """Polls and redemptions, and new ones. What a person answers is written by `oauth.device_approval`."""
    changed = {it.digest: it for c in changes for it in c.devices}
    new = [it for c in changes for it in c.new_devices]
    calls = []
    if changed:
        rows = [
            (it.digest, it.status, it.poll_interval, it.polled_at, it.family_id)
            for _, it in sorted(changed.items())
        ]
        calls.append(UPDATE_DEVICES(rows))
    if new:
        calls.append(INSERT_DEVICES([_row(it) for it in new]))
    return calls


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.devices = {row[0]: _device(row) for row in rows}


def _learn_standings(facts: Facts, rows: list[Row]) -> None:
    for digest, signed_in_at, status, cut_at, consented, revoked_at in rows:
        facts.devices[digest] = replace(
            facts.devices[digest],
            subject_enabled=signed_in_at is not None and may_act(status, cut_at, signed_in_at),
            consent_stands=consented is not None and revoked_at is None,
        )


def _learn_user_codes(facts: Facts, rows: list[Row]) -> None:
    facts.user_codes = {(tenant_id, user_code) for tenant_id, user_code in rows}


def _device(row: Row) -> Device:
    plain, rest = row[: len(_PLAIN)], row[len(_PLAIN) :]
    user_id, scopes, auth_time, acr, amr, *how = rest
    approval = None
    if scopes is not None:
        approval = Approval(user_id, scopes, auth_time, acr, tuple(amr), *how)
    return Device(**dict(zip(_PLAIN, plain, strict=True)), approval=approval)


def _row(device: Device) -> Row:
    """In the order of the table's columns; nobody has answered a new one."""
    values = {name: getattr(device, name) for name in _PLAIN}
    return tuple(values.get(column.name) for column in DeviceCode.__table__.c)
