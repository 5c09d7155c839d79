"""Which tests come along which line: found by running each of them once, and kept for the next process."""

import hashlib
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from _pytest.runner import runtestprotocol

from scripts.mutants_parts.code import Mutant
from scripts.mutants_parts.watch import Lines, Watch


@dataclass
class _Known:
    seconds: dict[str, float] = field(default_factory=dict)
    """By test; below zero if it does not pass by itself."""
    lines: dict[str, Lines] = field(default_factory=dict)
    sources: str = ""
    """Digest of the files, because line numbers are kept."""
    at_import: dict[str, Lines] = field(default_factory=dict)
    """By the file of a test module: what its import computes."""


class Covering:
    """The tests of this process, and where they come along."""

    def __init__(self, items: Sequence[pytest.Item], known: _Known) -> None:
        self._known = known
        # A test that fails anyhow notices nothing.
        self.items = [item for item in items if known.seconds[item.nodeid] >= 0]
        self._by_name = {item.nodeid: item for item in self.items}
        self._by_file: dict[str, list[pytest.Item]] = {}
        for item in self.items:
            self._by_file.setdefault(str(item.path), []).append(item)
        self._places: dict[tuple[str, int], list[str]] = {}
        for nodeid, lines in known.lines.items():
            for file, numbers in lines.items():
                for number in numbers:
                    self._places.setdefault((file, number), []).append(nodeid)

    def seconds(self, items: Sequence[pytest.Item]) -> float:
        """How long these take together."""
        return sum(self._known.seconds[item.nodeid] for item in items)

    def tests_for(self, mutant: Mutant) -> list[pytest.Item]:
        """The quickest first."""
        found = {
            nodeid: self._by_name[nodeid]
            for number in mutant.lines
            for nodeid in self._places.get((mutant.file, number), ())
            if nodeid in self._by_name
        }
        for file in self._known.at_import:
            if self.is_at_import(file, mutant):
                found |= {item.nodeid: item for item in self._by_file.get(file, ())}
        return sorted(found.values(), key=lambda item: self._known.seconds[item.nodeid])

    def is_at_import(self, file: str, mutant: Mutant) -> bool:
        """Whether the import of this test module runs what is changed."""
        lines = self._known.at_import.get(file, {}).get(mutant.file, set())
        return not lines.isdisjoint(mutant.lines)


def watched(items: Sequence[pytest.Item], files: set[str], path: Path) -> Covering:
    """From the file at `path` if that knows all of them, otherwise by running them."""
    sources = hashlib.sha256(
        b"".join(Path(file).read_bytes() for file in sorted(files))
    ).hexdigest()
    if path.exists():
        known = pickle.loads(path.read_bytes())
        if known.sources == sources and known.seconds.keys() >= {item.nodeid for item in items}:
            return Covering(items, known)
    known, watch = _Known(sources=sources), Watch(files)
    for number, item in enumerate(items):
        watch.start()
        began = time.monotonic()
        passed = passes(item, after(items, number))
        known.seconds[item.nodeid] = time.monotonic() - began if passed else -1.0
        known.lines[item.nodeid] = watch.take()
        if not passed:
            print(f"does not pass by itself: {item.nodeid}", flush=True)
    for module in modules_of(items):
        watch.start()
        compute_again(module, dict(module.__dict__))
        known.at_import[str(module.__file__)] = watch.take()
    watch.stop()
    path.write_bytes(pickle.dumps(known))
    return Covering(items, known)


def after(items: Sequence[pytest.Item], number: int) -> pytest.Item | None:
    """For whom pytest keeps fixtures."""
    return items[number + 1] if number + 1 < len(items) else None


def passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run one test."""
    reports = runtestprotocol(item, log=False, nextitem=following)
    return not any(report.failed for report in reports)


def modules_of(items: Sequence[pytest.Item]) -> Iterator[ModuleType]:
    """Each once."""
    seen = set()
    for item in items:
        if isinstance(item, pytest.Function) and item.module.__name__ not in seen:
            seen.add(item.module.__name__)
            yield item.module


@cache
def _code_of(file: str) -> CodeType:
    return compile(Path(file).read_text(), file, "exec", dont_inherit=True)


def compute_again(module: ModuleType, names: dict[str, object]) -> None:
    """Run the module as its import did: tests that were collected see the new values, not new parameters."""
    exec(_code_of(str(module.__file__)), names)
