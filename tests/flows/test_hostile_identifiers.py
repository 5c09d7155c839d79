"""Thousands of hostile client identifiers leave nothing behind (ATK-48, ATK-61, CIMD-17, features.md 2 and 3).

`tests/support/flood.py` does the same with a million, in a process of its own; docs/benchmarks.md has what it showed.
"""

from authz.limits import MAX_KEYS
from tests.support.flood import authorizations, flood, remembered, rows, token_requests
from tests.support.web import Reply

CROWD = 600


def test_a_crowd_of_unknown_identifiers_leaves_nothing(harness):
    """No row in any table, nobody is asked, and what is remembered does not grow with the crowd."""
    server, path = harness.server, f"/t/{harness.slug}"
    before, asked = rows(server.database), len(server.web.resolutions)
    at_first = flood(server.port, authorizations(path, "first"), CROWD)
    assert set(at_first) == {200}
    statuses = flood(server.port, token_requests(path, "token"), CROWD)
    kept = remembered(server)
    statuses += flood(server.port, token_requests(path, "again"), CROWD)
    assert set(statuses) <= {401, 429}
    assert rows(server.database) == before
    assert len(server.web.resolutions) == asked
    # Not one identifier: two keys of budgets for each failure, until there are as many as there may be.
    assert remembered(server) - kept <= 2 * CROWD <= 2 * MAX_KEYS


def test_a_signed_in_attacker_makes_us_ask_thirty_times(harness):
    """ATK-48: everybody else's row count stays, and the thirty-first host is not asked."""
    browser = harness.browser()
    assert browser.sign_in(browser.start()).is_consent
    server = harness.server
    hosts = [f"h{n}.{harness.host}" for n in range(40)]
    for host in hosts:
        harness.web.serve(host, Reply(404))
    before = rows(server.database)
    pages = [
        browser.start(client_id=harness.web.url(host, "/client.json"), state=host) for host in hosts
    ]
    assert [page.status for page in pages] == [400] * 30 + [429] * 10
    assert {page.reason for page in pages[30:]} == {"fetches_per_user"}
    assert sum(harness.web.count(host) for host in hosts) == 30
    assert rows(server.database) == before
