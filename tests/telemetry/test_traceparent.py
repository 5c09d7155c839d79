"""W3C Trace Context: what a `traceparent` says, and what is none (S14)."""

import pytest

from authz.resource_server.traceparent import read_traceparent as read_at_an_mcp_server
from authz.telemetry.traceparent import TraceParent, only_traceparent, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
BAD = {
    "empty": "",
    "upper-case": GOOD.upper(),
    "trace-of-zeros": f"00-{'0' * 32}-{SPAN}-01",
    "span-of-zeros": f"00-{TRACE}-{'0' * 16}-01",
    "later-version": f"01-{TRACE}-{SPAN}-01",
    "no-version": f"ff-{TRACE}-{SPAN}-01",
    "more-fields": f"{GOOD}-x",
    "fewer-fields": f"00-{TRACE}-{SPAN}",
    "short-trace": f"00-{TRACE[1:]}-{SPAN}-01",
    "spaces": f" {GOOD}",
    "line-break": f"{GOOD}\n",
    "two-in-one": f"{GOOD},{GOOD}",
    "digits-of-another-script": GOOD.replace("4", "\u0664"),
}


def test_a_good_one_is_read():
    assert read_traceparent(GOOD) == TraceParent(TRACE, SPAN)
    assert str(read_traceparent(GOOD)) == f"{TRACE}-{SPAN}"
    assert read_at_an_mcp_server(GOOD) == GOOD


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_none(name):
    assert read_traceparent(BAD[name]) is None
    assert read_at_an_mcp_server(BAD[name]) is None


@pytest.mark.parametrize("value", [None, 1, [GOOD], {"traceparent": GOOD}])
def test_what_is_no_text_is_none_at_an_mcp_server(value):
    """There it may come from the `_meta` of a message, which holds any JSON."""
    assert read_at_an_mcp_server(value) is None


def test_two_headers_are_none():
    assert only_traceparent([GOOD]) == TraceParent(TRACE, SPAN)
    assert only_traceparent([]) is None
    assert only_traceparent([GOOD, GOOD]) is None
