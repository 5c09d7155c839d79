"""Very many people: accounts, who vouches for them, the teams they are in, and roles some hold by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from authz import entropy
from authz.db.models import GroupMember, Identity, RoleBinding, User
from scripts.bench_parts.bulk import Bulk, Row, Shape, spelled
from scripts.seed_parts.company import Company, Team, connection_of, teams_of
from scripts.seed_parts.progress import shown

_FIRST = (
    *("Ada", "Alan", "Amina", "Björn", "Chen", "Dana", "Edsger", "Fatima", "Grace", "Hedy", "Ines"),
    *("Joan", "Ken", "Leslie", "Mei", "Niklaus", "Olga", "Priya", "Radia", "Sofia", "Tim", "Zoë"),
)
_LAST = (
    *("Allen", "Berg", "Costa", "Diaz", "Eriksen", "Fischer", "García", "Hopper", "Ito", "Jensen"),
    *("Kim", "Lovelace", "Moreau", "Novak", "Okafor", "Perlman", "Rossi", "Singh", "Turing", "Wu"),
)
_DAY = timedelta(days=1)
_DISABLED, _DIRECT = 100, 20
"""Of so many people one has a closed account, and one a role of their own."""


@dataclass(frozen=True)
class Person:
    """Somebody, with a team and who vouches for them."""

    id: str
    login: str
    team: Team
    connection: str


def add(
    target: Bulk, tenant_id: str, company: Company, roles: list[str], count: int, now: datetime
) -> list[Person]:
    """Answers those whose accounts are open. `roles` are the ids of those that some people hold directly."""
    random = Random(count)
    chosen = [sorted(teams_of(company, random)) for _ in range(count)]
    people = [_person(company, number, teams) for number, teams in enumerate(chosen)]
    _write_users(target, tenant_id, people, now)
    identity = Shape(
        Identity.__table__,
        target.dialect,
        ("connection_id", "subject", "user_id"),
        {"tenant_id": tenant_id, "linked_by": "provisioned", "linked_at": now},
    )
    rows = (identity.row(it.connection, f"sub-{it.login}", it.id) for it in people)
    target.write(identity, shown("links", rows, count))
    member = Shape(
        GroupMember.__table__,
        target.dialect,
        ("group_id", "user_id", "source"),
        {"tenant_id": tenant_id},
    )
    memberships = [
        member.row(company.teams[team].id, person.id, connection_of(company, team))
        for person, teams in zip(people, chosen, strict=True)
        for team in teams
    ]
    target.write(member, shown("members", memberships, len(memberships)))
    if roles:
        _write_bindings(target, tenant_id, people[::_DIRECT], roles, now)
    return [it for number, it in enumerate(people) if number % _DISABLED]


def _person(company: Company, number: int, teams: list[int]) -> Person:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST) % len(_LAST)]
    return Person(
        entropy.new_id("usr"),
        f"{first}.{last}.{number}@corp.example".lower(),
        company.teams[teams[0]],
        connection_of(company, teams[0]),
    )


def _write_users(target: Bulk, tenant_id: str, people: list[Person], now: datetime) -> None:
    user = Shape(
        User.__table__,
        target.dialect,
        ("id", "login", "email", "name", "status", "created_at", "updated_at"),
        {"tenant_id": tenant_id, "is_break_glass": False},
    )

    def rows() -> Iterator[Row]:
        for number, it in enumerate(people):
            first, last, *_ = it.login.split(".")
            since = spelled(now - (number % 700 + 1) * _DAY)
            status = "active" if number % _DISABLED else "disabled"
            name = f"{first.capitalize()} {last.capitalize()}"
            yield user.row(it.id, it.login, it.login, name, status, since, since)

    target.write(user, shown("people", rows(), len(people)))


def _write_bindings(
    target: Bulk, tenant_id: str, people: list[Person], roles: list[str], now: datetime
) -> None:
    """For a month each."""
    binding = Shape(
        RoleBinding.__table__,
        target.dialect,
        ("id", "role_id", "subject_id"),
        {"tenant_id": tenant_id, "subject_kind": "user", "expires_at": now + 30 * _DAY},
    )
    rows = (
        binding.row(entropy.new_id("bnd"), roles[number % len(roles)], it.id)
        for number, it in enumerate(people)
    )
    target.write(binding, shown("roles", rows, len(people)))
