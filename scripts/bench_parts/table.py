"""The figures as a person likes to read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TITLES = {
    "refresh": "Refresh rotation (POST /token)",
    "discovery": "Discovery",
    "jwks": "JWKS",
}
_PEER = "oidc-provider"
Results = Mapping[tuple[str, int, str], Mapping[str, float]]


@dataclass(frozen=True)
class Report:
    """Everything that was found out."""

    machine: str
    plan: Mapping[str, Any]
    pinned: bool
    results: Results
    starts: Mapping[str, float]


def render(report: Report) -> str:
    """The whole text."""
    lines = ["", *_conditions(report)]
    for load in report.plan["loads"]:
        lines += ["", *_load(report, load)]
    lines += ["", *_footprint(report)]
    return "\n".join(lines)


def _conditions(report: Report) -> list[str]:
    plan = report.plan
    cores = "the server has one core, the load generator another" if report.pinned else "not pinned"
    return [
        f"Machine     {report.machine}; {cores}; PostgreSQL and the load share it",
        f"Data        {plan['families']} token families of as many people, per server",
        "Durability  PostgreSQL fsync=on synchronous_commit=on; SQLite WAL synchronous=FULL",
        "Keys        ES256 (P-256), client_secret_basic, JWT access tokens; one process per server",
        f"Runs        {plan['rounds']} interleaved rounds of {plan['seconds']} s; medians",
    ]


def _load(report: Report, load: str) -> list[str]:
    has_lane = load == "refresh"
    header = f"{_TITLES.get(load, load):<32}{'conn.':>6}{'per s':>9}{'peer':>8}{'p50 ms':>8}{'p99 ms':>8}"
    header += f"{'CPU us':>8}{'DB us':>7}{'errors':>7}"
    if has_lane:
        header += f"{'batch':>8}{'stmts':>7}{'trips':>7}"
    lines = [header, "-" * len(header)]
    for connections in report.plan["connections"]:
        rows = {
            name: run
            for (its_load, its_connections, name), run in report.results.items()
            if (its_load, its_connections) == (load, connections)
        }
        peer = next((run for name, run in rows.items() if name.startswith(_PEER)), None)
        for name in sorted(rows):
            run = rows[name]
            ratio = f"{run['per_second'] / peer['per_second']:.2f}x" if peer else "-"
            line = f"{name:<32}{connections:>6}{run['per_second']:>9,.0f}{ratio:>8}"
            line += f"{run['p50_ms']:>8.2f}{run['p99_ms']:>8.2f}{run['server_us']:>8.0f}"
            line += f"{run['database_us']:>7.0f}{run['errors']:>7.0f}"
            if has_lane and "jobs_per_batch" in run:
                line += f"{run['jobs_per_batch']:>8.1f}{run['statements_per_batch']:>7.1f}"
                line += f"{run['round_trips_per_batch']:>7.1f}"
            lines.append(line)
    return lines


def _footprint(report: Report) -> list[str]:
    lines = [f"{'Footprint':<32}{'start to ready':>15}{'resident after load':>21}"]
    lines.append("-" * len(lines[0]))
    for name, seconds in sorted(report.starts.items()):
        memory = max(run["resident_mb"] for key, run in report.results.items() if key[2] == name)
        lines.append(f"{name:<32}{seconds:>13.2f} s{memory:>18.0f} MB")
    return lines


def as_json(report: Report) -> dict[str, Any]:
    """The same for a program."""
    return {
        "machine": report.machine,
        "plan": report.plan,
        "pinned": report.pinned,
        "start_seconds": report.starts,
        "results": [
            {"load": load, "connections": connections, "server": name, **run}
            for (load, connections, name), run in report.results.items()
        ],
    }
