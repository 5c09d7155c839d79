"""What is known of each mutant: one line of JSON for each verdict, the last one counts."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.mutants_parts.code import Mutant

NOTICED = ("killed", "timeout")
COLUMNS = ("killed", "timeout", "survived", "untested", "inapplicable", "unknown")


@dataclass(frozen=True)
class Verdict:
    """`by` is the test that noticed; `ran` of the `covering` tests were run."""

    key: str
    status: str
    tests: str
    by: str | None = None
    ran: int = 0
    covering: int = 0


class Results:
    """A file that grows; a run that is stopped loses nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Verdict] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                verdict = Verdict(**json.loads(line))
                self._known[verdict.key] = verdict

    def find(self, key: str) -> Verdict | None:
        """The last verdict."""
        return self._known.get(key)

    def add(self, verdict: Verdict) -> None:
        """On the disk before the next mutant lives."""
        self._known[verdict.key] = verdict
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")

    def status(self, mutant: Mutant) -> str:
        """Of the last verdict; `unknown` without one."""
        verdict = self._known.get(mutant.key)
        return "unknown" if verdict is None else verdict.status


def table(mutants: Iterable[Mutant], results: Results) -> str:
    """Counts by file, for docs/mutation.md."""
    counts: dict[str, Counter[str]] = {}
    for mutant in mutants:
        counts.setdefault(mutant.path, Counter())[results.status(mutant)] += 1
    counts["all"] = sum(counts.values(), Counter())
    lines = [
        "| Module | Mutants | Killed | Survived | No test | Not run |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(name, count) for name, count in counts.items()]
    return "\n".join(lines)


def _row(name: str, count: Mapping[str, int]) -> str:
    made = sum(count.values()) - count["inapplicable"]
    killed = sum(count[status] for status in NOTICED)
    cells = (
        made,
        killed,
        count["survived"],
        count["untested"],
        count["unknown"] + count["suspect"],
    )
    return f"| `{name}` | " + " | ".join(str(cell) if cell else "" for cell in cells) + " |"


def listed(mutants: Iterable[Mutant], results: Results, statuses: set[str]) -> str:
    """Each mutant of these statuses with what it changes."""
    lines = []
    for mutant in mutants:
        status = results.status(mutant)
        if status in statuses:
            before, after = mutant.described()
            lines.append(f"{mutant.path}:{mutant.change.first} {mutant.qualname} [{status}]")
            lines += [f"    - {before}", f"    + {after}"]
    return "\n".join(lines)
