"""An installation of the server in a folder, operated as an operator does: with the command line."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 15


class DemoError(Exception):
    """What was started or asked did not do what it has to; the text says what it printed."""


@dataclass(frozen=True)
class Process:
    """A process of ours that is ready."""

    pid: int
    ready_after: float
    """Seconds from its start."""

    @property
    def resident_megabytes(self) -> float:
        """Its resident memory now, of the whole process (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@dataclass
class Installation:
    """One folder with configuration, key, database and logs."""

    folder: Path
    port: int
    ca_file: Path | None = None
    database: str = "sqlite:///authz.db"
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of the environment, such as AUTHZ__TOKENS__ACCESS_TOKEN."""

    @property
    def issuer(self) -> str:
        """Of the default tenant."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, typed: str = "") -> str:
        """Run `authz` with these arguments; answers what it prints. Raises DemoError."""
        done = subprocess.run(
            [*self._command, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=self.folder,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(
                f"authz {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def ask(self, *arguments: str, typed: str = "") -> Any:
        """The same, with the answer as a value."""
        return json.loads(self.run(*arguments, "--json", typed=typed))

    def init(self) -> str:
        """Write configuration and key: development, http on loopback, the extra authority trusted."""
        printed = self.run(
            "init", "--development", "--issuer", self.issuer, "--database", self.database
        )
        if self.ca_file is not None:
            with (self.folder / "authz.toml").open("a") as file:
                file.write(f'\n[network]\nca_file = "{self.ca_file}"\n')
        return printed

    @contextlib.contextmanager
    def serving(self) -> Iterator[Process]:
        """`authz serve`, ready, until the block ends."""
        ready = f"{self.issuer}/.well-known/oauth-authorization-server"
        with running(
            [*self._command, "serve"], self.folder, "authz", ready, environment=self._environment
        ) as process:
            yield process

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "authz.cli"]

    @property
    def _environment(self) -> dict[str, str]:
        return {**python_environment(), **self.settings}


def python_environment() -> dict[str, str]:
    """The environment of our child processes: this checkout first, no settings of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    name: str,
    ready: str,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """A process that answers 200 at `ready`; its output is in `folder`/`name`.log."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment or python_environment()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until(ready, process, log, began)
            yield Process(process.pid, time.monotonic() - began)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody has it, else a port that is free now."""
    for port in (preferred, 0):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise DemoError("no port is free on 127.0.0.1")


def _wait_until(url: str, process: subprocess.Popen[bytes], log: Path, began: float) -> None:
    with httpx2.Client(trust_env=False, timeout=5) as http:
        while time.monotonic() - began < _START_SECONDS:
            if process.poll() is not None:
                raise DemoError(f"{log.stem} ended while it started:\n{_tail(log)}")
            with contextlib.suppress(httpx2.TransportError):
                if http.get(url).status_code == 200:
                    return
            time.sleep(0.01)
    raise DemoError(f"{log.stem} was not ready after {_START_SECONDS} s:\n{_tail(log)}")


def _tail(log: Path, lines: int = 20) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
