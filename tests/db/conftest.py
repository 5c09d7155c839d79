"""A migrated database of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authz.db import Database
from tests.support.databases import migrated_url


@pytest.fixture
def database(engine: str, worker: str, tmp_path: Path) -> Iterator[Database]:
    """Empty tables at head."""
    with migrated_url(engine, tmp_path, f"authz_db_{worker}") as url:
        made = Database(url)
        yield made
        made.close()
