"""Server processes as an operator starts them: `authz serve`, told by signals, seen through their health."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx2

from tests.support import plain_http
from tests.support.postgres import free_port

START_SECONDS = 40


class Node:
    """One `authz serve`. `kill()` is kill -9 of all its processes, `terminate()` is SIGTERM."""

    def __init__(
        self,
        config: Path,
        *,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        stderr: "IO[bytes] | int | None" = None,
    ) -> None:
        self.config = config
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log_file = config.with_name(f"node-{self.port}.log")
        self._log = self.log_file.open("ab")
        command = [sys.executable, "-m", "authz.cli", "serve", "--config", str(config)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            env={**_plain_environment(), **(environment or {})},
            stdout=self._log,
            stderr=self._log if stderr is None else stderr,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        """Until it would be sent requests."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server did not start: {self.log()[-3000:]}")
            if self.health() == 200:
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start in time: {self.log()[-3000:]}")

    def health(self) -> int | None:
        """The status of readiness; None when nobody answers."""
        try:
            return plain_http.get(f"{self.base}/health/ready", timeout=5).status_code
        except httpx2.TransportError:
            return None

    def log(self) -> str:
        """What it wrote."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """SIGTERM to the process that was started, as a supervisor sends it."""
        self.process.terminate()

    def wait(self, seconds: float = 30) -> int:
        """Its exit code."""
        code = self.process.wait(seconds)
        self._log.close()
        return code

    def kill(self) -> None:
        """No goodbye."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._log.close()

    def stop(self) -> None:
        """SIGTERM, and not for ever; nothing when it is over already."""
        if self.process.poll() is not None:
            self._log.close()
            return
        self.terminate()
        try:
            self.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


def _plain_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), kept.get("PYTHONPATH", "")])}


@contextmanager
def nodes(
    config: Path,
    count: int = 1,
    *,
    environment: Mapping[str, str] | None = None,
    stderr: int | None = None,
) -> Iterator[list[Node]]:
    """That many, ready, and stopped at the end. They start together."""
    started = [Node(config, environment=environment, stderr=stderr) for _ in range(count)]
    try:
        for node in started:
            node.wait_until_ready()
        yield started
    finally:
        for node in started:
            if node.process.poll() is None:
                node.terminate()
        for node in started:
            node.stop()
