"""When somebody should look: rules over events, counted for each agent, client, person or server. Pure.

    burst, is_raised = count(rule, burst, moment)

A burst is one alert however long it goes on; it is over when nothing more came for as long as the rule looks back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from authz import entropy
from authz.audit.delivery import is_of
from authz.settings import AlertRule

TOOL_DENIED = "tool.denied"
"""A call that an MCP server reported as denied; no event of its own."""


@dataclass(frozen=True)
class Seen:
    """What rules look at, of an event or of a reported call."""

    kind: str
    at: datetime
    reason: str | None = None
    subject: str | None = None
    client: str | None = None
    agent: str | None = None
    resource: str | None = None

    def of(self, per: str) -> str | None:
        """Whom a rule counts; None where it names nobody."""
        if per == "tenant":
            return ""
        if per == "agent":
            return self.agent or self.client
        found: str | None = getattr(self, per)
        return found


@dataclass(frozen=True)
class Burst:
    """What a rule counted of one of them."""

    moments: tuple[datetime, ...] = ()
    """The last ones, in order, no more than the rule counts to."""
    is_raised: bool = False


def matches(rule: AlertRule, seen: Seen) -> bool:
    """Whether the rule is about it. An alert raises no alert."""
    if seen.kind == "alert.raised" or not is_of(seen.kind, rule.kinds):
        return False
    return not rule.reasons or seen.reason in rule.reasons


def count(rule: AlertRule, burst: Burst, moment: datetime) -> tuple[Burst, bool]:
    """The burst with one more, and whether it is to be told now."""
    if burst.moments and moment - burst.moments[-1] > rule.within:
        burst = Burst()
    # Strands are read one after the other: what comes later may have been earlier.
    moments = tuple(sorted([*burst.moments, moment])[-rule.count :])
    is_full = len(moments) == rule.count and moments[-1] - moments[0] <= rule.within
    is_new = is_full and not burst.is_raised
    return Burst(moments, burst.is_raised or is_new), is_new


def concerned(rules: Iterable[AlertRule], seen: Seen) -> Iterator[tuple[AlertRule, str, str]]:
    """The rules that are about it, each with whom it counts, and the key of that."""
    for rule in rules:
        who = seen.of(rule.per)
        if who is not None and matches(rule, seen):
            yield rule, who, entropy.digest(f"{rule.per}\x00{who}")
