"""Trusted issuers: whose assertions about people are redeemed for access tokens, and how far (IDJAG-80).

What is done with an entry whatever it is about is here as well; those about workloads are `admin.workload_trust`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections, resources
from authz.admin.operator import Operator
from authz.admin.workload_access import access_of, cut_off_fallen
from authz.db.models import Connection, TrustedIssuer
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.assertion_subjects import check_names
from authz.oauth.trust import ID_JAG, TrustSettings, check_settings, check_url, settings_of
from authz.oauth.workload_trust import WORKLOAD, warnings_of
from authz.oauth.workload_trust import settings_of as settings_of_workloads
from authz.policy.administration import Permission
from authz.tenants import is_slug

ASSERTING = "asserts"
"""The kind of a connection that only vouches by assertions: nobody is sent there to sign in."""


@dataclass(frozen=True)
class TrustLine:
    """A trust entry in a list."""

    slug: str
    kind: str
    issuer: str
    connection: str | None
    """Whose people it is about; none where it is about workloads."""
    status: str
    settings: Mapping[str, Any]
    """What differs from the defaults."""
    created_at: datetime
    warnings: tuple[str, ...] = ()
    """What its operator should look at again."""


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    slug: str,
    issuer: str,
    settings: Mapping[str, Any],
    connection: str | None = None,
    provisions: bool = False,
) -> TrustLine:
    """Believe an issuer about people of a connection; without one, of a connection of its own, made with it.

    Raises Invalid naming the member, Conflict.
    """
    operator.must(Permission.TRUST_WRITE)
    check_slug(tx, tenant_id, slug)
    checked = _checked(tx, tenant_id, settings)
    _check_issuer(tx, tenant_id, issuer, checked)
    with about("slug" if connection is None else "connection"):
        row = (
            _own_connection(tx, operator, tenant_id, slug, provisions=provisions)
            if connection is None
            else connections.load(tx, tenant_id, connection)
        )
    check_names(checked.subject, checked.saml_issuer, row.kind, row.settings)
    entry = TrustedIssuer(
        id=entropy.new_id("tru"),
        tenant_id=tenant_id,
        slug=slug,
        kind=ID_JAG,
        connection_id=row.id,
        issuer=issuer,
        status="active",
        settings=checked.as_json(),
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(entry)
    tx.flush()
    values = {"issuer": issuer, "connection": row.slug, "settings": checked.as_json()}
    operator.changed(tx, tenant_id, "trust.add", slug, values)
    return line_of(entry, row.slug)


def change(
    tx: Session, operator: Operator, tenant_id: str, slug: str, settings: Mapping[str, Any]
) -> TrustLine:
    """Change what is given; a null takes a member back to its default."""
    operator.must(Permission.TRUST_WRITE)
    entry, connection = load(tx, tenant_id, slug)
    if entry.kind != ID_JAG:
        raise Conflict(f"{slug} is trusted about workloads")
    people = tx.get_one(Connection, entry.connection_id)
    merged = {**entry.settings, **settings}
    checked = _checked(tx, tenant_id, {k: v for k, v in merged.items() if v is not None})
    check_names(checked.subject, checked.saml_issuer, people.kind, people.settings)
    entry.settings, entry.updated_at = checked.as_json(), operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "trust.change", slug, {"settings": dict(settings)})
    return line_of(entry, connection)


def set_status(
    tx: Session, operator: Operator, tenant_id: str, slug: str, status: str
) -> TrustLine:
    """Believe it again, or no longer. Tokens of workloads end; what was redeemed for people lives on for minutes."""
    operator.must(Permission.TRUST_WRITE)
    if status not in ("active", "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    entry, connection = load(tx, tenant_id, slug)
    before = access_of(entry)
    entry.status, entry.updated_at = status, operator.now
    tx.flush()
    cut_off_fallen(tx, operator, tenant_id, before, access_of(entry))
    operator.changed(tx, tenant_id, "trust.status", slug, {"status": status})
    return line_of(entry, connection)


def remove(tx: Session, operator: Operator, tenant_id: str, slug: str) -> TrustLine:
    """Forget an entry; its connection and people stay."""
    operator.must(Permission.TRUST_WRITE)
    entry, connection = load(tx, tenant_id, slug)
    line = line_of(entry, connection)
    before = access_of(entry)
    tx.delete(entry)
    tx.flush()
    cut_off_fallen(tx, operator, tenant_id, before, {})
    operator.changed(tx, tenant_id, "trust.remove", slug, {"issuer": line.issuer})
    return line


def list_(tx: Session, tenant_id: str) -> list[TrustLine]:
    """All entries by slug."""
    rows = tx.execute(
        select(TrustedIssuer, Connection.slug)
        .join(Connection, Connection.id == TrustedIssuer.connection_id, isouter=True)
        .where(TrustedIssuer.tenant_id == tenant_id)
        .order_by(TrustedIssuer.slug)
    )
    return [line_of(entry, slug) for entry, slug in rows]


def show(tx: Session, tenant_id: str, slug: str) -> TrustLine:
    """One entry. Raises NotFound."""
    return line_of(*load(tx, tenant_id, slug))


def _checked(tx: Session, tenant_id: str, settings: Mapping[str, Any]) -> TrustSettings:
    checked = check_settings(settings)
    with about("resources"):
        found = [resources.load(tx, tenant_id, it).identifier for it in checked.resources]
    return replace(checked, resources=tuple(found))


def check_slug(tx: Session, tenant_id: str, slug: str) -> None:
    """Raises Invalid for what is no name, Conflict for one that is taken."""
    if not is_slug(slug):
        raise Invalid(
            f"{slug!r} is not a name for a trusted issuer: lower-case letters, digits and inner hyphens, at most 63",
            field="slug",
        )
    taken = tx.scalars(
        select(TrustedIssuer.id).where(
            TrustedIssuer.tenant_id == tenant_id, TrustedIssuer.slug == slug
        )
    ).first()
    if taken is not None:
        raise Conflict(f"there is a trusted issuer {slug!r} already", field="slug")


def _check_issuer(tx: Session, tenant_id: str, issuer: str, checked: TrustSettings) -> None:
    check_url("issuer", issuer)
    for other in tx.scalars(
        select(TrustedIssuer).where(
            TrustedIssuer.tenant_id == tenant_id, TrustedIssuer.issuer == issuer
        )
    ):
        if other.kind != ID_JAG:
            raise Conflict(
                f"{other.slug} trusts {issuer} about workloads; an issuer is trusted about those or about people",
                field="issuer",
            )
        theirs = settings_of(other.settings).tenants
        if not theirs or not checked.tenants or not set(theirs).isdisjoint(checked.tenants):
            raise Conflict(
                f"{other.slug} speaks for {issuer} already; two entries for one issuer need different `tenants`",
                field="issuer",
            )


def _own_connection(
    tx: Session, operator: Operator, tenant_id: str, slug: str, *, provisions: bool
) -> Connection:
    made = Connection(
        id=entropy.new_id("con"),
        tenant_id=tenant_id,
        slug=slug,
        kind=ASSERTING,
        preset="generic",
        name=slug,
        status="active",
        settings={},
        is_listed=False,
        provisions=provisions,
        links_by_email=False,
        created_at=operator.now,
        updated_at=operator.now,
    )
    taken = tx.scalars(
        select(Connection.id).where(Connection.tenant_id == tenant_id, Connection.slug == slug)
    ).first()
    if taken is not None:
        raise Conflict(
            f"there is a connection {slug!r} already; name it with --connection to use it",
            field="slug",
        )
    tx.add(made)
    tx.flush()
    return made


def load(tx: Session, tenant_id: str, slug: str) -> tuple[TrustedIssuer, str | None]:
    """An entry, and the slug of its connection. Raises NotFound."""
    entry = tx.scalars(
        select(TrustedIssuer).where(
            TrustedIssuer.tenant_id == tenant_id, TrustedIssuer.slug == slug
        )
    ).one_or_none()
    if entry is None:
        raise NotFound(f"there is no trusted issuer {slug!r}; `authz trust list` shows them")
    if entry.connection_id is None:
        return entry, None
    return entry, tx.get_one(Connection, entry.connection_id).slug


def line_of(entry: TrustedIssuer, connection: str | None) -> TrustLine:
    """As lists have it."""
    return TrustLine(
        slug=entry.slug,
        kind=entry.kind,
        issuer=entry.issuer,
        connection=connection,
        status=entry.status,
        settings=entry.settings,
        created_at=entry.created_at,
        warnings=warnings_of(settings_of_workloads(entry.settings))
        if entry.kind == WORKLOAD
        else (),
    )
