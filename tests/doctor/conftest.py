"""One web for all worlds: every test seeds its own."""

from collections.abc import Iterator

import pytest

from tests.doctor.world import World
from tests.support.web import FakeWeb


@pytest.fixture(scope="session")
def web() -> Iterator[FakeWeb]:
    with FakeWeb() as made:
        yield made


@pytest.fixture
def world(web: FakeWeb) -> World:
    return World(web)
