"""What may be presented once: the insert itself decides who was first."""

from collections.abc import Sequence

from authz.db.models import ReplayKey
from authz.db.statements import Call, InsertOnce, Row
from authz.oauth.facts import Changes, Facts
from authz.oauth.rows.wanted import Read, Wanted

CLAIM_REPLAYS = InsertOnce(ReplayKey.__table__, "key")  # type: ignore[arg-type]


def reads(wanted: Wanted) -> list[Read]:
    """Claim every key."""
    if not wanted.replays:
        return []
    rows = [(tenant, key, until) for (tenant, key), until in sorted(wanted.replays.items())]
    return [(CLAIM_REPLAYS(rows), _learn)]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: reading has written."""
    return []


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.claimed = {key for (key,) in rows}
