"""Browser sessions, their people, and what those people allowed: for a request that needs no page."""

from collections.abc import Sequence

from sqlalchemy import and_, select

from authz.db.models import Consent, Session, User
from authz.db.statements import AnyOf, Call, Query, Row
from authz.directory.sessions import SignedIn
from authz.directory.users import may_act
from authz.oauth.facts import BrowserSession, Changes, Facts, StoredConsent
from authz.oauth.rows.holdings import holdings_query, learn_holdings
from authz.oauth.rows.wanted import Read, Wanted

_AMR = 5
SESSIONS = Query(
    select(
        Session.digest,
        Session.user_id,
        User.login,
        User.name,
        Session.auth_time,
        Session.amr,
        Session.acr,
        Session.connection_id,
        Session.created_at,
        Session.upstream_expires_at,
        Session.tenant_id,
        Session.expires_at,
        Session.ended_at,
        User.status,
        User.cut_at,
    )
    .join_from(Session, User, and_(User.id == Session.user_id, User.tenant_id == Session.tenant_id))
    .where(AnyOf(Session.digest, "sessions"))
    .order_by(Session.digest)
    # The code that will be made stands on it: its end either sees the code or is seen here.
    .with_for_update(read=True, of=Session)
)
CONSENTS = Query(
    select(
        Consent.user_id,
        Consent.client_id,
        Consent.resource_id,
        Consent.scopes,
        Consent.limited,
        Consent.versions,
        Consent.redirect_uris,
        Consent.client_digest,
        Consent.remembered,
        Consent.revoked_at,
    )
    .join_from(
        Session,
        Consent,
        and_(Consent.user_id == Session.user_id, Consent.tenant_id == Session.tenant_id),
    )
    .where(AnyOf(Session.digest, "sessions"))
    .where(AnyOf(Consent.client_id, "clients"))
    .where(AnyOf(Consent.resource_id, "resources"))
)
HOLDINGS = holdings_query(select(Session.user_id).where(AnyOf(Session.digest, "sessions")))


def reads(wanted: Wanted) -> list[Read]:
    """By digest."""
    if not wanted.sessions:
        return []
    consents = CONSENTS(
        sessions=wanted.sessions, clients=wanted.clients, resources=wanted.resources
    )
    return [
        (SESSIONS(sessions=wanted.sessions), _learn),
        (consents, _learn_consents),
        (HOLDINGS(sessions=wanted.sessions), learn_holdings),
    ]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: a session is not changed by what it is used for."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    for *columns, tenant_id, expires_at, ended_at, status, cut_at in rows:
        columns[_AMR] = tuple(columns[_AMR])
        signed_in = SignedIn(*columns)
        facts.sessions[signed_in.digest] = BrowserSession(
            signed_in,
            tenant_id,
            expires_at,
            ended_at,
            may_act(status, cut_at, signed_in.signed_in_at),
        )


def _learn_consents(facts: Facts, rows: list[Row]) -> None:
    for user_id, client_id, resource_id, *what, uris, digest, remembered, ended in rows:
        scopes, limited, versions = what
        facts.consents[user_id, client_id, resource_id] = StoredConsent(
            scopes, limited, versions, tuple(uris), digest, bool(remembered), ended
        )
