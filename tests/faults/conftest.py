"""A PostgreSQL of this folder's own: it is restarted, replaced and cut off."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.table import ROWS, Row, table
from tests.support.clusters import Cluster
from tests.support.load import Measured
from tests.support.processes import Installation, installation

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A primary that is durable, and that may be replicated."""
    with Cluster({"wal_level": "replica", "max_wal_senders": "4"}) as made:
        yield made


@pytest.fixture
def installed(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    """An installation on the cluster; nothing serves it yet. Its database goes with the cluster."""
    name = f"authz_{next(_numbers)}"
    cluster.execute(f"CREATE DATABASE {name}")
    url = cluster.url.rpartition("/")[0] + f"/{name}"
    with installation(tmp_path, url) as made:
        yield made


@pytest.fixture
def report(request: pytest.FixtureRequest):
    """Put what was measured into the table."""

    def tell(fault: str, measured: Measured, note: str = "") -> None:
        ROWS.append(Row(fault, measured, note))

    return tell


def pytest_terminal_summary(terminalreporter) -> None:
    """The rows of docs/faults.md, where this folder was run."""
    if ROWS:
        terminalreporter.write_line("")
        terminalreporter.write_line(table(ROWS))
