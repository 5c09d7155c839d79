"""What is measured, and for how long; from the command line."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from scripts.bench_parts.machine import BenchError

LOADS = (
    "discovery",
    "jwks",
    "client_credentials",
    "private_key_jwt",
    "refresh",
    "introspection",
    "code",
    "id_jag",
    "scim",
)
ENGINES = ("postgresql", "sqlite")
WARM_CONNECTIONS = 16
_MOST_USED = 100_000
"""How many of the stored families are refreshed at most; they lie evenly between the others."""


@dataclass(frozen=True)
class Kind:
    """A server to measure."""

    name: str
    engine: str
    workers: int
    stored: int
    exports: bool = False
    """It tells its audit trail to a file and its traces to a collector, one request of a hundred."""

    @property
    def is_peer(self) -> bool:
        """Whether it is the one this server is compared with."""
        return self.name == PEER

    @property
    def label(self) -> str:
        """What a person reads in the tables."""
        engine = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[self.engine]
        processes = f", {self.workers} proc." if self.workers > 1 else ""
        return f"{self.name}, {engine}{processes}{', exporting' if self.exports else ''}"


OURS, PEER = "authz", "oidc-provider"


@dataclass(frozen=True)
class Plan:
    """Every combination of these, in interleaved rounds."""

    loads: tuple[str, ...]
    engines: tuple[str, ...]
    workers: tuple[int, ...]
    connections: tuple[int, ...]
    stored: tuple[int, ...]
    rounds: int
    seconds: int
    warm_seconds: int
    starts: int
    cores: str = "split"
    introspected: int = 1000
    exports: bool = False
    """Whether this server is also measured while it exports."""

    def kinds(self, *, with_peer: bool) -> Iterator[Kind]:
        """The servers: SQLite serves one process, and so does the peer here."""
        for stored in self.stored:
            for engine in self.engines:
                for workers in self.workers:
                    if workers == 1 or engine == "postgresql":
                        yield Kind(OURS, engine, workers, stored)
            if self.exports and "postgresql" in self.engines:
                for workers in self.workers:
                    yield Kind(OURS, "postgresql", workers, stored, exports=True)
            if with_peer:
                yield Kind(PEER, "postgresql", 1, stored)

    def used(self, stored: int) -> int:
        """How many of the stored families are refreshed in the course of the whole plan."""
        return min(stored, _MOST_USED)

    def tokens_of_a_run(self, stored: int) -> int:
        """Every run has refresh tokens of its own; the answers' tokens keep it going.

        Servers with another number of processes share a database, so they share its tokens; one more run is for
        the warm-up and one for the request that is looked at.
        """
        runs = self.rounds * len(self.connections) + 2
        return self.used(stored) // (runs * len(self.workers))

    def check(self) -> None:
        """Raises BenchError for what cannot be measured."""
        for name, allowed in (("loads", LOADS), ("engines", ENGINES), ("workers", (1, 2))):
            for value in getattr(self, name):
                if value not in allowed:
                    known = ", ".join(map(str, allowed))
                    raise BenchError(f"--{name}: {value!r} is not one of {known}")
        if not list(self.kinds(with_peer=False)):
            raise BenchError("SQLite serves one process: nothing is left to measure")
        if self.exports and "postgresql" not in self.engines:
            raise BenchError("--exports is measured on PostgreSQL: leave it among --engines")
        most = max(*self.connections, WARM_CONNECTIONS)
        for stored in self.stored:
            if "refresh" in self.loads and self.tokens_of_a_run(stored) < most + 8:
                raise BenchError(f"--stored {stored} is too few for so many runs; say more")


QUICK = Plan(("refresh",), ENGINES, (1,), (1, 16, 64), (2000,), 1, 2, 1, 1)
FULL = Plan(LOADS, ENGINES, (1, 2), (1, 16, 64), (10_000, 1_000_000), 3, 3, 2, 3)
PROFILE_SECONDS = 10


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure this server, and oidc-provider beside it, on this machine.",
        epilog="What each load does, and what both servers do for it, stands in docs/benchmarks.md.",
    )
    what = parser.add_argument_group("what is measured (lists are separated by commas)")
    what.add_argument(
        "--quick", action="store_true", help="one short round of refresh rotation at 2000 tokens"
    )
    what.add_argument("--loads", type=_words, metavar="A,B", help=f"of {','.join(LOADS)}")
    what.add_argument("--engines", type=_words, metavar="A,B", help="of postgresql,sqlite")
    what.add_argument(
        "--workers", type=_numbers, metavar="N,M", help="processes of this server: 1,2; PostgreSQL"
    )
    what.add_argument("--connections", type=_numbers, metavar="N,M", help="1,16,64")
    what.add_argument(
        "--stored",
        type=_numbers,
        metavar="N,M",
        help="token families, and records of access tokens, in each database: 10000,1000000",
    )
    what.add_argument(
        "--exports",
        action="store_true",
        default=None,
        help="on PostgreSQL also with the audit trail told to a file and one request of a hundred traced",
    )
    what.add_argument(
        "--introspected",
        type=_positive,
        metavar="N",
        help="different access tokens that introspection asks about in turn: 1000; from about 8200 on this server "
        "no longer remembers whose signature it has checked",
    )
    what.add_argument("--rounds", type=_positive, help="medians are over these")
    what.add_argument("--seconds", type=_positive, help="of one run")
    what.add_argument("--warm-seconds", type=_positive, help="before the first round of a load")
    what.add_argument("--starts", type=_natural, help="how often the start is timed; 0 is not")
    what.add_argument(
        "--cores",
        choices=("split", "all"),
        help="split: a server of one process gets a core, the load another one (default); "
        "all: nothing is tied to a core, for comparing one process with two",
    )
    beside = parser.add_argument_group("beside it")
    beside.add_argument(
        "--peer",
        metavar="DIR",
        help="the folder of the peer, or the word oidc-provider for the usual place, "
        "../shared/bench; that place is also looked at without this option",
    )
    beside.add_argument("--no-peer", action="store_true", help="measure only this server")
    output = parser.add_argument_group("what is printed")
    output.add_argument(
        "--markdown", action="store_true", help="the tables as Markdown, for a document"
    )
    output.add_argument(
        "--check",
        action="store_true",
        help="compare with the targets of docs/benchmarks.md: met or not met; exit status 1 if any is not",
    )
    output.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    output.add_argument(
        "--from",
        type=Path,
        metavar="FILE",
        dest="saved",
        help="measure nothing: print, or --check, what --json wrote",
    )
    profile = parser.add_argument_group("instead of measuring")
    profile.add_argument(
        "--profile",
        choices=LOADS,
        metavar="LOAD",
        help="sample one process of this server under this load with py-spy and print where it spends its time; "
        "takes the first of --engines and --stored, the last of --connections, and --seconds (default 10)",
    )
    options = parser.parse_args(words)
    if options.profile and options.saved:
        parser.error("--from has nothing to profile")
    return options


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(word) for word in text.split(","))


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _positive(text: str) -> int:
    if (number := _natural(text)) == 0:
        raise argparse.ArgumentTypeError("0 is too few")
    return number


def plan_of(options: argparse.Namespace) -> Plan:
    """Quick or full, with what was said on the command line. Raises BenchError."""
    base = asdict(QUICK if options.quick else FULL)
    said = {
        it.name: value
        for it in fields(Plan)
        if (value := getattr(options, it.name, None)) is not None
    }
    plan = Plan(**{**base, **said})
    plan.check()
    return plan


def profile_plan(options: argparse.Namespace) -> Plan:
    """One process, one load, one run. Raises BenchError."""
    plan = Plan(
        loads=(options.profile,),
        engines=(options.engines or ENGINES)[:1],
        workers=(1,),
        connections=(options.connections or (64,))[-1:],
        stored=(options.stored or (10_000,))[:1],
        rounds=1,
        seconds=options.seconds or PROFILE_SECONDS,
        warm_seconds=options.warm_seconds or 2,
        starts=0,
        cores=options.cores or "split",
        introspected=options.introspected or Plan.introspected,
    )
    plan.check()
    return plan
