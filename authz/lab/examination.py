"""All scenarios in order, each on its own; what came of them is the report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from authz.lab.bench import Bench
from authz.lab.judgement import Failed, NotOffered, Outcome
from authz.lab.scenario import Level, Scenario
from authz.lab.scenarios import GROUPS


@dataclass(frozen=True)
class Result:
    """What came of one scenario."""

    group: str
    name: str
    title: str
    outcome: Outcome
    why: str
    """What was seen."""
    level: Level
    rows: tuple[str, ...]
    clause: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What came of them all."""

    issuer: str
    resource: str
    results: tuple[Result, ...]

    def count(self, outcome: Outcome) -> int:
        """How many ended like this."""
        return sum(result.outcome is outcome for result in self.results)

    @property
    def counts(self) -> dict[str, int]:
        """The same for every way to end."""
        return {outcome.value: self.count(outcome) for outcome in Outcome}

    @property
    def is_well(self) -> bool:
        """Nothing failed, and something was shown: a server of which nothing can be judged is not well."""
        return not self.count(Outcome.FAILED) and self.count(Outcome.PASSED) > 0


def choose(names: Sequence[str]) -> tuple[tuple[str, Scenario], ...]:
    """The scenarios of these names, each with its group; all without any. Raises KeyError for an unknown one."""
    pairs = [(group, scenario) for group, found in GROUPS.items() for scenario in found]
    known = {scenario.name for _, scenario in pairs}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return tuple(pair for pair in pairs if not names or pair[1].name in names)


async def examine(
    bench: Bench,
    chosen: Sequence[tuple[str, Scenario]],
    told: Callable[[Result], None] = lambda _: None,
) -> Report:
    """Try them; `told` hears of each as it ends. Raises Invalid when there is no server to ask."""
    await bench.begin()
    results = []
    for group, scenario in chosen:
        result = await _try(bench, group, scenario)
        told(result)
        results.append(result)
    return Report(bench.target.issuer, bench.target.resource, tuple(results))


async def _try(bench: Bench, group: str, scenario: Scenario) -> Result:
    began = time.monotonic()
    try:
        outcome, why = Outcome.PASSED, await scenario.check(bench)
    except NotOffered as reason:
        outcome, why = Outcome.NOT_OFFERED, str(reason)
    except Failed as reason:
        is_demanded = scenario.level is Level.MUST
        outcome, why = Outcome.FAILED if is_demanded else Outcome.SHORT, str(reason)
    return Result(
        group=group,
        name=scenario.name,
        title=scenario.title,
        outcome=outcome,
        why=why,
        level=scenario.level,
        rows=tuple(scenario.rows.split()),
        clause=scenario.clause,
        seconds=round(time.monotonic() - began, 3),
    )
