"""A long audit trail: a strand of its own, chained and sealed as the server does it, three months up to now."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from authz import entropy
from authz.admin.operator import Operator
from authz.audit import chain
from authz.audit.chain import Head, Link
from authz.audit.events import (
    CodeIssued,
    ConsentGranted,
    Event,
    LoginSucceeded,
    SessionEnded,
    StrandOpened,
    TokenIssued,
    TokenRefused,
)
from authz.db.models import AuditEvent, AuditHead
from authz.services import Services
from scripts.bench_parts.bulk import Bulk, Row, Shape, spelled
from scripts.seed_parts.company import Company, Server, Software
from scripts.seed_parts.grants import Grant
from scripts.seed_parts.people import Person
from scripts.seed_parts.progress import shown

_PAST, _LAST = timedelta(days=90), timedelta(hours=1)
_COLUMNS = [it.name for it in AuditEvent.__table__.columns]
_OF_LINK = [name for name in _COLUMNS if name in Link.__dataclass_fields__]


def add(
    services: Services,
    operator: Operator,
    tenant_id: str,
    target: Bulk,
    company: Company,
    people: list[Person],
    grants: list[Grant],
    count: int,
) -> None:
    """`count` events, the tokens of the grants the last of them."""
    strand = entropy.new_id("lane")
    with services.database.write() as tx:
        operator.record(tx, tenant_id, StrandOpened(strand=strand))
        key = operator.audit_key(tx, tenant_id)
    event = Shape(
        AuditEvent.__table__,
        target.dialect,
        _OF_LINK,
        {"tenant_id": tenant_id, "strand": strand},
    )
    heads = [Head()]

    def rows() -> Iterator[Row]:
        for at, happened in _events(company, people, grants, count, operator.now):
            made = chain.link(happened, heads[0], tenant_id=tenant_id, strand=strand, at=at)
            heads[0] = Head(made.position, made.hash)
            yield event.row(*(_spelled(getattr(made, name)) for name in _OF_LINK))

    target.write(event, shown("events", rows(), count))
    head = heads[0]
    sealed = Shape(
        AuditHead.__table__,
        target.dialect,
        ("position", "hash", "mac"),
        {"tenant_id": tenant_id, "strand": strand},
    )
    mac = chain.head_mac(key, tenant_id, strand, head)
    target.write(sealed, [sealed.row(head.position, head.hash, mac)])


def _spelled(value: object) -> object:
    return spelled(value) if isinstance(value, datetime) else value


def _events(
    company: Company, people: list[Person], grants: list[Grant], count: int, now: datetime
) -> Iterator[tuple[datetime, Event]]:
    random = Random(count)
    earlier = count - len(grants)
    first, step = now - _PAST, (_PAST - _LAST) / max(1, earlier)
    for number in range(earlier):
        person = people[random.randrange(len(people))]
        software = company.software[random.randrange(len(company.software))]
        server = company.servers[random.randrange(len(company.servers))]
        yield first + number * step, _some_event(random.random(), person, software, server)
    for grant in grants:
        ids = (grant.jti, grant.family_id)
        yield grant.issued_at, _token(grant.person, grant.software, grant.server, *ids)


def _some_event(chance: float, person: Person, software: Software, server: Server) -> Event:
    scopes = [f"{server.area}.read"]
    if chance < 0.6:
        return _token(person, software, server, entropy.new_id("at"), entropy.new_id("grt"))
    if chance < 0.8:
        return LoginSucceeded(subject=person.id, method="oidc", connection=person.connection)
    if chance < 0.88:
        return TokenRefused(
            subject=person.id,
            client=software.id,
            grant_type="refresh_token",
            error="invalid_grant",
            reason="refresh_expired",
        )
    if chance < 0.94:
        return CodeIssued(
            subject=person.id,
            client=software.id,
            resource=server.url,
            scopes=scopes,
            by="remembered",
        )
    if chance < 0.97:
        return ConsentGranted(
            subject=person.id,
            client=software.id,
            resource=server.url,
            scopes=scopes,
            withheld=[],
            redirect_host=f"{software.id}.example.com",
            remembered=True,
        )
    return SessionEnded(subject=person.id)


def _token(
    person: Person, software: Software, server: Server, jti: str, family_id: str
) -> TokenIssued:
    return TokenIssued(
        subject=person.id,
        client=software.id,
        grant_type="refresh_token",
        jti=jti,
        grant_id=family_id,
        resource=server.url,
        scopes=[f"{server.area}.read", f"{server.area}.search"],
        removed={},
        policy_version=1,
        refresh_token=True,
    )
