"""`scripts/demo` is what a stranger runs first, so it is run here as they do."""

import os
import re
import subprocess
import sys

import pytest

from scripts.demo_parts.installation import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_the_demo_shows_the_whole_job_and_ends():
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo"), "--once"],
        env={**os.environ, "AUTHZ_DEMO_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "\n               query_analytics, read_logs\n" in shown
    assert "\n               read_logs, set_debug_level, trigger_incident\n" in shown
    assert 'error="insufficient_scope"' in shown
    assert re.search(r"analytics\.query: role developer", shown)
    assert re.search(r"logs\.debug\.write: no role of this person holds it", shown)
    assert "\033[" not in shown
    seconds = float(re.search(r"first tool call +([0-9.]+) s", shown)[1])
    assert seconds < 60


def test_three_servers_in_a_row_and_one_story():
    """S16, S5, TX-05: fewer scopes and one actor more at every hop, and one story of all three, in order."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo"), "--three-hops"],
        env={**os.environ, "AUTHZ_DEMO_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls, _, story = done.stdout.partition("authz audit trace")
    scopes = [it.split() for it in re.findall(r'"scope": "([^"]*)"', calls)]
    assert [len(it) for it in scopes] == [3, 2, 1]
    assert re.findall(r'"act": \{\s*"sub": "([^"]*)"', calls) == [
        "ops-mcp",
        *("tickets-mcp", "ops-mcp"),
    ]
    places = [
        story.index(tool) for tool in ("login.", "investigate", "find_tickets", "who_is_on_call")
    ]
    assert places == sorted(places)
    assert re.findall(r" (token\.issued|tool\.ok) ", story) == ["token.issued", "tool.ok"] * 3
