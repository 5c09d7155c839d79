"""Which connections a tenant has, and which one somebody's address leads to.

Home-realm discovery looks at the domain alone and never at accounts, so it tells a stranger nothing about people (M2,
OIDC-10).
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz.db import direct
from authz.db.models import Connection, Domain, GroupMapping
from authz.db.statements import AnyOf, Query
from authz.directory.linking import domain_of
from authz.directory.users import normal_login
from authz.federation.connector import Upstream
from authz.federation.registry import CONNECTORS

ACTIVE = "active"
# Written once: what every sign-in asks, several times.
_ACTIVE = select(Connection).where(
    Connection.tenant_id == bindparam("tenant_id"),
    Connection.slug == bindparam("slug"),
    Connection.status == ACTIVE,
)
_CLAIMS = Query(
    select(GroupMapping.claim).where(AnyOf(GroupMapping.connection_id, "connections")).distinct()
)


def find_active(tx: Session, tenant_id: str, slug: str) -> Connection | None:
    """The connection of this slug, if people may come from there."""
    row = tx.scalars(_ACTIVE, {"tenant_id": tenant_id, "slug": slug}).one_or_none()
    # Those that only assert have no door to come in by.
    return row if row is not None and row.kind in CONNECTORS else None


def have_any(tx: Session, tenant_id: str) -> bool:
    """Whether anybody can sign in here other than by a password."""
    return (
        tx.scalars(
            select(Connection.id)
            .where(
                Connection.tenant_id == tenant_id,
                Connection.status == ACTIVE,
                Connection.kind.in_(CONNECTORS),
            )
            .limit(1)
        ).first()
        is not None
    )


def listed(tx: Session, tenant_id: str, *, among: Sequence[str] = ()) -> list[Connection]:
    """Those with a button, by name; or, whether they have one or not, those `among` which somebody has to choose."""
    return list(
        tx.scalars(
            select(Connection)
            .where(
                Connection.tenant_id == tenant_id,
                Connection.status == ACTIVE,
                Connection.kind.in_(CONNECTORS),
                Connection.slug.in_(among) if among else Connection.is_listed,
            )
            .order_by(Connection.name, Connection.slug)
        )
    )


def active(tx: Session, tenant_id: str) -> list[Connection]:
    """Those of this tenant that people may come from."""
    return list(
        tx.scalars(
            select(Connection).where(
                Connection.tenant_id == tenant_id,
                Connection.status == ACTIVE,
                Connection.kind.in_(CONNECTORS),
            )
        )
    )


def of_login(tx: Session, tenant_id: str, login: str) -> Connection | None:
    """Where people with an address like this sign in: the connection of exactly this domain, once it is proved."""
    name = domain_of(normal_login(login))
    if name is None:
        return None
    return tx.scalars(
        select(Connection)
        .join(Domain, Domain.connection_id == Connection.id)
        .where(
            Domain.tenant_id == tenant_id,
            Domain.name == name,
            Domain.verified_at.is_not(None),
            Connection.tenant_id == tenant_id,
            Connection.status == ACTIVE,
            Connection.kind.in_(CONNECTORS),
        )
    ).one_or_none()


def wanted_claims(tx: Session, connection_id: str) -> frozenset[str]:
    """The claims that mappings mention."""
    return frozenset(claim for (claim,) in direct.fetch(tx, _CLAIMS(connections=[connection_id])))


def upstream_of(row: Connection, issuer: str) -> Upstream:
    """The connection as its connector sees it."""
    return Upstream(
        id=row.id,
        tenant_id=row.tenant_id,
        slug=row.slug,
        preset=row.preset,
        settings=row.settings,
        base=f"{issuer}/federation/{row.slug}",
    )
