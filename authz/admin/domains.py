"""Domains: which connection their people use, proved by a record only the domain's owner can write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections
from authz.admin.operator import Operator
from authz.db.models import Connection, Domain
from authz.errors import Conflict, Invalid, NotFound, about
from authz.policy.administration import Permission

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")
_PREFIX = "_authz-challenge"


@dataclass(frozen=True)
class DomainLine:
    """A domain in a list."""

    name: str
    connection: str
    is_mandatory: bool
    verified_at: datetime | None
    record_name: str
    """Where the TXT record has to be."""
    record_value: str


def add(
    tx: Session, operator: Operator, tenant_id: str, *, name: str, connection: str
) -> DomainLine:
    """Claim a domain for a connection. Until it is verified it leads nowhere and vouches for nothing."""
    operator.must(Permission.CONNECTIONS_WRITE)
    spelled = check_name(name)
    with about("connection"):
        row = connections.load(tx, tenant_id, connection)
    if tx.get(Domain, (tenant_id, spelled)) is not None:
        raise Conflict(
            f"the domain {spelled} belongs to a connection already; remove it there first",
            field="name",
        )
    domain = Domain(
        tenant_id=tenant_id,
        name=spelled,
        connection_id=row.id,
        challenge=entropy.new_id("authz-verification"),
        is_mandatory=False,
        created_at=operator.now,
        verified_at=None,
    )
    tx.add(domain)
    tx.flush()
    operator.changed(tx, tenant_id, "domain.add", spelled, {"connection": row.slug})
    return _line(domain, row.slug)


def verify(
    tx: Session, operator: Operator, tenant_id: str, name: str, found: Sequence[str]
) -> DomainLine:
    """Accept the proof; `found` are the texts at the record's name, looked up before. Raises Invalid without it."""
    operator.must(Permission.CONNECTIONS_WRITE)
    domain, slug = _load(tx, tenant_id, name)
    if domain.challenge not in found:
        line = _line(domain, slug)
        raise Invalid(
            f"no TXT record at {line.record_name} says {line.record_value} "
            f"({len(found)} other records there); add it, wait until DNS has it, then verify again"
        )
    domain.verified_at = operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "domain.verify", domain.name, {"connection": slug})
    return _line(domain, slug)


def set_mandatory(
    tx: Session, operator: Operator, tenant_id: str, name: str, *, mandatory: bool
) -> DomainLine:
    """Whether people of the domain may sign in only through its connection; break-glass accounts stay possible."""
    operator.must(Permission.CONNECTIONS_WRITE)
    domain, slug = _load(tx, tenant_id, name)
    if mandatory and domain.verified_at is None:
        raise Invalid(f"the domain {domain.name} is not verified; nobody may be bound to it yet")
    domain.is_mandatory = mandatory
    tx.flush()
    operator.changed(tx, tenant_id, "domain.mandatory", domain.name, {"mandatory": mandatory})
    return _line(domain, slug)


def remove(tx: Session, operator: Operator, tenant_id: str, name: str) -> DomainLine:
    """Let it go; its people sign in as everybody else."""
    operator.must(Permission.CONNECTIONS_WRITE)
    domain, slug = _load(tx, tenant_id, name)
    line = _line(domain, slug)
    tx.delete(domain)
    tx.flush()
    operator.changed(tx, tenant_id, "domain.remove", line.name, {"connection": slug})
    return line


def show(tx: Session, tenant_id: str, name: str) -> DomainLine:
    """One domain. Raises NotFound."""
    return _line(*_load(tx, tenant_id, name))


def list_(tx: Session, tenant_id: str) -> list[DomainLine]:
    """All of them by name."""
    rows = tx.execute(
        select(Domain, Connection.slug)
        .join(Connection, Connection.id == Domain.connection_id)
        .where(Domain.tenant_id == tenant_id)
        .order_by(Domain.name)
    )
    return [_line(domain, slug) for domain, slug in rows]


def check_name(text: str) -> str:
    """A domain as it is stored: lower case, A-labels, two labels or more. Raises Invalid."""
    name = text.strip().lower().rstrip(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            name = ""
    if _NAME.fullmatch(name) is None:
        raise Invalid(f"{text[:80]!r} is not a domain; write it like corp.example", field="name")
    return name


def _load(tx: Session, tenant_id: str, name: str) -> tuple[Domain, str]:
    domain = tx.get(Domain, (tenant_id, check_name(name)))
    if domain is None:
        raise NotFound(f"there is no domain {name!r}; `authz domains list` shows them")
    return domain, tx.get_one(Connection, domain.connection_id).slug


def _line(domain: Domain, slug: str) -> DomainLine:
    return DomainLine(
        name=domain.name,
        connection=slug,
        is_mandatory=domain.is_mandatory,
        verified_at=domain.verified_at,
        record_name=f"{_PREFIX}.{domain.name}",
        record_value=domain.challenge,
    )
