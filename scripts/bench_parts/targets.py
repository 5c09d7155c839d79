"""A server to measure: how it is started, what it is given, and this server on either engine."""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psycopg

from authz.envelope import new_encoded_key
from authz.settings import load
from scripts.bench_parts.machine import BenchError, Process, can_pin, start
from scripts.bench_parts.plan import Kind, Plan
from scripts.bench_parts.seed import seed
from scripts.bench_parts.supplies import Supplies, new_signing_key
from tests.support.postgres import ThrowAwayPostgres, free_port

ROOT = Path(__file__).resolve().parents[2]
SERVER_CPU, LOAD_CPU = ("0", "1") if can_pin() else (None, None)

_LANE = re.compile(r'authz_lane_(\w+)_total\{lane="token"\} (\S+)')
_BUDGETS = (
    "REQUESTS_PER_ADDRESS",
    "REQUESTS_PER_CLIENT",
    "PUSHES_PER_ADDRESS",
    "PUSHES_PER_CLIENT",
    "PUSHES_OF_PUBLIC_CLIENTS",
    "PAGES_PER_ADDRESS",
    "PAGES_PER_USER",
    "PROVISIONING_PER_ADDRESS",
    "PROVISIONING_PER_CLIENT",
)


@dataclass
class Target:
    """One server with its data."""

    kind: Kind
    command: list[str]
    environment: dict[str, str]
    folder: Path
    port: int
    paths: Mapping[str, str]
    """Of its endpoints."""
    supplies: Supplies
    ready_path: str
    is_split: bool = True
    """It gets a core and the load another one."""
    database_pid: int | None = None
    process: Process | None = None
    start_seconds: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self.process is None:
            raise BenchError(f"{self.kind.label} does not run")
        return self.process.child.pid

    @property
    def load_cpu(self) -> str | None:
        """The core of the load generator; None where nothing is tied to a core."""
        return LOAD_CPU if self.is_split else None

    def answers(self, load_name: str) -> bool:
        """Whether this load can be put on it."""
        if load_name == "scim":
            return self.supplies.scim_token is not None
        if load_name == "id_jag":
            return "scim" in self.paths
        return load_name != "private_key_jwt" or self.supplies.key is not None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = start(
            self.command,
            self.port,
            environment=self.environment,
            folder=self.folder,
            cpu=SERVER_CPU if self.is_split else None,
            log=self.folder / "log",
            path=self.ready_path,
        )

    def measure_start(self, times: int) -> None:
        """Start it and stop it, several times."""
        for _ in range(times):
            self.start()
            if self.process is not None:
                self.start_seconds.append(self.process.ready_seconds)
            self.stop()

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def lane(self) -> dict[str, float]:
        """Counters of the token lane; empty for the peer, and for several processes, of which one would answer."""
        if "metrics" not in self.paths or self.kind.workers > 1:
            return {}
        with urlopen(self.url + self.paths["metrics"], timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = (_LANE.fullmatch(line) for line in lines)
        return {match[1]: float(match[2]) for match in found if match is not None}


@dataclass(frozen=True)
class Place:
    """Where this server's rows are; `pid` is PostgreSQL's."""

    url: str
    pid: int | None = None


def ours(
    kinds: Iterable[Kind], plan: Plan, folder: Path, place: Place, collector: str | None = None
) -> list[Target]:
    """This server, as `authz serve` runs it: one installation, served by as many targets as there are `kinds`.

    With the URL of a `collector` it exports.
    """
    chosen = list(kinds)
    folder.mkdir()
    ports = [free_port() for _ in chosen]
    issuer = f"http://127.0.0.1:{ports[0]}"
    environment = environment_of(folder, issuer, place)
    if collector is not None:
        environment |= _exporting(folder, collector)
    supplies = Supplies(folder, issuer, new_signing_key())
    stored = chosen[0].stored
    settings = load(None, environment=environment)
    seed(
        settings,
        supplies,
        stored=stored,
        used=plan.used(stored),
        introspected=plan.introspected,
    )
    return [
        Target(
            kind=kind,
            command=[sys.executable, "-m", "authz.cli", "serve"],
            environment={
                **environment,
                "AUTHZ__SERVER__PORT": str(port),
                "AUTHZ__SERVER__WORKERS": str(kind.workers),
            },
            folder=folder,
            port=port,
            paths={
                "discovery": "/.well-known/oauth-authorization-server",
                "jwks": "/jwks",
                "authorize": "/authorize",
                "token": "/token",
                "introspection": "/introspect",
                "scim": "/scim/v2",
                "metrics": "/metrics",
            },
            supplies=supplies,
            ready_path="/health/ready",
            is_split=plan.cores == "split" and kind.workers == 1,
            database_pid=place.pid,
        )
        for kind, port in zip(chosen, ports, strict=True)
    ]


def environment_of(folder: Path, issuer: str, place: Place) -> dict[str, str]:
    """The settings of an installation in this folder, with a new key."""
    (folder / "authz.key").write_bytes(new_encoded_key())
    return {
        "PYTHONPATH": str(ROOT),
        "AUTHZ__SERVER__ISSUER": issuer,
        "AUTHZ__SERVER__DEVELOPMENT": "true",
        "AUTHZ__DATABASE__URL": place.url,
        "AUTHZ__KEYS__ENCRYPTION_KEY": f"file:{folder / 'authz.key'}",
        "AUTHZ__KEYS__ALGORITHM": "ES256",
        "AUTHZ__LOG__LEVEL": "warning",
        # One address, one client and one person make all of the load: counted as in production, never refused.
        **{f"AUTHZ__LIMITS__{name}": "100000000" for name in _BUDGETS},
    }


def _exporting(folder: Path, collector: str) -> dict[str, str]:
    file = folder / "authz.toml"
    sink = f'[[audit.sink]]\nname = "bench"\nkind = "file"\npath = "{folder / "audit.jsonl"}"\n'
    traces = f'[telemetry]\ntraces_endpoint = "{collector}"\ntraces_ratio = 0.01\n'
    file.write_text(sink + traces)
    return {"AUTHZ_CONFIG": str(file)}


def rows(engine: str, name: str, postgres: ThrowAwayPostgres | None, folder: Path) -> Place:
    """A place for the rows of one installation."""
    if engine == "sqlite" or postgres is None:
        return Place(f"sqlite:///{folder / 'authz.db'}")
    return Place(new_database(postgres, name), postmaster_pid(postgres))


def new_database(postgres: ThrowAwayPostgres, name: str) -> str:
    """An empty database of the cluster; its libpq URL."""
    with psycopg.connect(postgres.libpq_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres.libpq_url.rpartition('/')[0]}/{name}"


def postgres_version(postgres: ThrowAwayPostgres) -> str:
    """As it says itself, without the packager's words."""
    with psycopg.connect(postgres.libpq_url) as connection:
        (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
    return str(version).split(" ")[0]


def postmaster_pid(postgres: ThrowAwayPostgres) -> int:
    """The process above all of PostgreSQL's."""
    return int((postgres.data / "postmaster.pid").read_text().split()[0])
