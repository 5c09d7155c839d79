"""The server process that foreign clients meet, on SQLite and on PostgreSQL."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.interop.scene import Scene
from tests.interop.scene import scene as make_scene
from tests.support.postgres import URL_VARIABLE, scratch_database

EmptyDatabase = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def empty_database(
    engine: str, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> EmptyDatabase:
    """Makes an empty database by name; answers its URL."""
    if engine == "sqlite":
        folder = tmp_path_factory.mktemp("interop")
        return lambda name: contextlib.nullcontext(f"sqlite:///{folder / name}.db")
    server_url = os.environ.get(URL_VARIABLE)
    if server_url is None:
        pytest.fail(
            f"{URL_VARIABLE} is not set; run `python tests/support/postgres.py run -- pytest ...`"
        )
    return lambda name: scratch_database(server_url, f"authz_{name}_{worker}")


@pytest.fixture(scope="session")
def scene(
    empty_database: EmptyDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Two tenants, two MCP servers, one server process."""
    folder = Path(tmp_path_factory.mktemp("scene"))
    with empty_database("scene") as url, make_scene(folder, url) as made:
        yield made
