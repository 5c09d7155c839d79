"""A PostgreSQL of this folder's own: it is restarted, replaced and cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.table import ROWS, Row, table
from tests.support.clusters import Cluster
from tests.support.load import Measured
from tests.support.postgres import scratch_database
from tests.support.processes import Installation, installation


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A primary that is durable, and that may be replicated."""
    with Cluster({"wal_level": "replica", "max_wal_senders": "4"}) as made:
        yield made


@pytest.fixture
def installed(cluster: Cluster, worker: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation on the cluster; nothing serves it yet."""
    with (
        scratch_database(cluster.url, f"authz_faults_{worker}") as url,
        installation(tmp_path, url) as made,
    ):
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
