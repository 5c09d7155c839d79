"""The targets, and whether a report meets them. For people: no test depends on how fast a machine is."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scripts.bench_parts.plan import OURS, Kind
from scripts.bench_parts.report import TITLES, Report, footprint

RATIOS: Mapping[str, Mapping[int, float]] = {
    "discovery": {16: 1.2, 64: 1.2},
    "jwks": {16: 1.0, 64: 1.0},
    # The peer stores and audits nothing here; this server does both before it answers.
    "client_credentials": {16: 0.5, 64: 0.7},
    "refresh": {16: 1.1, 64: 1.5},
    "introspection": {16: 1.0, 64: 1.2},
    "code": {16: 1.0, 64: 1.2},
}
"""Requests/s of one process on PostgreSQL to the peer's, by load and connections."""
P99_OF_PEER = 1.5
P99_CONNECTIONS = 16
MOST_MB = 150
TWO_PROCESSES = 1.7
ID_JAG_OF_CLIENT_CREDENTIALS = 0.5
"""Of this server's own rate in the same run: a signature more, an account and the one use of the assertion."""
SCIM_PER_SECOND = 200
SCIM_CONNECTIONS = 16
COMMITS_A_GRANT = 0.2
GRANTS = ("client_credentials", "private_key_jwt", "refresh", "id_jag")
"""Each is one job of the token lane."""
OF_EXPORTING = 0.9
"""Rate with audit export and traces to that without."""
COST_OF_MANY = 1.2
"""CPU per request with the most stored tokens to that with the fewest."""


@dataclass(frozen=True)
class Verdict:
    """One target; `is_met` is None where it is only reported."""

    what: str
    target: str
    measured: str
    is_met: bool | None

    def __str__(self) -> str:
        word = {True: "met", False: "NOT MET", None: "reported"}[self.is_met]
        return f"{word:<10}{self.what:<76}{self.target:>12}{self.measured:>12}"


def verdicts(report: Report) -> list[Verdict]:
    """Every target that this report can answer."""
    return [
        *_ratios(report),
        *_p99(report),
        *_enterprise(report),
        *_memory(report),
        *_many_tokens(report),
        *_two_processes(report),
        *_commits(report),
        *_exporting(report),
        *_errors(report),
    ]


def render(found: list[Verdict]) -> str:
    """A line for each, and the count."""
    missed = sum(it.is_met is False for it in found)
    lines = [f"{'':<10}{'Target':<76}{'to reach':>12}{'measured':>12}", *map(str, found)]
    judged = sum(it.is_met is not None for it in found)
    return "\n".join([*lines, f"{judged - missed} of {judged} met"])


def _one_process(stored: int) -> Kind:
    return Kind(OURS, "postgresql", 1, stored)


def _ratios(report: Report) -> Iterator[Verdict]:
    for stored in report.plan.stored:
        for load, targets in RATIOS.items():
            for connections, target in targets.items():
                run = report.find(load, connections, _one_process(stored))
                peer = report.find_peer(load, connections, stored)
                if run is None or peer is None:
                    continue
                ratio = _to(run["per_second"], peer["per_second"])
                what = f"{TITLES[load]}, {connections} conn., {stored:,} stored: rate to the peer's"
                yield Verdict(what, f">= {target:.2f}", f"{ratio:.2f}", ratio >= target)


def _p99(report: Report) -> Iterator[Verdict]:
    for stored in report.plan.stored:
        for load in report.loads():
            run = report.find(load, P99_CONNECTIONS, _one_process(stored))
            peer = report.find_peer(load, P99_CONNECTIONS, stored)
            if run is None or peer is None:
                continue
            ratio = _to(run["p99_ms"], peer["p99_ms"])
            what = f"{TITLES[load]}, {P99_CONNECTIONS} conn., {stored:,} stored: p99 to the peer's"
            yield Verdict(what, f"<= {P99_OF_PEER:.2f}", f"{ratio:.2f}", ratio <= P99_OF_PEER)


