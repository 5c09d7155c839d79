"""Tools that want a recent or a strong sign-in (RFC 9470, SUA; MCP-RS-05)."""

import time
from datetime import UTC, datetime

import pytest

from authz.resource_server import Needs, ToolRules, WeakAuthentication
from authz.resource_server.access_token import LEEWAY
from authz.resource_server.messages import ToolCall

pytestmark = pytest.mark.anyio
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
ALGS = 'algs="ES256 ES384 PS256 Ed25519 EdDSA RS256"'
TOOLS = {
    "read_logs": "logs.read",
    "trigger_incident": Needs("incidents.trigger", max_age=300, acr_values=("phr", "mfa")),
    "drain": Needs({"logs.read", "incidents.trigger"}, max_age=60),
    "sign": Needs("incidents.trigger", acr_values="phr"),
}
EVERYTHING = "logs.read incidents.trigger"
NOW = 1_000_000_000.0


def call(tool, request_id=1):
    params = {"name": tool, "arguments": {}}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def demanded(make_token, tools, **token):
    """What the challenge would name, or None if the calls are allowed."""
    calls = [ToolCall(tool, {}) for tool in tools]
    try:
        ToolRules(TOOLS).require(calls, make_token(scopes=EVERYTHING.split(), **token), NOW)
    except WeakAuthentication as refusal:
        return refusal.max_age, refusal.acr_values
    return None


@pytest.mark.parametrize(
    ("tools", "age", "acr", "expected"),
    [
        (["read_logs"], None, None, None),
        (["trigger_incident"], 0, "mfa", None),
        (["trigger_incident"], 299, "phr", None),
        (["trigger_incident"], 300 + LEEWAY, "mfa", None),
        (["trigger_incident"], 301 + LEEWAY, "mfa", (300, ("phr", "mfa"))),
        (["trigger_incident"], -LEEWAY, "mfa", None),
        (["trigger_incident"], -LEEWAY - 1, "mfa", (300, ("phr", "mfa"))),
        (["trigger_incident"], 0, "pwd", (300, ("phr", "mfa"))),
        (["trigger_incident"], 0, "MFA", (300, ("phr", "mfa"))),
        (["trigger_incident"], 0, None, (300, ("phr", "mfa"))),
        (["trigger_incident"], None, "mfa", (300, ("phr", "mfa"))),
        (["drain"], None, None, (60, ())),
        (["drain"], 10, None, None),
        (["sign"], None, "phr", None),
        (["sign"], 0, "mfa", (None, ("phr",))),
        (["read_logs", "drain", "trigger_incident"], 9999, "mfa", (60, ("phr", "mfa"))),
        (["drain", "sign"], 200, "mfa", (60, ("phr",))),
        (["drain", "sign"], 10, "mfa", (None, ("phr",))),
    ],
)
def test_age_and_kind_of_the_sign_in_decide(make_token, tools, age, acr, expected):
    """A client that acts on its own has no auth_time, and fails where one is demanded."""
    auth_time = None if age is None else datetime.fromtimestamp(NOW - age, UTC)
    assert demanded(make_token, tools, auth_time=auth_time, acr=acr) == expected


async def test_the_challenge_says_what_to_ask_for(make_edge, issuer):
    """RFC 9470 section 3; the scopes are in it as well, so that one authorization brings both."""
    edge = make_edge(tools=TOOLS)
    token = issuer.token(auth_time=time.time() - 4000, acr="mfa")
    answer = await edge.post(call("trigger_incident", 7), token=token)
    assert answer.status_code == 401
    rest = (
        'acr_values="phr mfa", max_age="300", scope="incidents.trigger logs.read", '
        f'resource_metadata="{METADATA}"'
    )
    assert answer.headers.get_list("www-authenticate") == [
        f'Bearer error="insufficient_user_authentication", {rest}',
        f"DPoP {rest}, {ALGS}",
    ]
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {
            "code": -32600,
            "message": "This operation needs a newer or a stronger sign-in.",
            "data": {"error": "insufficient_user_authentication"},
        },
    }
    assert edge.seen == []


async def test_after_the_new_sign_in_the_scopes_are_asked_for_and_the_call_passes(
    make_edge, issuer
):
    edge = make_edge(tools=TOOLS)
    fresh = {"auth_time": time.time() - 10, "acr": "phr"}
    lacking = await edge.post(call("trigger_incident"), token=issuer.token(**fresh))
    assert lacking.status_code == 403
    assert 'scope="incidents.trigger logs.read"' in lacking.headers["www-authenticate"]
    token = issuer.token(scope=EVERYTHING, **fresh)
    assert (await edge.post(call("trigger_incident"), token=token)).status_code == 200


async def test_an_old_sign_in_does_not_hide_the_tool(make_edge, issuer):
    """A client cannot step up for a tool that it does not see."""
    edge = make_edge(tools=TOOLS)
    listed = b'{"result":{"tools":[{"name":"drain"},{"name":"other"}]}}'
    edge.reply = (200, [(b"content-type", b"application/json")], [listed])
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = await edge.post(message, token=issuer.token(scope=EVERYTHING))
    assert [tool["name"] for tool in answer.json()["result"]["tools"]] == ["drain"]


@pytest.mark.parametrize(
    ("needs", "problem"),
    [
        (Needs(""), "at least one scope"),
        (Needs("s", max_age=0), "max_age"),
        (Needs("s", max_age=-1), "max_age"),
        (Needs("s", acr_values=['a"b']), "acr value"),
        (Needs("s", acr_values=["a b"]), "acr value"),
        (Needs("s", acr_values=["a\\"]), "acr value"),
        (Needs("s", acr_values=["\u00e9"]), "acr value"),
    ],
)
def test_a_demand_that_no_challenge_can_express_stops_the_start(needs, problem):
    with pytest.raises(ValueError, match=f"tool 't'.*{problem}"):
        ToolRules({"t": needs})
