"""A server whose internet has the clients' documents, each at its own address."""

from collections.abc import Iterator

import pytest

from tests.compat.replay import publish
from tests.support.databases import migrated_url
from tests.support.egress import Egress
from tests.support.harness import RunningServer, TestClock
from tests.support.web import FakeWeb


@pytest.fixture(scope="session")
def internet() -> Iterator[FakeWeb]:
    """Where the documents are."""
    with FakeWeb() as web:
        publish(web)
        yield web


@pytest.fixture(scope="session")
def egress(internet: FakeWeb) -> Iterator[Egress]:
    """The only way there."""
    with Egress(internet) as made:
        yield made


@pytest.fixture(scope="session")
def server(
    engine: str,
    worker: str,
    internet: FakeWeb,
    egress: Egress,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """The server under test, behind an egress proxy."""
    folder = tmp_path_factory.mktemp("compat")
    with migrated_url(engine, folder, f"authz_compat_{worker}") as url:
        made = RunningServer(folder, url, internet, TestClock(), proxy=egress.url)
        try:
            yield made
        finally:
            made.close()
