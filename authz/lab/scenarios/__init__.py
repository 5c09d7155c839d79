"""Everything that is tried, in order, by subject.

Owns what counts as right. A new scenario is a function of the bench and a line in its module, or a row in
`authz.lab.defects`. What makes a server wait, or what the others would suffer from, comes last.
"""

from collections.abc import Mapping

from authz.lab.scenario import Scenario
from authz.lab.scenarios import (
    bindings,
    callers,
    discovery,
    keys,
    people,
    refusals,
    replays,
    requests,
    rights,
    spellings,
    tokens,
    tools,
)

GROUPS: Mapping[str, tuple[Scenario, ...]] = {
    "What is published": discovery.SCENARIOS,
    "What is accepted": spellings.SCENARIOS,
    "What is issued": tokens.SCENARIOS,
    "Assertions that are refused": refusals.SCENARIOS,
    "Scopes and servers": rights.SCENARIOS,
    "Whom it is about": people.SCENARIOS,
    "Who presents it": callers.SCENARIOS,
    "How it is presented": requests.SCENARIOS,
    "Bound to a key": bindings.SCENARIOS,
    "Once": replays.SCENARIOS,
    "At the MCP server": tools.SCENARIOS,
    "Keys that change": keys.SCENARIOS,
}


def every() -> tuple[Scenario, ...]:
    """All of them."""
    return tuple(scenario for group in GROUPS.values() for scenario in group)
