"""An installation in use: people who let a client act for them, and what that left behind.

The few rows are written as the server writes them, the many by `bulk`. All is as the protocol leaves it: refresh
tokens spell under the tenant's secret, access tokens are signed and recorded, consents stand.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, NamedTuple, TextIO

from authz import entropy
from authz.clock import numeric_date
from authz.db.models import Consent, IssuedToken, RoleBinding, Session, TokenFamily, User
from authz.db.types import canonical_json
from authz.keys import ACCESS_TOKEN
from authz.oauth.facts import Family
from authz.oauth.refresh import spell
from authz.oauth.token_types import TOKEN_TYP
from authz.policy import Decision
from authz.settings import Settings
from authz.tenants import DEFAULT_SLUG
from scripts.bench_parts.bulk import Bulk, Shape, bulk
from scripts.bench_parts.supplies import (
    REDIRECT,
    RESOURCE,
    SCOPES,
    SESSIONS,
    WEB,
    Supplies,
    spread,
    write_lines,
)
from scripts.bench_parts.world import World, new_world

_MOST_PEOPLE = 100_000
_CHUNK = 50_000
_COOKIE = f"authz-session-{DEFAULT_SLUG}"
_DAY = timedelta(days=1)


def seed(
    settings: Settings,
    supplies: Supplies,
    *,
    stored: int,
    used: int,
    introspected: int,
    people_count: int | None = None,
) -> list[str]:
    """Create everything: `stored` families with an access token each; answers the ids of their people.

    `used` of them have a refresh token to spend, and `introspected` an access token to ask about.
    """
    world = new_world(settings, supplies)
    with bulk(settings.database.url) as target:
        count = people_count or min(stored, _MOST_PEOPLE)
        people = [entropy.new_id("usr") for _ in range(count)]
        _add_people(target, world, people)
        write_lines(supplies.cookies, _add_sessions(target, world, people))
        every = spread(stored, used), spread(stored, introspected)
        _add_families(target, world, people, supplies, stored=stored, every=every)
        target.finish()
    return people


def _add_people(target: Bulk, world: World, people: list[str]) -> None:
    """Each of them holds the role and has let the client act for them."""
    moments = {"created_at": world.now, "updated_at": world.now}
    user = Shape(
        User.__table__,
        target.dialect,
        ("id", "login"),
        {
            "tenant_id": world.tenant_id,
            "name": "A person",
            "status": "active",
            "is_break_glass": False,
            **moments,
        },
    )
    target.write(user, (user.row(id_, f"{id_.lower()}@example.com") for id_ in people))
    binding = Shape(
        RoleBinding.__table__,
        target.dialect,
        ("id", "subject_id"),
        {"tenant_id": world.tenant_id, "role_id": world.role_id, "subject_kind": "user"},
    )
    target.write(binding, (binding.row(entropy.new_id("rbi"), id_) for id_ in people))
    consent = Shape(
        Consent.__table__,
        target.dialect,
        ("user_id",),
        {
            "tenant_id": world.tenant_id,
            "client_id": WEB,
            "resource_id": world.resource_id,
            "scopes": frozenset(SCOPES),
            "limited": frozenset(),
            "versions": {},
            "redirect_uris": [REDIRECT],
            "client_digest": world.client_digest,
            "remembered": True,
            **moments,
        },
    )
    target.write(consent, (consent.row(id_) for id_ in people))


def _add_sessions(target: Bulk, world: World, people: list[str]) -> list[str]:
    """Browsers of some of them; answers their cookies."""
    session = Shape(
        Session.__table__,
        target.dialect,
        ("digest", "user_id"),
        {
            "tenant_id": world.tenant_id,
            "auth_time": world.now,
            "amr": ["pwd"],
            "created_at": world.now,
            "expires_at": world.now + _DAY,
        },
    )
    chosen = people[:: spread(len(people), SESSIONS)][:SESSIONS]
    tokens = {entropy.new_token("ses"): user for user in chosen}
    target.write(
        session, (session.row(entropy.digest(token), user) for token, user in tokens.items())
    )
    return [f"{_COOKIE}={token}" for token in tokens]


class _Born(NamedTuple):
    """One family and its access token, before they are rows."""

    user_id: str
    family_id: str
    salt: str
    jti: str


def _add_families(
    target: Bulk,
    world: World,
    people: list[str],
    supplies: Supplies,
    *,
    stored: int,
    every: tuple[int, int],
) -> None:
    """Of every so-many-th the refresh token, and of every so-many-th the access token, is written to its file."""
    values = _family_values(world)
    family = Shape(TokenFamily.__table__, target.dialect, ("id", "user_id", "salt"), values)
    token = Shape(
        IssuedToken.__table__,
        target.dialect,
        ("jti", "family_id", "subject", "decision"),
        {
            "tenant_id": world.tenant_id,
            "client_id": WEB,
            "resource_id": world.resource_id,
            "scopes": frozenset(SCOPES),
            "issued_at": world.now,
            "expires_at": world.now + _DAY,
        },
    )
    head, tail = _decision(world).split("SUBJECT")
    with ExitStack() as stack:
        refresh = stack.enter_context(supplies.refresh_tokens.open("w"))
        access = stack.enter_context(supplies.access_tokens.open("w"))
        for first in range(0, stored, _CHUNK):
            born = list(_births(people, first, min(first + _CHUNK, stored)))
            target.write(family, (family.row(b.family_id, b.user_id, b.salt) for b in born))
            target.write(
                token,
                (token.row(b.jti, b.family_id, b.user_id, head + b.user_id + tail) for b in born),
            )
            _write_refresh_tokens(refresh, world, values, born[-first % every[0] :: every[0]])
            _write_access_tokens(access, world, born[-first % every[1] :: every[1]])


def _births(people: list[str], first: int, end: int) -> Iterator[_Born]:
    for number in range(first, end):
        yield _Born(
            people[number % len(people)],
            entropy.new_id("grt"),
            entropy.new_id("s"),
            entropy.new_id("at"),
        )


def _family_values(world: World) -> dict[str, Any]:
    return {
        "tenant_id": world.tenant_id,
        "client_id": WEB,
        "resource_id": world.resource_id,
        "scopes": frozenset(SCOPES),
        "refreshable": True,
        "generation": 1,
        "rotated_at": world.now,
        "auth_time": world.now,
        "amr": ["pwd"],
        "signed_in_at": world.now,
        "created_at": world.now,
        "idle_expires_at": world.now + timedelta(days=14),
        "expires_at": world.now + timedelta(days=90),
    }


def _decision(world: World) -> str:
    """What policy says to all of them, with a word where the person's id stands."""
    decision = Decision(
        policy_version=world.configuration.tenant.version,
        subject="SUBJECT",
        client=WEB,
        resource=RESOURCE,
        requested=frozenset(SCOPES),
        sources=dict.fromkeys(SCOPES, "role developer"),
        removed={},
    )
    return canonical_json(decision.as_json())


def _write_refresh_tokens(
    output: TextIO, world: World, values: dict[str, Any], born: list[_Born]
) -> None:
    unset = dict.fromkeys(column.name for column in TokenFamily.__table__.columns)
    for it in born:
        row = {**unset, **values, "id": it.family_id, "user_id": it.user_id, "salt": it.salt}
        output.write(f"{spell(world.configuration.refresh_key, Family(**row))}\n")


def _write_access_tokens(output: TextIO, world: World, born: list[_Born]) -> None:
    tenant = world.configuration.tenant
    common = {
        "iss": tenant.issuer,
        "aud": RESOURCE,
        "client_id": WEB,
        "iat": numeric_date(world.now),
        "exp": numeric_date(world.now + _DAY),
        "scope": " ".join(sorted(SCOPES)),
        "tenant": tenant.slug,
        "auth_time": numeric_date(world.now),
        "amr": ["pwd"],
    }
    for it in born:
        claims = {**common, "sub": it.user_id, "jti": it.jti, "grant_id": it.family_id}
        token = world.configuration.keys.sign(
            ACCESS_TOKEN, world.algorithm, TOKEN_TYP, claims, world.now
        )
        output.write(f"{token}\n")
