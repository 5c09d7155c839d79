"""The measurement of docs/offboarding.md, with few people: everybody ends whole, whichever way it is told."""

import pytest

from tests.support.databases import migrated_url
from tests.support.leaving_crowd import crowd, departures, left, tell
from tests.support.processes import ServerProcess

PEOPLE = 60


@pytest.mark.slow
@pytest.mark.parametrize("way", ["push", "poll"])
def test_a_company_closes(engine, worker, tmp_path, way):
    """L8, E10, item 15: one process, sixty people at once, nothing left of any."""
    with (
        migrated_url(engine, tmp_path, f"authz_crowd_{worker}") as url,
        crowd(tmp_path, url, PEOPLE, algorithm="ES256", way=way) as made,
    ):
        assert left(made.made) == {
            "sessions": PEOPLE,
            "grants": 3 * PEOPLE,
            "access tokens": 3 * PEOPLE,
            "codes": PEOPLE,
        }
        server = ServerProcess(made.made.config)
        try:
            tell(made, server.port, made.tokens, way=way, connections=8)
        finally:
            server.stop()
        assert set(left(made.made).values()) == {0}
        seconds, _, _ = departures(made.made)
        assert len(seconds) == PEOPLE
        assert 0 <= seconds[-1] < 60
        assert made.made.verify().fault is None
