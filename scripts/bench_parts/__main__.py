"""See scripts/bench."""

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from authz import __version__
from scripts.bench_parts import checks, loads, machine, markdown, report, sampling, targets
from scripts.bench_parts.peer import find_peer, install, peer, peer_version, start_peer
from scripts.bench_parts.plan import (
    PEER,
    WARM_CONNECTIONS,
    Kind,
    Plan,
    arguments,
    plan_of,
    profile_plan,
)
from scripts.bench_parts.report import Report, Result
from scripts.bench_parts.targets import ROOT, Target
from tests.support.otlp import collecting
from tests.support.postgres import PostgresUnavailableError, ThrowAwayPostgres

_LANE = ("jobs", "statements", "round_trips")


def say(text: str) -> None:
    """How far it is; the result alone goes to standard output."""
    print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Scene:
    """Every server of the plan, seeded and started."""

    targets: list[Target]
    versions: list[str]


@contextmanager
def running(plan: Plan, source: Path | None) -> Iterator[Scene]:
    """All is stopped and removed at the end, however that comes."""
    kinds = list(plan.kinds(with_peer=source is not None))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-bench-")))
        scene = Scene([], [f"authz {__version__}", f"Python {platform.python_version()}"])
        postgres = None
        if any(kind.engine == "postgresql" for kind in kinds):
            postgres = stack.enter_context(ThrowAwayPostgres({"synchronous_commit": "on"}))
            scene.versions.append(f"PostgreSQL {targets.postgres_version(postgres)}")
        stack.callback(lambda: [target.stop() for target in scene.targets])
        if source is not None and postgres is not None:
            installed = install(source, folder / "peer")
            scene.versions.append(peer_version(installed))
        # One database serves all kinds that differ in the number of processes only.
        collector = stack.enter_context(collecting()).endpoint if plan.exports else None
        for (name, engine, stored, exports), some in groupby(
            kinds, key=lambda it: (it.name, it.engine, it.stored, it.exports)
        ):
            say(f"{name}, {engine}: seeding {stored:,} token families")
            own = f"{name}_{stored}{'_exporting' if exports else ''}"
            place = folder / f"{own}-{engine}"
            if name == PEER and postgres is not None:
                target = peer(next(some), plan, installed, place, postgres)
                scene.targets.append(target)  # before it runs: whatever happens, it is stopped
                start_peer(target, plan)
            else:
                rows = targets.rows(engine, own, postgres, place)
                url = collector if exports else None
                scene.targets.extend(targets.ours(some, plan, place, rows, url))
        for target in scene.targets:
            if not target.kind.is_peer:
                target.measure_start(plan.starts)
                target.start()
        yield scene


@dataclass(frozen=True)
class _Spent:
    """CPU seconds between two looks, and how long that took."""

    server: float
    database: float
    others: float
    elapsed: float


@dataclass(frozen=True)
class _Used:
    """How much everything had used at a moment."""

    server: dict[str, int]
    database: dict[str, int]
    load: float
    all: float
    at: float

    @classmethod
    def now(cls, target: Target) -> "_Used":
        """A look."""
        pid = target.database_pid
        return cls(
            machine.cpu_times(target.pid),
            machine.cpu_times(pid) if pid else {},
            machine.children_seconds(),
            machine.busy_seconds(),
            time.perf_counter(),
        )

    def __sub__(self, before: "_Used") -> _Spent:
        server = machine.cpu_seconds(before.server, self.server)
        database = machine.cpu_seconds(before.database, self.database)
        ours = server + database + self.load - before.load
        return _Spent(server, database, self.all - before.all - ours, self.at - before.at)


