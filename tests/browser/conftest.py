"""Chromium, and the server it looks at."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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


@pytest.fixture
def job(met: Mapping[str, Any]) -> Callable[[str], Any]:
    """What a browser met at one job of a module's `met`; the job came to its end."""

    def find(name: str) -> Any:
        assert "error" not in met[name], met[name]
        return met[name]

    return find
