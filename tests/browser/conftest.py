"""Chromium, and the server it looks at."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.scene import Scene
from tests.interop.scene import scene as make_scene
from tests.support.harness import RealClock, RunningServer, running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser. Its absence fails the test, because a skipped test proves nothing."""
    found = shutil.which(os.environ.get("AUTHZ_TEST_CHROMIUM", "/usr/bin/chromium"))
    if found is None:
        pytest.fail("Chromium is not here; run `scripts/test`, or set AUTHZ_TEST_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server on the real clock: what providers sign has run out for one that other tests have moved ahead."""
    folder = Path(tmp_path_factory.mktemp("federated"))
    with running(folder, f"sqlite:///{folder / 'authz.db'}", RealClock()) as made:
        yield made


@pytest.fixture(scope="session")
def browser_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server process on SQLite: what is looked at does not depend on the database."""
    folder = Path(tmp_path_factory.mktemp("browser"))
    with make_scene(folder, f"sqlite:///{folder / 'authz.db'}") as made:
        yield made