def measure(
    target: Target, load: str, connections: int, seconds: int, plan: Plan
) -> dict[str, float]:
    """One run against one server."""
    shot = loads.LOADS[load].shot(target, plan.tokens_of_a_run(target.kind.stored), seconds)
    lane, before = target.lane(), _Used.now(target)
    seen = machine.wrk(
        target.url + shot.path,
        shot.script,
        shot.words,
        connections=connections,
        seconds=seconds,
        cpu=target.load_cpu,
    )
    used, lane_after = _Used.now(target) - before, target.lane()
    memory, done = machine.memory(target.pid), max(1, seen.done)
    run = {
        "per_second": seen.per_second,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "errors": float(seen.errors),
        "server_us": 1e6 * used.server / done,
        "database_us": 1e6 * used.database / done,
        "other_cores": max(0.0, used.others / used.elapsed),
        "resident_mb": memory.resident,
        "proportional_mb": memory.proportional,
    }
    batches = lane_after.get("batches", 0) - lane.get("batches", 0)
    if loads.LOADS[load].in_lane and batches:
        for name in _LANE:
            run[f"{name}_per_batch"] = (lane_after[name] - lane[name]) / batches
    return run


def run_rounds(started: list[Target], plan: Plan) -> list[Result]:
    """Every round measures every server at every load, in another order."""
    runs: dict[tuple[str, int, Kind], list[dict[str, float]]] = {}
    # All of them before any is measured: what cannot be measured is said at once, not after half an hour.
    for load in plan.loads:
        for target in started:
            if target.answers(load):
                loads.probe(load, target)
    for load in plan.loads:
        able = [target for target in started if target.answers(load)]
        for target in able:
            measure(target, load, WARM_CONNECTIONS, plan.warm_seconds, plan)
        for number in range(1, plan.rounds + 1):
            for connections in plan.connections:
                for target in random.sample(able, len(able)):
                    run = measure(target, load, connections, plan.seconds, plan)
                    runs.setdefault((load, connections, target.kind), []).append(run)
            say(f"{load}: round {number} of {plan.rounds}")
    order = [target.kind for target in started]
    found = [Result(*key, report.medians(value)) for key, value in runs.items()]
    return sorted(found, key=lambda it: order.index(it.kind))


def bench(options: argparse.Namespace) -> Report:
    """Set up, measure, clean up."""
    plan = plan_of(options)
    source = None if options.no_peer else find_peer(options.peer, ROOT)
    if source is None and not options.no_peer:
        say("the peer is not here (see --peer): only this server is measured")
    hardware = machine.describe()
    with running(plan, source) as scene:
        results = run_rounds(scene.targets, plan)
        return Report(
            machine=hardware,
            versions=", ".join(scene.versions),
            plan=plan,
            results=results,
            starts={
                it.kind.label: statistics.median(it.start_seconds)
                for it in scene.targets
                if it.start_seconds and it.kind.stored == plan.stored[0]
            },
        )


def profile(options: argparse.Namespace) -> None:
    """Load one process and print where it spends its time."""
    plan = profile_plan(options)
    sampling.find_sampler()
    with running(plan, None) as scene:
        (target,) = scene.targets
        load, (connections,) = plan.loads[0], plan.connections
        loads.probe(load, target)
        measure(target, load, connections, plan.warm_seconds, plan)
        output = target.folder / "stacks"
        sampler = sampling.begin(target.pid, plan.seconds, output, target.load_cpu)
        run = measure(target, load, connections, plan.seconds + 1, plan)
        sampling.finish(sampler, plan.seconds)
        print(
            f"{target.kind.label}, {load}, {connections} connections: {run['per_second']:,.0f} per s while "
            f"being sampled, {run['server_us']:.0f} us of CPU each"
        )
        print(sampling.render(output.read_text().splitlines(), ROOT))


def main() -> int:
    """0; 1 with a sentence, or when --check finds a target that is not met."""
    options = arguments()
    try:
        if options.profile:
            profile(options)
            return 0
        saved = options.saved
        found = report.from_json(json.loads(saved.read_text())) if saved else bench(options)
    except (machine.BenchError, PostgresUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(report.as_json(found), indent=2) + "\n")
    print((markdown if options.markdown else report).render(found))
    if not options.check:
        return 0
    verdicts = checks.verdicts(found)
    print(f"\n{checks.render(verdicts)}")
    return int(any(it.is_met is False for it in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
