"""Authorization details of type `mcp_tool` limit what a tool may be called with (RFC 9396, RAR-02, RAR-04)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.resource_server.tool_limits import permits, read_limits

pytestmark = pytest.mark.anyio
RESOURCE = "https://mcp.example/mcp"
TOOLS = {"trigger_incident": "incidents.trigger", "read_logs": "logs.read"}
SCOPES = "incidents.trigger logs.read"
REFUSED = {
    "code": -32602,
    "message": "The access token limits what this tool may be called with: trigger_incident",
    "data": {"error": "insufficient_authorization", "tool": "trigger_incident"},
}


def detail(**changes):
    members = {
        "type": "mcp_tool",
        "locations": [RESOURCE],
        "tool": "trigger_incident",
        "arguments": {"service": ["payments", "search"]},
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


def limited(arguments):
    return detail(arguments=arguments)


def call(arguments, tool="trigger_incident", request_id=1):
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def allowed(details, arguments, tool="trigger_incident"):
    limits = read_limits(json.loads(json.dumps(details)), RESOURCE)
    return tool not in limits or permits(limits[tool], arguments)


@pytest.mark.parametrize(
    ("details", "arguments", "expected"),
    [
        ([], {"service": "anything"}, True),
        ([detail()], {"service": "payments"}, True),
        ([detail()], {"service": "search", "note": ["free", {"as": "air"}]}, True),
        ([detail()], {"service": "billing"}, False),
        ([detail()], {"service": "Payments"}, False),
        ([detail()], {"service": "payments "}, False),
        ([detail()], {"service": ["payments"]}, False),
        ([detail()], {"service": {"payments": 1}}, False),
        ([detail()], {"service": None}, False),
        ([detail()], {}, False),
        ([detail()], {"note": "payments"}, False),
        # Another reader's idea of the same name.
        ([detail()], {"service": "payments", "Service": "billing"}, False),
        ([detail()], {"Service": "payments"}, False),
        # Every named argument, and one whole detail: not a bit of each.
        ([limited({"a": [1], "b": [2]})], {"a": 1, "b": 2}, True),
        ([limited({"a": [1], "b": [2]})], {"a": 1}, False),
        ([limited({"a": [1], "b": [2]}), limited({"a": [3], "b": [4]})], {"a": 3, "b": 4}, True),
        ([limited({"a": [1], "b": [2]}), limited({"a": [3], "b": [4]})], {"a": 1, "b": 4}, False),
        # By type and value.
        ([limited({"n": [1]})], {"n": 1}, True),
        ([limited({"n": [1]})], {"n": 1.0}, False),
        ([limited({"n": [1]})], {"n": True}, False),
        ([limited({"n": [1]})], {"n": "1"}, False),
        ([limited({"n": [True]})], {"n": True}, True),
        ([limited({"n": [True]})], {"n": 1}, False),
        ([limited({"n": [0, ""]})], {"n": False}, False),
        ([limited({"n": [None]})], {"n": None}, True),
        ([limited({"n": [None]})], {}, False),
        ([limited({"n": [0.5]})], {"n": 0.5}, True),
        ([limited({"n": [2**53]})], {"n": 2**53 + 1}, False),
        ([limited({"n": [10**300]})], {"n": 10**300 + 1}, False),
        ([limited({"n": [10**300]})], {"n": 1e300}, False),
        # No limits on arguments.
        ([detail(arguments=...)], {"service": "anything"}, True),
        ([limited({})], {"service": "anything"}, True),
        # What is not understood permits nothing, but another detail may.
        ([detail(locations=["https://other.example/mcp"])], {"service": "payments"}, False),
        ([detail(locations=[RESOURCE + "/"])], {"service": "payments"}, False),
        ([detail(locations=RESOURCE)], {"service": "payments"}, False),
        ([detail(locations=[])], {"service": "payments"}, False),
        ([detail(locations=[[RESOURCE]])], {"service": "payments"}, False),
        ([detail(locations=...)], {"service": "payments"}, False),
        ([detail(type="mcp_tool_v2")], {"service": "payments"}, False),
        ([detail(actions=["read"])], {"service": "payments"}, False),
        ([limited({"service": "payments"})], {"service": "payments"}, False),
        ([limited({"service": []})], {"service": "payments"}, False),
        ([limited({"service": [["payments"]]})], {"service": "payments"}, False),
        ([limited({"service": [{"payments": 1}]})], {"service": "payments"}, False),
        ([limited([])], {}, False),
        ([limited(None)], {}, False),
        ([detail(type="other"), detail()], {"service": "payments"}, True),
        ([detail(locations=["https://other.example"]), detail()], {"service": "payments"}, True),
        # Details about something else leave this tool alone.
        ([{"type": "payment", "amount": 5}], {"service": "anything"}, True),
        ([detail(tool="read_logs")], {"service": "anything"}, True),
        ([detail(type="other", tool=7)], {"service": "anything"}, True),
    ],
)
def test_a_call_passes_only_within_one_of_the_details(details, arguments, expected):
    assert allowed(details, arguments) is expected


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=3,
)


@settings(deadline=None)
@given(
    members=st.dictionaries(st.sampled_from(["locations", "arguments", "x"]), _JSON),
    arguments=st.dictionaries(st.sampled_from("abAB"), _JSON),
)
def test_no_detail_and_no_call_makes_it_fail(members, arguments):
    """Whatever stands in a detail that names a tool, the answer is yes or no, and no for a strange one."""
    details = [{"type": "mcp_tool", "tool": "t", **members}]
    limits = read_limits(details, RESOURCE)
    assert set(limits) == {"t"}
    assert permits(limits["t"], arguments) is False


@settings(deadline=None)
@given(listed=st.lists(_SCALARS, max_size=3), sent=_JSON)
def test_a_value_passes_exactly_if_it_is_listed(listed, sent):
    limits = read_limits([detail(tool="t", arguments={"a": listed})], RESOURCE)
    same = [value for value in listed if type(value) is type(sent) and value == sent]
    assert permits(limits["t"], {"a": sent}) is bool(same)


# --- over HTTP


@pytest.fixture
def edge(make_edge):
    return make_edge(tools=TOOLS)


@pytest.fixture
def token(issuer):
    return issuer.token(scope=SCOPES, authorization_details=[detail()])


async def test_a_limited_token_calls_within_its_limits(edge, token):
    answer = await edge.post(call({"service": "payments", "title": "down"}), token=token)
    assert answer.status_code == 200
    assert (await edge.post(call({}, tool="read_logs"), token=token)).status_code == 200


@pytest.mark.parametrize(
    "message",
    [
        call({"service": "billing"}),
        call({}),
        call(None),
        {"id": 1, "method": "tools/call", "params": {"name": "trigger_incident"}},
    ],
)
async def test_the_refusal_names_the_tool_and_not_the_values(edge, token, message):
    """No challenge: neither a scope nor another sign-in would change what was granted."""
    answer = await edge.post(message, token=token)
    assert answer.status_code == 403
    assert "www-authenticate" not in answer.headers
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "error": REFUSED}
    assert "payments" not in answer.text
    assert edge.seen == []


async def test_one_call_of_a_batch_outside_of_the_limits_stops_all(edge, token):
    good, bad = call({"service": "payments"}, request_id=1), call({"service": "x"}, request_id=2)
    for batch in ([good, bad], [bad, good], [bad]):
        answer = await edge.post(batch, token=token)
        assert (answer.status_code, answer.json()["error"]) == (403, REFUSED)
    assert edge.seen == []
    assert (await edge.post([good, good], token=token)).status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        b'{"service":"payments","service":"billing"}',
        b'{"service":"payments","\\u0073ervice":"billing"}',
        b'["payments"]',
        b'"payments"',
        b"1e999",
        b'{"service":"payments","n":1e999}',
        b'{"service":"payments","n":' + b"9" * 5000 + b"}",
    ],
)
async def test_arguments_with_two_readings_are_malformed(edge, token, arguments):
    body = b'{"id":1,"method":"tools/call","params":{"name":"trigger_incident","arguments":%s}}'
    answer = await edge.request("POST", token=token, content=body % arguments)
    assert answer.status_code == 400
    assert edge.seen == []


async def test_scopes_are_needed_as_ever(edge, issuer):
    token = issuer.token(scope="logs.read", authorization_details=[detail()])
    answer = await edge.post(call({"service": "payments"}), token=token)
    assert answer.status_code == 403
    assert answer.json()["error"]["data"] == {"error": "insufficient_scope"}
