"""An installation of the test's own, for processes of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import migrated_url
from tests.support.processes import Installation, installation


@pytest.fixture
def installed(engine: str, worker: str, tmp_path: Path) -> Iterator[Installation]:
    """Nothing serves it yet."""
    with (
        migrated_url(engine, tmp_path, f"authz_storage_{worker}") as url,
        installation(tmp_path, url) as made,
    ):
        yield made
