"""Whether tests notice a mutant: a pytest plugin that takes the place of the loop over the tests.

First every test runs once while it is watched which lines it comes along. Then, for each mutant, the tests that come
along its lines run, the quickest first, until one fails.

- Tests without a server: in a child of this warm process, which takes one after the other as long as the test that
  noticed passes with the original. What a test module computes at its import is computed again, where that comes along
  the mutant; then the child ends.
- Flows: in this process, with the one server that is up, because a thread does not survive a fork. A test that failed
  is run again with the original; if it fails then too, the mutant left something behind, and a new process asks again.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

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
_BATCH = 40
"""Mutants for one child; few enough that little is lost where one ends it."""
_MEMORY = 6 << 30


_Judged = Callable[[Mutant, list[pytest.Item], Verdict], Verdict]


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
        self._is_clean = True

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
        self._began = time.monotonic()
        queue = deque(work.mutants)
        while queue and time.monotonic() < work.until:
            if work.in_this_process:
                verdicts: Iterator[Verdict] = iter([self._judge(queue[0], self._judged_here)])
            else:
                verdicts = self._judged_by_a_child([*islice(queue, _BATCH)])
            for verdict in verdicts:
                queue.popleft()
                self._keep(verdict, len(work.mutants) - len(queue))
        print(f"{len(work.mutants) - len(queue)} of {len(work.mutants)} mutants judged", flush=True)
        return True

    def _keep(self, verdict: Verdict, done: int) -> None:
        self._work.results.add(verdict)
        self._remember(verdict)
        if done % 100 == 0:
            times = os.times()
            own, others = times.user + times.system, times.children_user + times.children_system
            print(
                f"{done} mutants in {time.monotonic() - self._began:.0f} s, {own + others:.0f} s of CPU time",
                flush=True,
            )

    def _remember(self, verdict: Verdict) -> None:
        if verdict.by is not None:
            function = verdict.key.rpartition(":")[0]
            self._noticing.setdefault(function, Counter())[verdict.by] += 1

    def _judge(self, mutant: Mutant, judged: _Judged) -> Verdict:
        covering = self._covering.tests_for(mutant)
        # What noticed other changes of this function will most likely notice this one.
        often = self._noticing.get(mutant.key.rpartition(":")[0], Counter())
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
        try:
            return judged(mutant, chosen, replace(verdict, ran=len(chosen)))
        except NotApplicable:
            return replace(verdict, status="inapplicable")

    # -- in a child ---------------------------------------------------------------------------------------

    def _judged_by_a_child(self, batch: Sequence[Mutant]) -> Iterator[Verdict]:
        """Verdicts on the first of these, on one at least: a child ends early where it is not sure of the next."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _be_mortal()
                with os.fdopen(writing, "w") as pipe:
                    self._judge_as_a_child(batch, pipe)
                os._exit(0)
            os._exit(1)
        os.close(writing)
        count = 0
        with os.fdopen(reading) as lines:
            for line in lines:
                yield Verdict(**json.loads(line))
                count += 1
        _, status = os.waitpid(child, 0)
        if status != 0 or count == 0:
            # The next one ended the child: pytest with it, or its time.
            word = "timeout" if os.WIFSIGNALED(status) else "killed"
            yield Verdict(batch[count].key, word, self._work.name)

    def _judge_as_a_child(self, batch: Sequence[Mutant], pipe: TextIO) -> None:
        for number, mutant in enumerate(batch):
            self._is_clean = True
            verdict = self._judge(mutant, self._judged_as_a_child)
            if number and verdict.status == "killed" and not self._is_clean:
                return  # perhaps by what an earlier one left: a new child asks again
            self._remember(verdict)
            pipe.write(json.dumps(asdict(verdict)) + "\n")
            pipe.flush()
            if not self._is_clean:
                return

    def _judged_as_a_child(
        self, mutant: Mutant, chosen: list[pytest.Item], verdict: Verdict
    ) -> Verdict:
        failed = None
        with self._functions.changed_to(mutant):
            for module in modules_of(chosen):
                file = str(module.__file__)
                if self._covering.is_at_import(file, mutant):
                    self._is_clean = False
                    try:
                        compute_again(module, module.__dict__)
                    except Exception:
                        return replace(verdict, status="killed", by=file)
            for number, item in enumerate(chosen):
                seconds = min(self._covering.seconds([item]), 2)
                signal.setitimer(signal.ITIMER_PROF, 3 + 5 * seconds)
                signal.setitimer(signal.ITIMER_REAL, 300 + 60 * seconds)
                if not passes(item, after(chosen, number)):
                    failed = item
                    break
        if failed is None:
            return verdict
        self._is_clean = self._is_clean and passes(failed, None)
        return replace(verdict, status="killed", by=failed.nodeid)

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


def _be_mortal() -> None:
    gc.disable()
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
