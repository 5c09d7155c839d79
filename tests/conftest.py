"""Shared fixtures: every flow runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.harness import Harness, RunningServer, running
from tests.support.postgres import URL_VARIABLE, scratch_database

ENGINES = ("sqlite", "postgresql")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs on PostgreSQL is marked, for those who are in a hurry.

    A test marked `only("postgresql")` has no meaning on the other engine: it is not made there.
    """
    elsewhere = []
    for item in items:
        # Whatever the fixture is called: some packages have a database of their own for each engine.
        if getattr(item, "callspec", None) and "postgresql" in item.callspec.id.split("-"):
            item.add_marker(pytest.mark.postgresql)
        mark = item.get_closest_marker("only")
        if mark is not None and mark.args[0] not in item.callspec.id.split("-"):
            elsewhere.append(item)
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """The name of this test process."""
    return getattr(request.config, "workerinput", {}).get("workerid", "main")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The database engine."""
    return str(request.param)


@pytest.fixture(scope="session")
def database_url(
    engine: str, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty database of this process. PostgreSQL has to be there: `scripts/test` starts one."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('db') / 'authz.db'}"
        return
    server_url = os.environ.get(URL_VARIABLE)
    if server_url is None:
        pytest.fail(
            f"{URL_VARIABLE} is not set; run `python tests/support/postgres.py run -- pytest ...`"
        )
    with scratch_database(server_url, f"authz_flows_{worker}") as url:
        yield url


@pytest.fixture(scope="session")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server under test."""
    with running(Path(tmp_path_factory.mktemp("server")), database_url) as made:
        yield made


@pytest.fixture
def other_harness(server: RunningServer) -> Iterator[Harness]:
    """Another tenant of the same server."""
    made = Harness(server)
    yield made
    made.close()


@pytest.fixture
def harness(server: RunningServer) -> Iterator[Harness]:
    """A tenant of its own for each test."""
    made = Harness(server)
    yield made
    made.close()
