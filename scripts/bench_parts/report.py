"""What was found out, as values, and as the tables a person likes to read."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.bench_parts.plan import Kind, Plan

TITLES = {
    "discovery": "Discovery",
    "jwks": "JWKS",
    "client_credentials": "Client credentials, secret",
    "private_key_jwt": "Client credentials, signed",
    "refresh": "Refresh rotation",
    "introspection": "Introspection",
    "code": "Code flow (flows)",
    "id_jag": "Identity assertion (ID-JAG)",
    "scim": "SCIM, people created",
}
_LANE = ("jobs_per_batch", "statements_per_batch", "round_trips_per_batch")
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """One load on one server, medians of all rounds."""

    load: str
    connections: int
    kind: Kind
    figures: Figures


@dataclass(frozen=True)
class Report:
    """Everything."""

    machine: str
    versions: str
    plan: Plan
    results: Sequence[Result]
    starts: Mapping[str, float]
    """Seconds from the start until ready, by label."""

    def find(self, load: str, connections: int, kind: Kind) -> Figures | None:
        """The figures of one combination."""
        wanted = (load, connections, kind)
        return next(
            (it.figures for it in self.results if (it.load, it.connections, it.kind) == wanted),
            None,
        )

    def find_peer(self, load: str, connections: int, stored: int) -> Figures | None:
        """The peer's figures in the same run."""
        same = (
            it.figures
            for it in self.results
            if it.kind.is_peer
            and (it.load, it.connections, it.kind.stored) == (load, connections, stored)
        )
        return next(same, None)

    def ratio(self, result: Result) -> float | None:
        """Our rate to the peer's."""
        peer = self.find_peer(result.load, result.connections, result.kind.stored)
        if peer is None or result.kind.is_peer or not peer["per_second"]:
            return None
        return result.figures["per_second"] / peer["per_second"]

    def rows(self, load: str, stored: int) -> Iterator[Result]:
        """In the order of the tables."""
        for connections in self.plan.connections:
            for result in self.results:
                if (result.load, result.connections, result.kind.stored) == (
                    load,
                    connections,
                    stored,
                ):
                    yield result

    def loads(self) -> list[str]:
        """Those with a result."""
        return [load for load in self.plan.loads if any(it.load == load for it in self.results)]

    def labels(self) -> list[str]:
        """Of every server, first come first."""
        return list(dict.fromkeys(it.kind.label for it in self.results))


def medians(runs: Sequence[Figures]) -> dict[str, float]:
    """Medians over the rounds; errors are added up. A figure that one run lacks is left out."""
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    found = {name: statistics.median(run[name] for run in runs) for name in shared}
    return {**found, "errors": sum(run["errors"] for run in runs)}


def conditions(report: Report) -> list[tuple[str, str]]:
    """Without which no figure means anything."""
    plan = report.plan
    split = "a server of one process has one core, the load generator another, PostgreSQL uses both"
    others = [it.figures["other_cores"] for it in report.results]
    meanwhile = f"{statistics.median(others):.2f}, {max(others):.2f}" if others else "unknown"
    stored = " and ".join(f"{number:,}" for number in plan.stored)
    return [
        ("Machine", report.machine),
        ("Versions", report.versions),
        ("Cores", split if plan.cores == "split" else "nothing is tied to a core"),
        ("Data", f"{stored} token families and as many records of access tokens, per database"),
        (
            "Durability",
            "PostgreSQL fsync=on, synchronous_commit=on; SQLite WAL, synchronous=FULL",
        ),
        ("Keys", "ES256 (P-256) for access tokens and assertions; client_secret_basic"),
        ("Runs", f"{plan.rounds} interleaved rounds of {plan.seconds} s in random order; medians"),
        (
            "Others",
            f"other processes used {meanwhile} cores meanwhile: median of the rows, and most",
        ),
    ]


def render(report: Report) -> str:
    """The whole text."""
    lines = [""]
    lines += [f"{name:<12}{value}" for name, value in conditions(report)]
    for stored in report.plan.stored:
        for load in report.loads():
            lines += ["", *_load(report, load, stored)]
    lines += ["", *_footprint(report)]
    return "\n".join(lines)


def _load(report: Report, load: str, stored: int) -> list[str]:
    title = f"{TITLES[load]}, {stored:,} stored"
    header = f"{title:<42}{'conn.':>6}{'per s':>9}{'peer':>8}{'p50 ms':>8}{'p99 ms':>8}"
    header += (
        f"{'CPU us':>8}{'DB us':>7}{'errors':>7}{'RSS MB':>8}{'batch':>7}{'stmts':>7}{'trips':>7}"
    )
    lines = [header, "-" * len(header)]
    for result in report.rows(load, stored):
        run, ratio = result.figures, report.ratio(result)
        line = f"{result.kind.label:<42}{result.connections:>6}{run['per_second']:>9,.0f}"
        line += f"{'-' if ratio is None else f'{ratio:.2f}x':>8}"
        line += f"{run['p50_ms']:>8.2f}{run['p99_ms']:>8.2f}{run['server_us']:>8.0f}"
        line += f"{run['database_us']:>7.0f}{run['errors']:>7.0f}{run['resident_mb']:>8.0f}"
        line += "".join(f"{run[name]:>7.1f}" for name in _LANE if name in run)
        lines.append(line)
    return lines


def footprint(report: Report) -> Iterator[tuple[str, float | None, float, float]]:
    """Label, seconds to ready, resident and proportional MB of the largest process after the most it had to do."""
    for label in report.labels():
        seen = [it.figures for it in report.results if it.kind.label == label]
        yield (
            label,
            report.starts.get(label),
            max(it["resident_mb"] for it in seen),
            max(it["proportional_mb"] for it in seen),
        )


def _footprint(report: Report) -> list[str]:
    lines = [f"{'Footprint, largest process':<42}{'start to ready':>15}{'RSS':>10}{'PSS':>10}"]
    lines.append("-" * len(lines[0]))
    for label, seconds, resident, proportional in footprint(report):
        shown = "-" if seconds is None else f"{seconds:.2f} s"
        lines.append(f"{label:<42}{shown:>15}{resident:>7.0f} MB{proportional:>7.0f} MB")
    return lines


def as_json(report: Report) -> dict[str, Any]:
    """For a program, and for `--from`."""
    return {
        "machine": report.machine,
        "versions": report.versions,
        "plan": asdict(report.plan),
        "start_seconds": dict(report.starts),
        "results": [
            {
                "load": it.load,
                "connections": it.connections,
                "server": asdict(it.kind),
                "figures": dict(it.figures),
            }
            for it in report.results
        ],
    }


def from_json(saved: Mapping[str, Any]) -> Report:
    """The inverse of `as_json`."""
    plan = {k: tuple(v) if isinstance(v, list) else v for k, v in saved["plan"].items()}
    return Report(
        machine=saved["machine"],
        versions=saved["versions"],
        plan=Plan(**plan),
        results=[
            Result(it["load"], it["connections"], Kind(**it["server"]), it["figures"])
            for it in saved["results"]
        ],
        starts=saved["start_seconds"],
    )
