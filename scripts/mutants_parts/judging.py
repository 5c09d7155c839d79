"""Whether tests notice a mutant: a pytest plugin that takes the place of the loop over the tests.

First every test runs once while it is watched which lines it comes along. Then, for each mutant, the tests that come
along its lines run, the quickest first, until one fails.

- Tests without a server: in a child of this warm process, so nothing that a mutant does remains. What a test module
  computes at its import is computed again, where that comes along the mutant.
- Flows: in this process, with the one server that is up, because a thread does not survive a fork. A test that failed
  is run again with the original; if it fails then too, the mutant left something behind, and a new process asks again.
"""

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scripts.mutants_parts.code import Functions, Mutant, NotApplicable, import_all
from scripts.mutants_parts.covering import (
    after,
    compute_again,
    modules_of,
    passes,
    watched,
)
from scripts.mutants_parts.results import Results, Verdict

AGAIN = 75
"""The exit status that asks for a new process."""
_KILLED, _SURVIVED, _NOT_APPLICABLE = 10, 11, 12
_MEMORY = 6 << 30


@dataclass(frozen=True)
class Work:
    """What is to be judged, and how."""

    name: str
    """Of the set of tests; it stands in the verdicts."""
    mutants: Sequence[Mutant]
    files: Sequence[Path]
    root: Path
    results: Results
    in_this_process: bool
    coverage: Path
    """Where it is kept which test comes along where."""
    seconds: float
    """At most, for all tests of one mutant."""
    until: float
    """No new mutant after this time of the monotonic clock."""


class Judge:
    """The plugin."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._deadline: float | None = None
        self._current: Verdict | None = None
        self._noticing: dict[str, Counter[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests once."""
        work = self._work
        import_all(work.files, work.root)
        files = {str(file) for file in work.files}
        self._covering = watched(session.items, files, work.coverage)
        if work.in_this_process:
            # The server is up before anything is changed.
            passes(session.items[0], session.items[-1])
            threading.Thread(target=self._guard, daemon=True).start()
        self._functions = Functions(files)
        gc.collect()
        gc.freeze()
        began, done = time.monotonic(), 0
        for mutant in work.mutants:
            if time.monotonic() > work.until:
                break
            verdict = self._judge(mutant)
            if verdict.by is not None:
                self._noticing.setdefault(mutant.qualname, Counter())[verdict.by] += 1
            work.results.add(verdict)
            done += 1
            if done % 100 == 0:
                times = os.times()
                print(
                    f"{done} mutants in {time.monotonic() - began:.0f} s, {times.user + times.system:.0f} s"
                    f" and {times.children_user + times.children_system:.0f} s of CPU time",
                    flush=True,
                )
        print(f"{done} of {len(work.mutants)} mutants judged", flush=True)
        return True

    def _judge(self, mutant: Mutant) -> Verdict:
        covering = self._covering.tests_for(mutant)
        # What noticed the last change of this function will most likely notice this one.
        often = self._noticing.get(mutant.qualname, Counter())
        covering.sort(key=lambda item: -often[item.nodeid])
        verdict = Verdict(mutant.key, "survived", self._work.name, covering=len(covering))
        if not covering:
            before = self._work.results.find(mutant.key)
            survived = before is not None and before.status == "survived"
            return verdict if survived else replace(verdict, status="untested")
        chosen, seconds = covering[:1], self._covering.seconds(covering[:1])
        for item in covering[1:]:
            seconds += self._covering.seconds([item])
            if seconds > self._work.seconds:
                break
            chosen.append(item)
        verdict = replace(verdict, ran=len(chosen))
        try:
            if self._work.in_this_process:
                return self._judged_here(mutant, chosen, verdict)
            return self._judged_by_a_child(mutant, chosen, verdict)
        except NotApplicable:
            return replace(verdict, status="inapplicable")

    # -- in a child ---------------------------------------------------------------------------------------

    def _judged_by_a_child(
        self, mutant: Mutant, chosen: list[pytest.Item], verdict: Verdict
    ) -> Verdict:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _be_mortal(self._covering.seconds(chosen))
                gc.disable()
                try:
                    with self._functions.changed_to(mutant):
                        killer = self._killer_among(chosen, mutant)
                except NotApplicable:
                    os._exit(_NOT_APPLICABLE)
                os.write(writing, (killer or "").encode())
                os._exit(_SURVIVED if killer is None else _KILLED)
            os._exit(_KILLED)  # it ended even pytest
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            killer = pipe.read().decode() or None
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return replace(verdict, status="timeout")
        if os.WEXITSTATUS(status) == _NOT_APPLICABLE:
            raise NotApplicable(mutant.key)
        if os.WEXITSTATUS(status) == _SURVIVED:
            return verdict
        return replace(verdict, status="killed", by=killer)

    def _killer_among(self, chosen: list[pytest.Item], mutant: Mutant) -> str | None:
        for module in modules_of(chosen):
            file = str(module.__file__)
            if self._covering.is_at_import(file, mutant):
                try:
                    compute_again(module, module.__dict__)
                except Exception:
                    return file
        for number, item in enumerate(chosen):
            if not passes(item, after(chosen, number)):
                return item.nodeid
        return None

    # -- in this process ----------------------------------------------------------------------------------

    def _judged_here(self, mutant: Mutant, chosen: list[pytest.Item], verdict: Verdict) -> Verdict:
        self._current = replace(verdict, status="timeout")
        self._deadline = time.monotonic() + 30 + 10 * self._covering.seconds(chosen)
        failed = None
        with self._functions.changed_to(mutant):
            for item in chosen:
                if not passes(item, self._another(item)):
                    failed = item
                    break
        if failed is None:
            self._deadline = None
            return verdict
        verdict = replace(verdict, status="killed", by=failed.nodeid)
        is_sound = passes(failed, self._another(failed))
        self._deadline = None
        if not is_sound:
            before = self._work.results.find(mutant.key)
            is_known = before is not None and before.status == "suspect"
            self._leave(verdict if is_known else replace(verdict, status="suspect"))
        return verdict

    def _another(self, item: pytest.Item) -> pytest.Item:
        """As if that came next: the server stays, and what is the test's own goes."""
        first, last = self._covering.items[0], self._covering.items[-1]
        return first if item is not first else last

    def _leave(self, verdict: Verdict) -> None:
        self._work.results.add(verdict)
        sys.stdout.flush()
        os._exit(AGAIN)

    def _guard(self) -> None:
        while True:
            time.sleep(1)
            deadline, current = self._deadline, self._current
            if deadline is not None and time.monotonic() > deadline and current is not None:
                self._leave(current)


def _be_mortal(seconds: float) -> None:
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, 3 + 8 * seconds)
    signal.setitimer(signal.ITIMER_REAL, 60 + 30 * seconds)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
