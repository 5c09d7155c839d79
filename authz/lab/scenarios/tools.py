"""The end of it all: a call at the MCP server with the token."""

import json
from collections.abc import Mapping
from typing import Any

from authz.lab.applications import READ, TOOLS
from authz.lab.bench import Bench
from authz.lab.judgement import Answer, Failed, NotOffered, claims_of, granted, shown
from authz.lab.scenario import Scenario

_HELLO: Mapping[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "authz-lab", "version": "1"},
}


async def _needs_token(bench: Bench) -> str:
    answer = await bench.call(None, "initialize", _HELLO)
    _reached(answer)
    if answer.status != 401:
        raise Failed(f"the MCP server answers {answer.told()} to a call without a token")
    return "401 without a token"


async def _opens(bench: Bench) -> str:
    token = await bench.control()
    if bench.target.is_labs_server:
        claims_of(token)  # all that it understands
    answer = await bench.call(token.access_token, "initialize", _HELLO)
    _reached(answer)
    if answer.status != 200:
        raise Failed(f"the MCP server refuses the token: {answer.told()}")
    return "the MCP server takes the token"


async def _calls_tool(bench: Bench) -> str:
    token = await bench.control()
    _is_sample(bench)
    claims = claims_of(token)
    answer = await bench.call(token.access_token, "tools/call", {"name": "whoami"})
    _reached(answer)
    said = _said(answer)
    if said.get("sub") != claims.get("sub") or said.get("client_id") != claims.get("client_id"):
        raise Failed(f"the tool was called for {shown(said.get('sub'))}")
    return f"the tool was called for {shown(said['sub'])} through {shown(said['client_id'])}"


async def _stays_within(bench: Bench) -> str:
    _is_sample(bench)
    made = bench.statement(scope=READ)
    answer = granted(await bench.redeem(made.sign()), f"an assertion of {READ}")
    claims_of(answer)
    token = answer.access_token
    _said(await bench.call(token, "tools/call", {"name": "whoami"}))
    for tool, scope in TOOLS.items():
        if scope != READ:
            answer = await bench.call(token, "tools/call", {"name": tool})
            if answer.status != 403:
                raise Failed(f"{tool} answers {answer.told()} to a token of {READ} alone")
    return "a token of one scope opens the tools of that scope alone"


def _reached(answer: Answer) -> None:
    if answer.status is None:
        raise NotOffered(f"the MCP server cannot be reached from here ({answer.problem})")


def _is_sample(bench: Bench) -> None:
    if not bench.target.is_labs_server or READ not in bench.target.scopes:
        raise NotOffered("the MCP server is not the lab's, so nobody knows its tools")


def _said(answer: Answer) -> Mapping[str, Any]:
    try:
        said = json.loads(answer.document["result"]["content"][0]["text"])
        assert isinstance(said, dict)  # noqa: S101
    except (KeyError, IndexError, TypeError, ValueError, AssertionError):
        raise Failed(f"the tool answers {answer.told()}") from None
    return said


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "tool-locked", "Nobody calls without a token", "EMA-33", "RFC 9728 §5.1", _needs_token
    ),
    Scenario(
        "tool-opened", "The MCP server takes the token", "IDJAG-59 EMA-03", "EMA §5.1", _opens
    ),
    Scenario("tool-called", "A tool is called with it", "EMA-01 EMA-03", "EMA §5", _calls_tool),
    Scenario(
        "tool-limits",
        "A narrow token opens few tools",
        "IDJAG-60 EMA-16",
        "EMA §7.2.1; RFC 6750 §3.1",
        _stays_within,
    ),
)
