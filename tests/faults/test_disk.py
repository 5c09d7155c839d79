"""A disk that is full while clients refresh."""

import resource

import pytest

from tests.support.load import load_on
from tests.support.nodes import nodes
from tests.support.processes import installation

pytestmark = pytest.mark.slow


def test_a_full_disk_is_503_and_nothing_is_lost(tmp_path, report):
    """SQLite: no file of the server may grow, as on a disk without room; then there is room again."""
    url = f"sqlite:///{tmp_path / 'authz.db'}"
    with installation(tmp_path, url) as installed, nodes(installed.config) as [node]:
        with load_on(installed, [node.base], clients=4) as load:
            load.run_for(0.5)
            _, most = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
            with load.fault("disk full"):
                resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (4096, most))
                load.run_for(1.5)
                resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (most, most))
                load.run_for(1.2)
            load.run_for(0.5)
        measured = load.check()
        assert measured.unavailable > 0
        report("disk full (SQLite)", measured)
