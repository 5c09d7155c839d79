"""Accounts behind subjects of identity providers, for assertions about people."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.db.models import Identity, User
from authz.db.statements import AnyRowOf, Call, Query, Row, spelled_row
from authz.oauth.facts import Changes, Facts, LinkedIdentity
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

# The whole key, or every person of every tenant would be looked through.
_ASKED = AnyRowOf((Identity.tenant_id, Identity.connection_id, Identity.subject), "identities")
IDENTITIES = Query(
    select(
        Identity.connection_id,
        Identity.subject,
        # Of the person, and not compared here: PostgreSQL would take it for a way to find everybody of the tenant.
        User.tenant_id,
        Identity.user_id,
        User.status,
        User.cut_at,
    )
    .join_from(Identity, User, User.id == Identity.user_id)
    .where(_ASKED)
    .order_by(User.id)
    # The token that will be made stands on no session and no code: this row alone says that its person is leaving, so
    # their end either sees the token or is seen here.
    .with_for_update(read=True, of=User)
)
HOLDINGS = holdings_query(select(Identity.user_id).where(_ASKED))


def reads(wanted: Wanted) -> list[Read]:
    """By tenant, connection and subject."""
    if not wanted.identities:
        return []
    spelled = [spelled_row(*it) for it in wanted.identities]
    return [
        (IDENTITIES(identities=spelled), _learn),
        (HOLDINGS(identities=spelled), learn_holdings),
    ]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: accounts are linked before, in a transaction of their own."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    for row in rows:
        facts.identities[row[0], row[1]] = LinkedIdentity(*row)
