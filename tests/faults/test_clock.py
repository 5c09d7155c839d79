"""A node's system clock is stepped by ten minutes while clients refresh; its neighbour's and PostgreSQL's are right."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.support import plain_http
from tests.support.load import load_on
from tests.support.nodes import nodes
from tests.support.stepped_clock import SteppedClock

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

TEN_MINUTES = timedelta(minutes=10)
NEAR = timedelta(seconds=30)
PATIENCE_SECONDS = 20


def test_a_node_whose_clock_is_stepped_under_load_fails_no_refresh(installed, tmp_path, report):
    """Forward, back by twice as much, and right again: no fault is declared, so not even a 503 is allowed.

    Each client goes from one node to the other with every refresh, so rows written in one's future are read by the
    other. Budgets too: counted by that clock, every one would be used up for ten minutes after the step back.
    """
    clock = SteppedClock(tmp_path)
    with (
        nodes(installed.config) as [right],
        nodes(installed.config, environment=clock.environment) as [stepped],
        load_on(installed, [right.base, stepped.base], clients=4) as load,
    ):
        load.run_for(0.3)
        for by in (TEN_MINUTES, -TEN_MINUTES, timedelta(0)):
            clock.step(by)
            wait_for_step(stepped.base, by)
            served = len(load.answers)
            load.run_for(1)
            wait_for_ready(stepped)
            assert len(load.answers) > served
        # What was written while it was ahead is past on neither; a code of the right time is good on both.
        form = installed.redemption(installed.code())
        assert plain_http.post(f"{stepped.base}/token", data=form).status_code == 200
        load.finish()
    report("clock of one of two nodes stepped by ±10 minutes", load.check(), "no fault")


def wait_for_step(base, by):
    """Until what the process takes for the time is that far from the truth: it says so in every answer."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        told = plain_http.get(f"{base}/health/live", timeout=10).headers["date"]
        off = parsedate_to_datetime(told) - datetime.now(UTC)
        if abs(off - by) < NEAR:
            return
        time.sleep(0.1)
    raise AssertionError(f"the clock was not stepped: {off} and not {by}")


def wait_for_ready(node):
    """Readiness may be slow where everything is; it may not stay away."""
    until = time.monotonic() + PATIENCE_SECONDS
    while node.health() != 200:
        assert time.monotonic() < until, node.log()[-2000:]
        time.sleep(0.2)
