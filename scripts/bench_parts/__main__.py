"""See scripts/bench."""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import machine  # noqa: E402 -- the folders of this repository are on the path only now
import table  # noqa: E402
import targets  # noqa: E402

from tests.support.postgres import PostgresUnavailableError, ThrowAwayPostgres  # noqa: E402


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    loads: tuple[str, ...]
    engines: tuple[str, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: int
    warm_seconds: int
    families: int
    starts: int

    def tokens_of_a_run(self) -> int:
        """Every run has tokens of its own; the answers' tokens keep it going."""
        runs = self.rounds * len(self.connections) + 1
        return self.families // runs


QUICK = Plan(("refresh",), ("postgresql", "sqlite"), (1, 16, 64), 1, 2, 1, 1000, 1)
FULL = Plan(
    ("refresh", "discovery", "jwks"), ("postgresql", "sqlite"), (1, 16, 64), 3, 4, 3, 10000, 3
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure this server, and oidc-provider beside it, on this machine.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round of refresh rotation")
    parser.add_argument("--peer", type=Path, metavar="DIR", help="the folder of the peer")
    parser.add_argument("--no-peer", action="store_true", help="measure only this server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--loads", type=_words, metavar="A,B", help="refresh,discovery,jwks")
    parser.add_argument("--engines", type=_words, metavar="A,B", help="postgresql,sqlite")
    parser.add_argument("--connections", type=_numbers, metavar="N,M", help="1,16,64")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of one run")
    parser.add_argument("--families", type=int, help="people with a refresh token, per server")
    return parser.parse_args()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def plan_of(options: argparse.Namespace) -> Plan:
    """Quick or full, with what was said on the command line."""
    base = asdict(QUICK if options.quick else FULL)
    said = {name: value for name in base if (value := getattr(options, name, None)) is not None}
    plan = Plan(**{**base, **said})
    if plan.tokens_of_a_run() < max(plan.connections) + 8:
        raise machine.BenchError("too few --families for so many runs; say more")
    return plan


def measure(
    target: targets.Target, load: str, connections: int, seconds: int, plan: Plan
) -> dict[str, float]:
    """One run against one server."""
    if load == "refresh":
        script, words = "refresh.lua", target.take_tokens(plan.tokens_of_a_run())
    else:
        script, words = "get.lua", []
    before, lane = _used(target), target.lane()
    seen = machine.wrk(
        target.url + target.paths[load],
        script,
        words,
        connections=connections,
        seconds=seconds,
        cpu=targets.LOAD_CPU,
    )
    after, lane_after = _used(target), target.lane()
    done = max(1, seen.requests)
    run = {
        "per_second": seen.per_second,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "errors": float(seen.errors),
        "server_us": 1e6 * machine.cpu_seconds(before[0], after[0]) / done,
        "database_us": 1e6 * machine.cpu_seconds(before[1], after[1]) / done,
        "resident_mb": machine.resident_mb(target.pid),
    }
    batches = lane_after.get("batches", 0) - lane.get("batches", 0)
    if load == "refresh" and batches:
        for name in ("jobs", "statements", "round_trips"):
            run[f"{name}_per_batch"] = (lane_after[name] - lane[name]) / batches
    return run


def _used(target: targets.Target) -> tuple[dict[str, int], dict[str, int]]:
    database = target.database_pid
    return machine.cpu_times(target.pid), machine.cpu_times(database) if database else {}


def run_rounds(
    all_targets: list[targets.Target], plan: Plan
) -> dict[tuple[str, int, str], list[dict[str, float]]]:
    """Every round measures every server at every load, in another order."""
    runs: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    for load in plan.loads:
        for target in all_targets:
            measure(target, load, 16, plan.warm_seconds, plan)
        for number in range(1, plan.rounds + 1):
            for connections in plan.connections:
                for target in random.sample(all_targets, len(all_targets)):
                    run = measure(target, load, connections, plan.seconds, plan)
                    runs.setdefault((load, connections, target.name), []).append(run)
            print(f"  {load}: round {number} of {plan.rounds}", file=sys.stderr, flush=True)
    return runs


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds; errors are added up."""
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {**found, "errors": sum(run["errors"] for run in runs)}


def bench(options: argparse.Namespace) -> None:
    """Set up, measure, print, clean up."""
    plan = plan_of(options)
    peer = None if options.no_peer else targets.find_peer(options.peer, ROOT)
    if peer is None and not options.no_peer:
        print("  the peer is not here (see --peer): only this server is measured", file=sys.stderr)
    hardware = machine.describe()
    folder = Path(tempfile.mkdtemp(prefix="authz-bench-"))
    started: list[targets.Target] = []
    try:
        with ThrowAwayPostgres({"synchronous_commit": "on"}) as postgres:
            pid = targets.postmaster_pid(postgres)
            print(f"  seeding {plan.families} token families", file=sys.stderr, flush=True)
            if "postgresql" in plan.engines:
                started.append(
                    targets.ours(
                        "authz, PostgreSQL", folder / "pg", postgres.url, plan.families, pid
                    )
                )
            if "sqlite" in plan.engines:
                url = f"sqlite:///{folder / 'lite' / 'authz.db'}"
                started.append(
                    targets.ours("authz, SQLite", folder / "lite", url, plan.families, None)
                )
            for target in started:
                target.measure_start(plan.starts)
                target.start()
            if peer is not None:
                it = targets.peer(peer, folder / "peer", postgres, plan.families, pid)
                started.append(it)
                targets.start_peer(it, plan.starts)
            runs = run_rounds(started, plan)
            report = table.Report(
                machine=hardware,
                plan=asdict(plan),
                pinned=targets.SERVER_CPU is not None,
                results={key: medians(value) for key, value in runs.items()},
                starts={it.name: statistics.median(it.start_seconds) for it in started},
            )
            for target in started:
                target.stop()
    finally:
        for target in started:
            target.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(table.render(report))
    if options.json:
        options.json.write_text(json.dumps(table.as_json(report), indent=2) + "\n")


def main() -> int:
    """0, or 1 with a sentence."""
    try:
        bench(arguments())
    except (machine.BenchError, PostgresUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