def _enterprise(report: Report) -> Iterator[Verdict]:
    for stored in report.plan.stored:
        kind = _one_process(stored)
        for connections in report.plan.connections:
            run = report.find("id_jag", connections, kind)
            own = report.find("client_credentials", connections, kind)
            if run is not None and own is not None and connections > 1:
                ratio = _to(run["per_second"], own["per_second"])
                what = f"{TITLES['id_jag']}, {connections} conn., {stored:,} stored: to client credentials"
                least = ID_JAG_OF_CLIENT_CREDENTIALS
                yield Verdict(what, f">= {least:.2f}", f"{ratio:.2f}", ratio >= least)
        run = report.find("scim", SCIM_CONNECTIONS, kind)
        if run is not None:
            rate = run["per_second"]
            what = f"{TITLES['scim']}, {SCIM_CONNECTIONS} conn., {stored:,} stored: a second"
            yield Verdict(what, f">= {SCIM_PER_SECOND}", f"{rate:.0f}", rate >= SCIM_PER_SECOND)


def _memory(report: Report) -> Iterator[Verdict]:
    for label, _, _, proportional in footprint(report):
        if label.startswith(OURS):
            what = f"{label}: memory of a process after the run"
            yield Verdict(
                what, f"<= {MOST_MB} MB", f"{proportional:.0f} MB", proportional <= MOST_MB
            )


def _many_tokens(report: Report) -> Iterator[Verdict]:
    few, many = min(report.plan.stored), max(report.plan.stored)
    if few == many:
        return
    for load in report.loads():
        for connections in report.plan.connections:
            at_few = report.find(load, connections, _one_process(few))
            at_many = report.find(load, connections, _one_process(many))
            if at_few is None or at_many is None:
                continue
            ratio = _to(_cost(at_many), _cost(at_few))
            what = f"{TITLES[load]}, {connections} conn.: CPU at {many:,} to that at {few:,}"
            yield Verdict(what, f"<= {COST_OF_MANY:.2f}", f"{ratio:.2f}", ratio <= COST_OF_MANY)


def _to(value: float, other: float) -> float:
    """A server that answered nothing meets nothing."""
    return value / other if other else math.nan


def _cost(run: Mapping[str, float]) -> float:
    return run["server_us"] + run["database_us"]


def _two_processes(report: Report) -> Iterator[Verdict]:
    """A target only where the database leaves the cores free, which a machine of two cores never does."""
    for stored in report.plan.stored:
        for load in report.loads():
            connections = max(report.plan.connections)
            one = report.find(load, connections, _one_process(stored))
            two = report.find(load, connections, Kind(OURS, "postgresql", 2, stored))
            if one is None or two is None:
                continue
            ratio = _to(two["per_second"], one["per_second"])
            what = f"{TITLES[load]}, {connections} conn., {stored:,} stored: two processes to one"
            yield Verdict(what, f"({TWO_PROCESSES:.2f})", f"{ratio:.2f}", None)


def _commits(report: Report) -> Iterator[Verdict]:
    """How many requests share a transaction where many come at once: what several nodes cost one database."""
    connections = max(report.plan.connections)
    for stored in report.plan.stored:
        for load in GRANTS:
            run = report.find(load, connections, _one_process(stored))
            if run is None or "jobs_per_batch" not in run:
                continue
            commits = _to(1, run["jobs_per_batch"])
            what = f"{TITLES[load]}, {connections} conn., {stored:,} stored: commits a grant"
            is_met = commits <= COMMITS_A_GRANT if connections >= 64 else None
            yield Verdict(what, f"<= {COMMITS_A_GRANT:.2f}", f"{commits:.2f}", is_met)


def _exporting(report: Report) -> Iterator[Verdict]:
    """At the most connections and processes, where there is most to export."""
    connections, workers = max(report.plan.connections), max(report.plan.workers)
    for stored in report.plan.stored:
        for load in report.loads():
            plain = report.find(load, connections, Kind(OURS, "postgresql", workers, stored))
            exporting = report.find(
                load, connections, Kind(OURS, "postgresql", workers, stored, exports=True)
            )
            if plain is None or exporting is None:
                continue
            ratio = _to(exporting["per_second"], plain["per_second"])
            what = f"{TITLES[load]}, {connections} conn., {stored:,} stored: exporting to not"
            yield Verdict(what, f">= {OF_EXPORTING:.2f}", f"{ratio:.2f}", ratio >= OF_EXPORTING)


def _errors(report: Report) -> Iterator[Verdict]:
    errors = sum(it.figures["errors"] for it in report.results)
    yield Verdict("Errors of all runs", "0", f"{errors:.0f}", errors == 0)
