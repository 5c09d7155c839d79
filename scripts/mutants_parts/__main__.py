"""The command line of scripts/mutants."""

import argparse
import fnmatch
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.mutants_parts.code import Mutant, mutants_of
from scripts.mutants_parts.judging import AGAIN, Judge, Work
from scripts.mutants_parts.results import Results, listed, table

ROOT = Path(__file__).resolve().parents[2]
FILES = ("authz/policy/*.py", "authz/clients/*.py", "authz/oauth/*.py", "authz/oauth/*/*.py")
# What starts a process, or tries thousands of inputs, is too slow to be run for each mutant.
_TABLES = (
    *("tests/policy", "tests/clients", "tests/oauth", "tests/fuzz/test_targets.py"),
    *("tests/test_urls.py", "-m", "not hypothesis and not slow"),
    *(
        "-k",
        "not thousand and not work_is_bounded and not whatever_is_sent and not sqlite and not postgresql",
    ),
)
_PROPERTIES = (
    *("tests/policy", "tests/clients", "tests/oauth", "-m", "hypothesis and not slow"),
    *("-k", "not sqlite and not postgresql"),
)
_FLOWS = (
    *("tests/flows", "-m", "not postgresql and not hypothesis and not slow"),
    *("-k", "sqlite and not scim and not leaving and not federation and not pages_http"),
)
TESTS = {"tables": _TABLES, "properties": _PROPERTIES, "flows": _FLOWS}
# Flows are asked about what tables and properties left open.
_ASKS = {"tables": set(), "properties": {"survived"}, "flows": {"survived", "untested"}}
_BEFORE = {"tables": set(), "properties": {"tables"}, "flows": {"tables", "properties"}}


def main(arguments: Sequence[str]) -> int:
    """Run, or tell what a run found."""
    options = _options(arguments)
    files = _files(options.files)
    results = Results(options.results)
    mutants = [mutant for file in files for mutant in mutants_of(file, ROOT)]
    if options.report:
        print(table(mutants, results))
        return 0
    if options.list:
        print(listed(mutants, results, set(options.list.split(","))))
        return 0
    if options.child:
        return _judge(options, mutants, results)
    until = time.monotonic() + 60 * options.minutes
    while True:
        # A new process for the tests, because in one that was left early nothing can be relied on.
        more = ("--child", "--until", str(until))
        command = [sys.executable, "-m", "scripts.mutants_parts", *arguments, *more]
        status = subprocess.run(command, check=False).returncode
        if status != AGAIN:
            return status


def _judge(options: argparse.Namespace, mutants: list[Mutant], results: Results) -> int:
    again = set(options.again.split(",")) if options.again else set()
    mine = [it for it in mutants if _is_asked(it, results, options.tests, again)]
    if options.tests == "flows":
        # Nobody waits for all of them: what a run that was stopped has judged is a fair sample.
        mine.sort(key=lambda it: hashlib.sha256(it.key.encode()).digest())
        mine.sort(key=lambda it: results.status(it) == "survived")
    mine.sort(key=lambda it: results.status(it) != "suspect")
    print(
        f"{len(mine)} of {len(mutants)} mutants are to be judged with {options.tests}", flush=True
    )
    if not mine:
        return 0
    folder = options.results.parent
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    work = Work(
        name=options.tests,
        mutants=mine,
        # All of them, so that one look at the tests serves every choice.
        files=_files(FILES),
        root=ROOT,
        results=results,
        in_this_process=options.tests == "flows",
        coverage=folder / f"mutants-{options.tests}.pickle",
        seconds=options.seconds,
        until=options.until,
    )
    if options.watch_again:
        work.coverage.unlink(missing_ok=True)
    # Nobody reads why a test failed, and telling it in full would take longer than the test.
    fixed = ("-q", "-s", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist")
    return int(
        pytest.main(
            [*TESTS[options.tests], *fixed, "-o", "tmp_path_retention_policy=none"],
            plugins=[Judge(work)],
        )
    )


def _is_asked(mutant: Mutant, results: Results, tests: str, again: set[str]) -> bool:
    verdict = results.find(mutant.key)
    if verdict is None:
        return tests == "tables"
    if verdict.status in again or verdict.status == "suspect":
        return True
    return verdict.status in _ASKS[tests] and verdict.tests in _BEFORE[tests]


def _files(patterns: Sequence[str]) -> list[Path]:
    """In the order of the patterns."""
    names = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "authz").rglob("*.py"))
    found = [it for pattern in patterns for it in names if fnmatch.fnmatchcase(it, pattern)]
    return [ROOT / name for name in dict.fromkeys(found)]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutants")
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--tests", choices=sorted(TESTS), default="tables")
    parser.add_argument("--results", type=Path, default=ROOT / ".cache" / "mutants.jsonl")
    parser.add_argument("--again", metavar="STATUS,...")
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--watch-again", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--list", metavar="STATUS,...")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
