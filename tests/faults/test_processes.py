"""Processes that end, with and without a goodbye, while clients refresh."""

import time

import pytest

from tests.support import plain_http
from tests.support.load import load_on
from tests.support.nodes import nodes

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


def test_kill_nine_of_one_node_loses_nothing_that_was_answered(installed, report):
    with nodes(installed.config, 2) as pair:
        with load_on(installed, [node.base for node in pair]) as load:
            load.run_for(1)
            with load.fault("kill -9"):
                pair[0].kill()
                # As a balancer does, which looks whether somebody is there.
                load.bases = [pair[1].base]
                load.run_for(0.5)
            load.run_for(1)
        report("`kill -9` of one of two nodes", load.check())


def test_sigterm_loses_no_request_at_all(installed, report):
    """Readiness first, then every connection ends with an answer, then nobody listens any more."""
    environment = {"AUTHZ__SERVER__DRAIN": "4"}
    with nodes(installed.config, 2, environment=environment) as pair:
        with load_on(installed, [node.base for node in pair]) as load:
            load.run_for(0.5)
            pair[0].terminate()
            until = time.monotonic() + 3
            while pair[0].health() != 503 and time.monotonic() < until:
                time.sleep(0.02)
            assert pair[0].health() == 503
            answer = plain_http.get(f"{pair[0].base}/jwks")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            load.bases = [pair[1].base]
            pair[0].wait(20)
            load.run_for(0.5)
        measured = load.check()
        assert (measured.unavailable, measured.unanswered) == (0, 0)
        report("SIGTERM of one of two nodes", measured)
    assert "Traceback" not in pair[0].log()
