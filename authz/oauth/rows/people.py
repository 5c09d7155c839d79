"""What this server may tell of people."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.db.models import User
from authz.db.statements import AnyOf, Call, Query, Row
from authz.oauth.facts import Changes, Facts, Person
from authz.oauth.rows.wanted import Read, Wanted

PEOPLE = Query(
    select(User.id, User.tenant_id, User.login, User.name).where(AnyOf(User.id, "people"))
)


def reads(wanted: Wanted) -> list[Read]:
    """By id."""
    return [(PEOPLE(people=wanted.people), _learn)] if wanted.people else []


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: people are changed by operators and by themselves."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.people = {row[0]: Person(*row) for row in rows}
