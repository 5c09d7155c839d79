"""Accounts behind subjects of identity providers, for assertions about people."""

from collections.abc import Sequence

from sqlalchemy import and_, select

from authz.db.models import Identity, User
from authz.db.statements import AnyOf, Call, Query, Row
from authz.oauth.facts import Changes, Facts, LinkedIdentity
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

IDENTITIES = Query(
    select(
        Identity.connection_id,
        Identity.subject,
        Identity.tenant_id,
        Identity.user_id,
        User.status,
        User.cut_at,
    )
    .join_from(
        Identity,
        User,
        and_(User.id == Identity.user_id, User.tenant_id == Identity.tenant_id),
    )
    .where(AnyOf(Identity.connection_id, "connections"))
    .where(AnyOf(Identity.subject, "subjects"))
    .order_by(User.id)
    # The token that will be made stands on no session and no code: this row alone says that its person is leaving, so
    # their end either sees the token or is seen here.
    .with_for_update(read=True, of=User)
)
HOLDINGS = holdings_query(
    select(Identity.user_id)
    .where(AnyOf(Identity.connection_id, "connections"))
    .where(AnyOf(Identity.subject, "subjects"))
)


def reads(wanted: Wanted) -> list[Read]:
    """By connection and subject; a pair that nobody asked for is more than was wanted, and is not looked up."""
    if not wanted.identities:
        return []
    keys = {
        "connections": {connection for connection, _ in wanted.identities},
        "subjects": {subject for _, subject in wanted.identities},
    }
    return [(IDENTITIES(**keys), _learn), (HOLDINGS(**keys), learn_holdings)]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: accounts are linked before, in a transaction of their own."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    for row in rows:
        facts.identities[row[0], row[1]] = LinkedIdentity(*row)
