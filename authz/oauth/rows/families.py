"""Token families."""

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import Select, and_, literal, null, select

from authz.db.models import AuthorizationCode, Consent, DeviceCode, TokenFamily, User
from authz.db.statements import AnyOf, Call, Insert, Query, Row, Update
from authz.db.types import UTCDateTime
from authz.directory.users import may_act
from authz.oauth.facts import Changes, Facts, Family
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

_NAMES = [it.name for it in fields(Family)][: len(TokenFamily.__table__.c)]
"""The fields that are columns; two more follow, of the person and of the consent."""
_COLUMNS = [getattr(TokenFamily, name) for name in _NAMES]
_AMR, _SIGNED_IN_AT = _NAMES.index("amr"), _NAMES.index("signed_in_at")

FAMILIES = Query(
    select(*_COLUMNS, User.status, User.cut_at, Consent.scopes, Consent.revoked_at)
    .join_from(
        TokenFamily,
        User,
        and_(User.id == TokenFamily.user_id, User.tenant_id == TokenFamily.tenant_id),
        isouter=True,
    )
    .join(
        Consent,
        and_(
            Consent.tenant_id == TokenFamily.tenant_id,
            Consent.user_id == TokenFamily.user_id,
            Consent.client_id == TokenFamily.client_id,
            Consent.resource_id == TokenFamily.resource_id,
        ),
        isouter=True,
    )
    .where(AnyOf(TokenFamily.id, "families"))
    .order_by(TokenFamily.id)
    .with_for_update(of=TokenFamily)
)


def _families_of(made: Select[str | None]) -> Query:
    """A replayed code must be able to revoke the family it made, so those families are read and locked too."""
    return Query(
        select(
            *_COLUMNS,
            literal("active"),
            literal(None, UTCDateTime),
            null().label("scopes"),
            null().label("revoked"),
        )
        .where(TokenFamily.id.in_(made))
        .order_by(TokenFamily.id)
        .with_for_update(of=TokenFamily)
    )


FAMILIES_OF_CODES = _families_of(
    select(AuthorizationCode.family_id).where(AnyOf(AuthorizationCode.digest, "codes"))
)
FAMILIES_OF_DEVICES = _families_of(
    select(DeviceCode.family_id).where(AnyOf(DeviceCode.digest, "devices"))
)
HOLDINGS = holdings_query(select(TokenFamily.user_id).where(AnyOf(TokenFamily.id, "families")))

UPDATE_FAMILIES = Update(
    TokenFamily.__table__,  # type: ignore[arg-type]
    keys=["id"],
    assign=["generation", "rotated_at", "idle_expires_at", "revoked_at", "revoked_because"],
)
INSERT_FAMILIES = Insert(TokenFamily.__table__)  # type: ignore[arg-type]


def reads(wanted: Wanted) -> list[Read]:
    """By id, and those that a code or a device made."""
    calls: list[Read] = []
    if wanted.families:
        calls.append((FAMILIES(families=wanted.families), _learn))
        calls.append((HOLDINGS(families=wanted.families), learn_holdings))
    if wanted.codes:
        calls.append((FAMILIES_OF_CODES(codes=wanted.codes), _learn))
    if wanted.devices:
        calls.append((FAMILIES_OF_DEVICES(devices=wanted.devices), _learn))
    return calls


def writes(changes: Sequence[Changes]) -> list[Call]:
    """New ones whole, others where they may change."""
    new = {family.id for c in changes for family in c.new_families}
    latest = {f.id: f for c in changes for f in (*c.new_families, *c.families)}
    calls = []
    if changed := [f for id_, f in sorted(latest.items()) if id_ not in new]:
        calls.append(
            UPDATE_FAMILIES(
                [
                    (
                        f.id,
                        f.generation,
                        f.rotated_at,
                        f.idle_expires_at,
                        f.revoked_at,
                        f.revoked_because,
                    )
                    for f in changed
                ]
            )
        )
    if new:
        calls.append(INSERT_FAMILIES([_row(latest[id_]) for id_ in sorted(new)]))
    return calls


def _learn(facts: Facts, rows: list[Row]) -> None:
    for row in rows:
        if row[0] not in facts.families:
            facts.families[row[0]] = _family(row)


def _family(row: Row) -> Family:
    *columns, status, cut_at, consented, revoked_at = row
    columns[_AMR] = tuple(columns[_AMR])
    columns += [
        may_act(status, cut_at, columns[_SIGNED_IN_AT]),
        consented if revoked_at is None else None,
    ]
    return Family(*columns)


def _row(family: Family) -> Row:
    values = [getattr(family, name) for name in _NAMES]
    values[_AMR] = list(family.amr)
    return tuple(values)
