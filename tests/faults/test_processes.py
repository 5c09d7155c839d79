"""Processes that end, with and without a goodbye, while clients refresh (issue 7 parts 5 and 7)."""

import pytest

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
