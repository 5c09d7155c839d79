"""Processes that end, with and without a goodbye, while clients refresh (issue 7 parts 5 and 7)."""

import os
import time

import httpx2
import pytest

from authz.admin import clients
from authz.admin.operator import Operator
from authz.clock import system_clock
from tests.support.load import load_on
from tests.support.nodes import Node, nodes

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
    environment = {"AUTHZ__SERVER__DRAIN": "2"}
    with nodes(installed.config, 2, environment=environment) as pair:
        with load_on(installed, [node.base for node in pair]) as load:
            load.run_for(0.5)
            pair[0].terminate()
            until = time.monotonic() + 1.5
            while pair[0].health() != 503 and time.monotonic() < until:
                time.sleep(0.02)
            assert pair[0].health() == 503
            answer = httpx2.get(f"{pair[0].base}/jwks", trust_env=False)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            load.bases = [pair[1].base]
            pair[0].wait(20)
            load.run_for(0.5)
        measured = load.check()
        assert (measured.unavailable, measured.unanswered) == (0, 0)
        report("SIGTERM of one of two nodes", measured)
    assert "Traceback" not in pair[0].log()


def test_a_second_node_sees_a_change_at_once_and_takes_no_job_twice(installed):
    """What one node reads is checked with each decision (`config_version`): there is no time in between."""
    with nodes(installed.config, 2) as pair:
        form = installed.redemption(installed.code())
        token = httpx2.post(f"{pair[0].base}/token", data=form, trust_env=False).json()
        again = httpx2.post(
            f"{pair[1].base}/token",
            data=installed.refreshing(token["refresh_token"]),
            trust_env=False,
        )
        assert again.status_code == 200
        with installed.services.database.write() as tx:
            operator = Operator.local("test", system_clock(), installed.services.envelope)
            clients.block(tx, operator, installed.tenant_id, installed.client_id)
        for node in pair:
            refused = httpx2.post(
                f"{node.base}/token",
                data=installed.refreshing(again.json()["refresh_token"]),
                trust_env=False,
            )
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_a_log_that_nobody_reads_stops_nobody(installed, report):
    """Standard error is a pipe whose reader has stopped: lines are lost, requests are not."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
        node = Node(installed.config, stderr=pipe.fileno())
        try:
            node.wait_until_ready()
            with load_on(installed, [node.base]) as load:
                # More lines than a pipe holds.
                with httpx2.Client(trust_env=False, timeout=10) as http:
                    for _ in range(600):
                        http.post(f"{node.base}/token", data={"grant_type": "x", "client_id": "n"})
                load.run_for(0.5)
            report("the log's reader stands still", load.check())
        finally:
            node.stop()
