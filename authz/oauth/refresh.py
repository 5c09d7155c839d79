"""Refresh tokens: how one is spelled, and what presenting one means.

    azr_<family>.<generation>.<mac>

The MAC covers tenant, family, generation and the family's salt under the tenant's secret, so a token proves itself,
and the successor of a token can be computed again: a client that lost the answer and retries inside the window gets
the *same* successor, without the server ever having stored it. One row per family tells everything.

Decisions:
- Nothing derived from a refresh token is stored. Instead of digests: a dump of the database without the
  key-encryption key holds nothing that can be presented, and a rotation is one update instead of update and insert.
- A token that was never issued (bad MAC) does not touch the family: only a genuine old token is evidence of theft.
"""

from datetime import datetime, timedelta
from enum import Enum

from authz import entropy
from authz.oauth.facts import Family
from authz.values import value

_PREFIX = "azr_"
_MAX_GENERATION = 10**9


@value(frozen=True)
class Presented:
    """A refresh token taken apart; nothing is known about it yet."""

    family_id: str
    generation: int
    mac: str

    def __repr__(self) -> str:
        return f"Presented(family_id={self.family_id!r}, generation={self.generation})"


class Standing(Enum):
    """What a genuine token is to its family."""

    CURRENT = "current"
    RETRY = "retry"
    """Just spent, and its successor is unused: the same successor is the answer (CONF-09)."""
    REUSED = "reused"


def parse(text: str) -> Presented | None:
    """The parts; None when the text cannot be one of ours."""
    if not text.startswith(_PREFIX):
        return None
    parts = text.removeprefix(_PREFIX).split(".")
    if len(parts) != 3 or not all(parts):
        return None
    family_id, generation, mac = parts
    # A leading zero or a sign would give one token two spellings.
    if not generation.isascii() or not generation.isdecimal() or generation[0] == "0":
        return None
    if len(generation) > 10 or len(family_id) > 64 or int(generation) > _MAX_GENERATION:
        return None
    return Presented(family_id, int(generation), mac)


def spell(key: bytes, family: Family) -> str:
    """The family's current token."""
    return f"{_PREFIX}{family.id}.{family.generation}.{_mac(key, family, family.generation)}"


def is_genuine(key: bytes, family: Family, presented: Presented) -> bool:
    """Whether this server issued it for this family."""
    expected = _mac(key, family, presented.generation)
    return presented.generation <= family.generation and entropy.equal(expected, presented.mac)


def standing(
    family: Family, presented: Presented, *, retry_window: timedelta, now: datetime
) -> Standing:
    """Current, an honest retry, or reuse. A used successor makes its predecessor reuse at once."""
    if presented.generation == family.generation:
        return Standing.CURRENT
    just_spent = presented.generation == family.generation - 1
    if just_spent and now <= family.rotated_at + retry_window:
        return Standing.RETRY
    return Standing.REUSED


def _mac(key: bytes, family: Family, generation: int) -> str:
    return entropy.mac(key, family.tenant_id, family.id, str(generation), family.salt)
