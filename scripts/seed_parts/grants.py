"""Live grants: who let which client act for them at which server, with a token family and an access token each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from authz import entropy
from authz.db.models import Consent, IssuedToken, Session, TokenFamily
from authz.db.types import canonical_json
from authz.policy import Decision
from scripts.bench_parts.bulk import Bulk, Row, Shape, spelled
from scripts.seed_parts.company import Company, Server, Software
from scripts.seed_parts.people import Person
from scripts.seed_parts.progress import shown

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_TOKEN, _IDLE, _WHOLE, _SESSION = 10 * _MINUTE, 14 * _DAY, 90 * _DAY, 12 * timedelta(hours=1)
_SESSIONS = 5
"""Of so many grants one has a browser behind it that is still signed in."""


@dataclass(frozen=True)
class Grant:
    """One, with its last token."""

    person: Person
    software: Software
    server: Server
    scopes: frozenset[str]
    family_id: str
    jti: str
    since: datetime
    issued_at: datetime

    @property
    def source(self) -> str:
        """What policy says of each scope."""
        return f"role {self.person.team.role} through group {self.person.team.name}"


def choose(company: Company, people: list[Person], count: int, now: datetime) -> list[Grant]:
    """In the order of their tokens, the last one minutes ago."""
    random = Random(count)
    at: dict[str, list[Server]] = {}
    for server in company.servers:
        at.setdefault(server.area, []).append(server)
    made = []
    for number in range(count):
        person = people[number * 7919 % len(people)]
        some = at.get(person.team.area, company.servers)
        # Each round over all people takes another client: a person consents to one once.
        software = company.software[(number // len(people) + number) % len(company.software)]
        issued_at = now - timedelta(hours=1) * (count - number) / count
        made.append(
            Grant(
                person,
                software,
                some[number // len(people) % len(some)],
                frozenset({f"{person.team.area}.read", f"{person.team.area}.search"}),
                entropy.new_id("grt"),
                entropy.new_id("at"),
                issued_at - random.random() * 13 * _DAY,
                issued_at,
            )
        )
    return made


def add(target: Bulk, tenant_id: str, version: int, grants: list[Grant], now: datetime) -> None:
    """Consents, families, tokens and sessions."""
    _write_consents(target, tenant_id, grants)
    _write_families(target, tenant_id, grants)
    _write_tokens(target, tenant_id, version, grants)
    _write_sessions(target, tenant_id, grants[::_SESSIONS], now)


def _write_consents(target: Bulk, tenant_id: str, grants: list[Grant]) -> None:
    named = ("user_id", "client_id", "resource_id", "scopes", "redirect_uris", "client_digest")
    shape = Shape(
        Consent.__table__,
        target.dialect,
        (*named, "created_at", "updated_at"),
        {"tenant_id": tenant_id, "limited": frozenset(), "versions": {}, "remembered": True},
    )
    # Who allowed the same twice allowed it once.
    kept = {(it.person.id, it.software.id, it.server.id): it for it in grants}

    def rows() -> Iterator[Row]:
        for it in kept.values():
            since = spelled(it.since)
            keys = (it.person.id, it.software.id, it.server.id)
            uris = canonical_json([it.software.redirect])
            yield shape.row(*keys, _scopes(it), uris, it.software.digest, since, since)

    target.write(shape, shown("consents", rows(), len(kept)))


def _write_families(target: Bulk, tenant_id: str, grants: list[Grant]) -> None:
    named = ("id", "client_id", "user_id", "resource_id", "scopes", "salt", "connection_id")
    moments = ("rotated_at", "auth_time", "signed_in_at", "created_at")
    shape = Shape(
        TokenFamily.__table__,
        target.dialect,
        (*named, *moments, "idle_expires_at", "expires_at"),
        {
            "tenant_id": tenant_id,
            "refreshable": True,
            "generation": 1,
            "acr": "urn:authz:acr:mfa",
            "amr": ["mfa", "pwd"],
        },
    )

    def rows() -> Iterator[Row]:
        for it in grants:
            since = spelled(it.since)
            yield shape.row(
                *(it.family_id, it.software.id, it.person.id, it.server.id, _scopes(it)),
                *(entropy.new_id("s"), it.person.connection),
                *(spelled(it.issued_at), since, since, since),
                *(spelled(it.issued_at + _IDLE), spelled(it.since + _WHOLE)),
            )

    target.write(shape, shown("grants", rows(), len(grants)))


def _write_tokens(target: Bulk, tenant_id: str, version: int, grants: list[Grant]) -> None:
    shape = Shape(
        IssuedToken.__table__,
        target.dialect,
        (
            *("jti", "family_id", "client_id", "subject", "resource_id", "scopes", "decision"),
            *("issued_at", "expires_at"),
        ),
        {"tenant_id": tenant_id},
    )

    def rows() -> Iterator[Row]:
        for it in grants:
            yield shape.row(
                *(it.jti, it.family_id, it.software.id, it.person.id, it.server.id, _scopes(it)),
                canonical_json(_decision(it, version)),
                *(spelled(it.issued_at), spelled(it.issued_at + _TOKEN)),
            )

    target.write(shape, shown("tokens", rows(), len(grants)))


def _write_sessions(target: Bulk, tenant_id: str, grants: list[Grant], now: datetime) -> None:
    shape = Shape(
        Session.__table__,
        target.dialect,
        ("digest", "user_id", "connection_id"),
        {
            "tenant_id": tenant_id,
            "auth_time": now,
            "acr": "urn:authz:acr:mfa",
            "amr": ["mfa", "pwd"],
            "created_at": now,
            "expires_at": now + _SESSION,
        },
    )
    rows = (
        shape.row(entropy.digest(entropy.new_token("ses")), it.person.id, it.person.connection)
        for it in grants
    )
    target.write(shape, shown("browsers", rows, len(grants)))


def _scopes(grant: Grant) -> str:
    return " ".join(sorted(grant.scopes))


def _decision(grant: Grant, version: int) -> dict[str, Any]:
    return Decision(
        policy_version=version,
        subject=grant.person.id,
        client=grant.software.id,
        resource=grant.server.url,
        requested=grant.scopes,
        sources=dict.fromkeys(sorted(grant.scopes), grant.source),
        removed={},
    ).as_json()
