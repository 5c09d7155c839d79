"""How far an MCP server is rolled out: reading for all, everything for some, everything for all (features.md item 10).
Pure.

    read_only -> canary(groups, percent) -> full

Decisions:
- Only scopes whose risk is declared as `read` count as reading: what nobody declared counts as writing.
- Who is in the percentage follows from the server and the person alone, so it is the same at every node and every hour,
  and whoever is in at 10 % still is at 20 %.
"""

from dataclasses import dataclass
from typing import Any, Final

from authz import entropy
from authz.errors import Invalid

READ_ONLY, CANARY, FULL_STATE = "read_only", "canary", "full"
STATES = (READ_ONLY, CANARY, FULL_STATE)
READ = "read"
_HEX = 8


@dataclass(frozen=True)
class Rollout:
    """The state of one server."""

    state: str = FULL_STATE
    groups: frozenset[str] = frozenset()
    """In `canary`: whose members have everything their roles hold, by group id."""
    percent: int = 0
    """In `canary`: of all others, so many have it as well."""

    def admits(self, resource_id: str, subject_id: str, groups: frozenset[str]) -> bool:
        """Whether this person may have more than reading there."""
        if self.state == FULL_STATE:
            return True
        if self.state == READ_ONLY:
            return False
        return not self.groups.isdisjoint(groups) or _bucket(resource_id, subject_id) < self.percent

    @property
    def rank(self) -> int:
        """The place of the state on the way."""
        return STATES.index(self.state)


FULL: Final = Rollout()


def check(rollout: Rollout) -> Rollout:
    """Raises Invalid for one that says nothing or two things."""
    if rollout.state not in STATES:
        raise Invalid(f"rollout {rollout.state!r} is not one of {', '.join(STATES)}", field="state")
    if not 0 <= rollout.percent <= 100:
        raise Invalid(f"{rollout.percent} is not a percentage", field="percent")
    if rollout.state == CANARY and not rollout.groups and not rollout.percent:
        raise Invalid(
            "a canary names groups or a percentage of people; without, it is read_only",
            field="groups",
        )
    if rollout.state != CANARY and (rollout.groups or rollout.percent):
        raise Invalid(
            f"groups and a percentage belong to {CANARY}, not to {rollout.state}", field="state"
        )
    return rollout


def of_json(stored: dict[str, Any] | None) -> Rollout:
    """From the column; NULL is `full`."""
    if stored is None:
        return FULL
    return Rollout(stored["state"], frozenset(stored["groups"]), stored["percent"])


def _bucket(resource_id: str, subject_id: str) -> int:
    """0 to 99."""
    number = int(entropy.digest(f"{resource_id}:{subject_id}")[:_HEX], 16)
    return number * 100 >> 4 * _HEX
