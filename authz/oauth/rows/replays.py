"""What may be presented once: the insert itself decides who was first.

What was presented in vain is taken out again before the batch commits: nobody ever saw it there, and whoever presents
it meanwhile waits for the commit.
"""

from collections.abc import Sequence

from authz.db.models import ReplayKey
from authz.db.statements import Call, Delete, InsertOnce, Row
from authz.oauth.facts import Changes, Facts
from authz.oauth.rows.wanted import Read, Wanted

CLAIM_REPLAYS = InsertOnce(ReplayKey.__table__, "key")  # type: ignore[arg-type]
FORGET_REPLAYS = Delete(ReplayKey.__table__, ["tenant_id", "key"])  # type: ignore[arg-type]


def reads(wanted: Wanted) -> list[Read]:
    """Claim every key."""
    if not wanted.replays:
        return []
    rows = [(tenant, key, until) for (tenant, key), until in sorted(wanted.replays.items())]
    return [(CLAIM_REPLAYS(rows), _learn)]


def writes(_: Sequence[Changes]) -> list[Call]:
    """Nothing: reading has written."""
    return []


def forget(unspent: list[tuple[str, str]]) -> list[Call]:
    """Take out what this batch has claimed, by tenant and key, and nothing came of."""
    return [FORGET_REPLAYS(unspent)] if unspent else []


def _learn(facts: Facts, rows: list[Row]) -> None:
    facts.claimed = {key for (key,) in rows}
