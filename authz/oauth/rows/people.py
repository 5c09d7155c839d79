"""What this server may tell of people."""

from collections.abc import Sequence

from sqlalchemy import select

from authz.db.models import TokenFamily, User
from authz.db.statements import AnyOf, Call, Query, Row
from authz.oauth.facts import Changes, Facts, Person
from authz.oauth.rows.wanted import Read, Wanted

_PERSON = (User.id, User.tenant_id, User.login, User.name)
PEOPLE = Query(select(*_PERSON).where(AnyOf(User.id, "people")))
PEOPLE_OF = Query(
    select(*_PERSON)
    .join_from(TokenFamily, User, User.id == TokenFamily.user_id)
    .where(AnyOf(TokenFamily.id, "families"))
)


def reads(wanted: Wanted) -> list[Read]:
    """By id, and by what was granted for them."""
    calls: list[Read] = []
    if wanted.people:
        calls.append((PEOPLE(people=wanted.people), _learn))
    if wanted.people_of:
        calls.append((PEOPLE_OF(families=wanted.people_of), _learn))
    return calls


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: people are changed by operators and by themselves."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.people |= {row[0]: Person(*row) for row in rows}
