"""Authorization codes."""

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import and_, select

from authz.db.models import AuthorizationCode, Consent, User
from authz.db.statements import AnyOf, Call, Insert, Query, Row, Update
from authz.directory.users import may_act
from authz.oauth.facts import Changes, Code, Facts
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

_NAMES = [it.name for it in fields(Code)][: len(AuthorizationCode.__table__.c)]
"""The fields that are columns; more follow, of the person and of the consent."""
_AMR, _SIGNED_IN_AT = _NAMES.index("amr"), _NAMES.index("signed_in_at")

CODES = Query(
    select(
        *[getattr(AuthorizationCode, name) for name in _NAMES],
        User.status,
        User.cut_at,
        User.login,
        User.name,
        Consent.scopes,
        Consent.revoked_at,
    )
    .join_from(
        AuthorizationCode,
        User,
        and_(User.id == AuthorizationCode.user_id, User.tenant_id == AuthorizationCode.tenant_id),
        isouter=True,
    )
    .join(
        Consent,
        and_(
            Consent.tenant_id == AuthorizationCode.tenant_id,
            Consent.user_id == AuthorizationCode.user_id,
            Consent.client_id == AuthorizationCode.client_id,
            Consent.resource_id == AuthorizationCode.resource_id,
        ),
        isouter=True,
    )
    .where(AnyOf(AuthorizationCode.digest, "codes"))
    .order_by(AuthorizationCode.digest)
    .with_for_update(of=AuthorizationCode)
)
HOLDINGS = holdings_query(
    select(AuthorizationCode.user_id).where(AnyOf(AuthorizationCode.digest, "codes"))
)
SPEND_CODES = Update(
    AuthorizationCode.__table__,  # type: ignore[arg-type]
    keys=["digest"],
    assign=["spent_at", "family_id"],
)
INSERT_CODES = Insert(AuthorizationCode.__table__)  # type: ignore[arg-type]


def reads(wanted: Wanted) -> list[Read]:
    """By digest, with their people."""
    if not wanted.codes:
        return []
    return [
        (CODES(codes=wanted.codes), _learn),
        (HOLDINGS(codes=wanted.codes), learn_holdings),
    ]


def writes(changes: Sequence[Changes]) -> list[Call]:
    """Spend, and make."""
    spent = {code.digest: code for c in changes for code in c.codes}
    new = [code for c in changes for code in c.new_codes]
    calls = []
    if spent:
        rows = [(code.digest, code.spent_at, code.family_id) for _, code in sorted(spent.items())]
        calls.append(SPEND_CODES(rows))
    if new:
        calls.append(INSERT_CODES([code_row(code) for code in new]))
    return calls


def code_row(code: Code) -> Row:
    """In the order of the table's columns."""
    values = {name: getattr(code, name) for name in _NAMES}
    values["amr"] = list(code.amr)
    return tuple(values[column.name] for column in AuthorizationCode.__table__.c)


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.codes = {row[0]: _code(row) for row in rows}


def _code(row: Row) -> Code:
    *columns, status, cut_at, login, name, consented, revoked_at = row
    columns[_AMR] = tuple(columns[_AMR])
    columns += [
        may_act(status, cut_at, columns[_SIGNED_IN_AT]),
        consented is not None and revoked_at is None,
    ]
    columns += [login or "", name or ""]
    return Code(*columns)
