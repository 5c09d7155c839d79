"""Records of access tokens, with what they stand on."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from authz.db.models import Client, StatusEntry, TokenFamily, User
from authz.db.models import IssuedToken as TokenRow
from authz.db.statements import AnyOf, Call, Insert, Query, Row, Update
from authz.directory.users import may_act
from authz.oauth.facts import Changes, Facts, IssuedToken, Token
from authz.oauth.rows.wanted import Read, Wanted

_COLUMNS = (
    TokenRow.jti,
    TokenRow.tenant_id,
    TokenRow.client_id,
    TokenRow.subject,
    TokenRow.resource_id,
    TokenRow.expires_at,
    TokenRow.revoked_at,
    TokenFamily.id,
    TokenFamily.revoked_at,
    TokenFamily.connection_id,
    User.status,
    User.cut_at,
    TokenFamily.signed_in_at,
    Client.kind,
    Client.status,
    Client.scope_ceiling,
)
"""Of a record, and of what it stands on."""


def _with_grounds(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return (
        query.join(TokenFamily, TokenFamily.id == TokenRow.family_id, isouter=True)
        .join(
            User,
            and_(User.id == TokenRow.subject, User.tenant_id == TokenRow.tenant_id),
            isouter=True,
        )
        .join(
            Client,
            and_(Client.tenant_id == TokenRow.tenant_id, Client.id == TokenRow.client_id),
            isouter=True,
        )
    )


TOKENS = Query(
    _with_grounds(select(*_COLUMNS).select_from(TokenRow)).where(AnyOf(TokenRow.jti, "tokens"))
)
INSERT_TOKENS = Insert(TokenRow.__table__)  # type: ignore[arg-type]
INSERT_PLACES = Insert(StatusEntry.__table__)  # type: ignore[arg-type]
REVOKE_TOKENS = Update(
    TokenRow.__table__,  # type: ignore[arg-type]
    keys=["jti"],
    assign=["revoked_at"],
)


def reads(wanted: Wanted) -> list[Read]:
    """By `jti`."""
    return [(TOKENS(tokens=wanted.tokens), _learn)] if wanted.tokens else []


def writes(changes: Sequence[Changes]) -> list[Call]:
    """New records, and the moment of revocation."""
    new = [_row(token) for c in changes for token in c.tokens]
    revoked = {it.jti: it.revoked_at for c in changes for it in c.revoked_tokens}
    calls = []
    if new:
        calls.append(INSERT_TOKENS(new))
    if revoked:
        calls.append(REVOKE_TOKENS(sorted(revoked.items())))
    # A statement of its own, so that servers without status lists pay nothing for them.
    if places := [astuple(it) for c in changes for it in c.status_places]:
        calls.append(INSERT_PLACES(places))
    return calls


def tokens_of_list(
    tx: Session, tenant_id: str, list_id: str, now: datetime
) -> list[tuple[int, IssuedToken]]:
    """Those of a status list that have not expired, each with its place."""
    rows = tx.execute(
        _with_grounds(
            select(StatusEntry.place, *_COLUMNS).join_from(
                StatusEntry, TokenRow, TokenRow.jti == StatusEntry.jti
            )
        ).where(
            StatusEntry.list_id == list_id,
            StatusEntry.tenant_id == tenant_id,
            StatusEntry.expires_at > now,
        )
    )
    return [(row[0], _token(tuple(row[1:]))) for row in rows]


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.tokens.update((row[0], _token(row)) for row in rows)


def _token(row: Row) -> IssuedToken:
    *columns, status, cut_at, signed_in_at, kind, client_status, ceiling = row
    enabled = signed_in_at is not None and may_act(status, cut_at, signed_in_at)
    return IssuedToken(*(*columns, enabled, kind, client_status, ceiling))


def _row(t: Token) -> Row:
    return (
        t.jti,
        t.tenant_id,
        t.family_id,
        t.client_id,
        t.subject,
        t.resource_id,
        t.scopes,
        t.decision,
        t.issued_at,
        t.expires_at,
        None,
    )
