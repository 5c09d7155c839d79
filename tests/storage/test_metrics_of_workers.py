"""Several processes of one node: whichever is asked for metrics answers for all of them (D10)."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases import migrated_url
from tests.support.postgres import free_port
from tests.support.processes import Installation, installation

pytestmark = [pytest.mark.slow, pytest.mark.only("postgresql")]
REQUESTS = 40


@contextmanager
def serving(it: Installation) -> Iterator[tuple[str, Path]]:
    """Two workers, as an operator starts them; yields the address and the folder for temporary files."""
    port, temporary = free_port(), it.config.parent / "tmp"
    temporary.mkdir()
    with (it.config.parent / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "authz.cli", "serve", "--port", str(port), "--workers", "2"],
            env={**os.environ, "AUTHZ_CONFIG": str(it.config), "TMPDIR": str(temporary)},
            stdout=log,
            stderr=log,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        whole = 2 * it.services.database.pool_use()[1]
        for _ in range(900):
            if _metrics(base).get("authz_database_pool_limit") == whole:
                break
            time.sleep(0.1)
        yield base, temporary
    finally:
        server.terminate()
        server.wait(30)


def _get(base: str, path: str) -> tuple[int, str]:
    """On a connection of its own, so that either worker may answer."""
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def _metrics(base: str) -> dict[str, float]:
    _, text = _get(base, "/metrics")
    return {name: float(it) for name, it in re.findall(r"^([^#\s]+) (\S+)$", text, re.MULTILINE)}


def _workers(temporary: Path) -> set[int]:
    files = temporary.glob("authz-metrics-*/gauge_livesum_*.db")
    return {int(it.stem.rpartition("_")[2]) for it in files}


def test_either_worker_tells_what_both_have_done(engine, tmp_path):
    """And of one that was killed the counts stay, but not what it held (S5)."""
    counted = 'authz_http_requests_total{endpoint="jwks",status="200"}'
    with (
        migrated_url(engine, tmp_path, "metrics_of_workers") as url,
        installation(tmp_path, url) as it,
        serving(it) as (base, temporary),
    ):
        assert [_get(base, "/jwks")[0] for _ in range(REQUESTS)] == [200] * REQUESTS
        first = [_metrics(base) for _ in range(8)]
        assert {found[counted] for found in first} == {REQUESTS}
        pools = {found["authz_database_pool_limit"] for found in first}
        assert pools == {2 * it.services.database.pool_use()[1]}
        # Facts of the installation are no sums.
        assert {found["authz_database_up"] for found in first} == {1}
        assert {found['authz_build_info{version="' + _version() + '"}'] for found in first} == {1}

        victim = min(_workers(temporary))
        os.kill(victim, signal.SIGKILL)
        after = _metrics(base)
        while victim in _workers(temporary):
            after = _metrics(base)
        assert after[counted] == REQUESTS
        assert after["authz_database_pool_limit"] <= max(pools)
    assert not list(temporary.glob("authz-metrics-*")), "what was counted together is left behind"


def _version() -> str:
    from authz import __version__

    return __version__
