"""Where a server spends its time under a load, by py-spy: it looks at the process from outside, 500 times a second."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.bench_parts.machine import BenchError, pinned

_RATE = 500
_LINES = 40
_WAITING = ("wait (threading.py)", "_worker (concurrent/futures/thread.py)")
"""Threads with nothing to do, which py-spy takes for running on some kernels."""


def find_sampler() -> str:
    """The program. Raises BenchError."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise BenchError(f"--profile needs py-spy: {sys.executable} -m pip install py-spy")
    return found


def begin(pid: int, seconds: int, output: Path, cpu: str | None) -> subprocess.Popen[bytes]:
    """Start looking at a process."""
    command = [find_sampler(), "record", "--pid", str(pid), "--duration", str(seconds)]
    command += ["--rate", str(_RATE), "--format", "raw", "--output", str(output)]
    return subprocess.Popen(
        [*pinned(cpu), *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(sampler: subprocess.Popen[bytes], seconds: int) -> None:
    """Wait for it. Raises BenchError."""
    _, said = sampler.communicate(timeout=seconds + 60)
    if sampler.returncode:
        raise BenchError(f"py-spy failed:\n{said.decode(errors='replace')}")


def render(stacks: Iterable[str], root: Path) -> str:
    """Two lists: time in a function itself, and in it and what it calls."""
    itself, within = Counter[str](), Counter[str]()
    total = 0
    for line in stacks:
        frames, _, count = line.strip().rpartition(" ")
        if not count.isdecimal():
            continue
        names = [_name(frame, root) for frame in frames.split(";")]
        if names[-1].endswith(_WAITING):
            continue
        total += int(count)
        itself[names[-1]] += int(count)
        for name in set(names):
            within[name] += int(count)
    if not total:
        return "no samples: the process did nothing"
    own = Counter({name: count for name, count in within.items() if "(authz/" in name})
    return "\n".join(
        [
            f"{total} samples with something running",
            "",
            *_list("In the function itself", itself, total),
            "",
            *_list("In the function and what it calls, authz only", own, total),
        ]
    )


def _name(frame: str, root: Path) -> str:
    """`function (file:line)` without the line, so that a function is one entry."""
    function, _, place = frame.partition(" (")
    file = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    file = file.removeprefix(f"{root}/")
    return f"{function} ({file.rpartition('site-packages/')[2]})"


def _list(title: str, counts: Counter[str], total: int) -> Sequence[str]:
    return [title, *(f"{100 * n / total:6.1f} %  {name}" for name, n in counts.most_common(_LINES))]
