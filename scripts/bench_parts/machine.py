"""The machine under the load: processes with their CPU time and memory, and the load generator."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
_START_SECONDS = 120.0


class BenchError(Exception):
    """Something a person has to put right."""


@dataclass
class Process:
    """A started server and how long it took until it answered."""

    child: subprocess.Popen[bytes]
    ready_seconds: float

    def stop(self) -> None:
        """End it and everything it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
                self.child.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue
            return


@dataclass(frozen=True)
class Load:
    """What the load generator saw."""

    done: int
    """Requests, or what a script says they were for."""
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(frozen=True)
class Memory:
    """Of the largest process of a server, in MB."""

    resident: float
    proportional: float
    """Pages that processes share are counted once: the share of this process."""


def start(
    command: Sequence[str],
    port: int,
    *,
    environment: Mapping[str, str],
    folder: Path,
    cpu: str | None,
    log: Path,
    path: str,
) -> Process:
    """Start a server and wait for 200 at `path`."""
    began = time.perf_counter()
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*pinned(cpu), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            cwd=folder,
            start_new_session=True,
        )
    process = Process(child, 0.0)
    while time.perf_counter() - began < _START_SECONDS:
        if _answers(port, path):
            process.ready_seconds = time.perf_counter() - began
            return process
        if child.poll() is not None:
            break
        time.sleep(0.005)
    process.stop()
    text = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"{command[0]} did not start; the end of its log:\n{text}")


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def wrk(
    url: str,
    script: str,
    arguments: Sequence[str],
    *,
    connections: int,
    seconds: int,
    cpu: str | None,
) -> Load:
    """Load one address for a bounded time."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    command += ["-s", str(HERE / script), url, "--", *arguments]
    done = subprocess.run(
        [*pinned(cpu), *command], capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    return read_wrk(done.stdout + done.stderr)


def read_wrk(text: str) -> Load:
    """What `wrk --latency` printed, and what a script of ours added. Raises BenchError."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    total = re.search(r"(\d+) requests in", text)
    if rate is None or total is None:
        raise BenchError(f"wrk failed:\n{text}")
    counted = re.search(r"^DONE (\d+) FAILED (\d+) SECONDS ([\d.]+)$", text, re.M)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    errors = sum(map(int, broken.groups())) if broken else 0
    done, per_second = int(total[1]), float(rate[1])
    if counted:
        # The script looked at the answers: what it counts is not requests but what they were for.
        done, per_second = int(counted[1]), int(counted[1]) / float(counted[3])
        errors += int(counted[2])
    else:
        errors += int(refused[1]) if refused else 0
    return Load(done, per_second, _percentile(text, 50), _percentile(text, 99), errors)


def _percentile(text: str, number: int) -> float:
    found = re.search(rf"^\s+{number}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def pinned(cpu: str | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", cpu]


def can_pin() -> bool:
    """Whether the server gets a core and the load generator another one."""
    return shutil.which("taskset") is not None and (os.cpu_count() or 1) >= 2


def tree(pid: int) -> list[int]:
    """A process and all below it; empty where there is no /proc."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for file in Path("/proc").glob(f"{found[-1]}/task/*/children"):
            try:
                waiting += map(int, file.read_text().split())
            except OSError:
                continue
    return found


def cpu_times(pid: int) -> dict[str, int]:
    """Nanoseconds of every living thread of a tree."""
    times = {}
    for member in tree(pid):
        for file in Path("/proc").glob(f"{member}/task/*/schedstat"):
            try:
                times[str(file)] = int(file.read_text().split()[0])
            except OSError:
                continue
    return times


def cpu_seconds(before: dict[str, int], after: dict[str, int]) -> float:
    """What was used between two looks; what a thread that ended meanwhile had used is not known."""
    return sum(used - before.get(thread, 0) for thread, used in after.items()) / 1e9


def busy_seconds() -> float:
    """CPU time of everything on this machine since it started, as far as it tells."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = map(
        int, stat.read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """CPU time of programs this one started and saw end: the load generator."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(pid: int) -> Memory:
    """The largest process of a tree; a supervisor of workers is a process too, but never the largest."""
    found = [Memory(0.0, 0.0)]
    for member in tree(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        sizes = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M))
        found.append(Memory(int(sizes.get("Rss", 0)) / 1024, int(sizes.get("Pss", 0)) / 1024))
    return max(found, key=lambda it: it.resident)


def describe() -> str:
    """One line about the hardware."""
    model, memory = "unknown CPU", ""
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists() and (
        found := re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M)
    ):
        model = found[1].strip()
    if meminfo.exists() and (found := re.search(r"^MemTotal:\s+(\d+)", meminfo.read_text(), re.M)):
        memory = f", {int(found[1]) / 2**20:.0f} GiB"
    return f"{os.cpu_count()} x {model}{memory}, load {os.getloadavg()[0]:.1f} at the start"
