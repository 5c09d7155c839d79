"""How many live families a client has, for quotas alone: no batch pays for it where none is set (M13)."""

from collections.abc import Sequence

from sqlalchemy import func, select

from authz.db.models import AgentClient, TokenFamily
from authz.db.statements import AfterAllOf, AnyOf, Call, Query, Row, spelled_moment
from authz.oauth.facts import Changes, Facts
from authz.oauth.rows.wanted import Read, Wanted

# Counted by one batch at a time, or two processes would both grant the last one. The agent's own row is locked by
# operators, who may be about to wait for a family that the batch has.
LOCK = Query(
    select(AgentClient.client_id)
    .where(AnyOf(AgentClient.tenant_id, "tenants"), AnyOf(AgentClient.client_id, "clients"))
    .order_by(AgentClient.tenant_id, AgentClient.client_id)
    .with_for_update(key_share=True)
)
GRANTS = Query(
    select(TokenFamily.tenant_id, TokenFamily.client_id, func.count())
    .where(
        AnyOf(TokenFamily.tenant_id, "tenants"),
        AnyOf(TokenFamily.client_id, "clients"),
        TokenFamily.revoked_at.is_(None),
        AfterAllOf(TokenFamily.idle_expires_at, "moments"),
    )
    .group_by(TokenFamily.tenant_id, TokenFamily.client_id)
)


def reads(wanted: Wanted) -> list[Read]:
    """The lock, and after it the numbers."""
    if not wanted.grants_of:
        return []
    tenants, clients = zip(*wanted.grants_of, strict=True)
    moments = map(spelled_moment, wanted.grants_at)
    return [
        (LOCK(tenants=tenants, clients=clients), lambda _facts, _rows: None),
        (GRANTS(tenants=tenants, clients=clients, moments=moments), _learn),
    ]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: what is counted is `families`."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.grants.update({(tenant_id, client_id): count for tenant_id, client_id, count in rows})
