"""Tools that call the next MCP server for the same person (RFC 8693, S16): on both adapters, against a real server."""

import asyncio
import contextlib
import json
import threading
import time

import httpx2
import pytest
import uvicorn
from fastmcp import FastMCP
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer

from authz.admin import credentials, delegations
from authz.resource_server import (
    ExchangeRefusedError,
    NoExchangeError,
    Onward,
    current_token,
    protect,
)
from authz.resource_server.report_key import make_key
from tests.support.exchanges import TICKETS, TOKEN_EXCHANGE, Chain
from tests.support.harness import Harness, RealClock, running
from tests.support.postgres import free_port

pytestmark = pytest.mark.slow


def _tool(kind):
    server = MCPServer("ops", log_level="CRITICAL") if kind == "sdk" else FastMCP("ops")

    async def onward(scope: str = "") -> str:
        try:
            return await current_token().exchange_for(TICKETS, *scope.split())
        except (ExchangeRefusedError, NoExchangeError) as error:
            return f"{type(error).__name__}: {error}"

    async def behind(name: str) -> str:
        try:
            return await current_token().credential(name)
        except (ExchangeRefusedError, NoExchangeError) as error:
            return f"{type(error).__name__}: {error}"

    for tool in (onward, behind):
        if kind == "sdk":
            server.add_tool(tool, name=tool.__name__)
        else:
            server.tool(tool)
    return server


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A harness by the real time, an MCP server's address in it, and the key of that server."""
    folder = tmp_path_factory.mktemp("onward")
    with running(folder, f"sqlite:///{folder / 'authz.db'}", RealClock()) as server:
        harness = Harness(server)
        resource = f"http://127.0.0.1:{free_port()}/mcp"
        harness.ops = harness.add_resource(resource)
        chain = Chain(harness)
        jwks = make_key(folder / "report.jwk")
        made = chain.add_server(resource, auth_method="private_key_jwt", jwks=jwks)
        chain.allow(made, resource, TICKETS, tickets_read=["logs.read"])
        try:
            yield harness, resource, Onward(made.client.id, folder / "report.jwk"), made
        finally:
            harness.close()


@contextlib.contextmanager
def serving(world, kind, onward):
    harness, resource, _, _ = world
    app = protect(
        _tool(kind),
        issuer=harness.issuer,
        resource=resource,
        tools={"onward": "logs.read", "behind": "logs.read"},
        onward=onward,
    )
    port = int(resource.split(":")[2].split("/")[0])
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


def call(world, token, scope=""):
    return call_tool(world, token, "onward", scope=scope)


def call_tool(world, token, tool, **arguments):
    async def ask():
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(world[1], http_client=http)) as client,
        ):
            result = await client.call_tool(tool, arguments)
            return " ".join(part.text for part in result.content)

    return asyncio.run(ask())


def token_of(world):
    harness, _, _, _ = world
    code = harness.code(resource_id=harness.ops.id, scopes=["logs.read"], requested=["logs.read"])
    return harness.redeem(code).access_token


@pytest.mark.parametrize("kind", ["sdk", "fastmcp"])
def test_a_tool_goes_on_as_the_same_person(world, kind):
    """TX-04, TX-05: with a token of its own, which is asked for once."""
    harness, _, onward, made = world
    with serving(world, kind, onward):
        token = token_of(world)
        first = call(world, token)
        claims = harness.claims(first)
        assert (claims["aud"], claims["scope"]) == (TICKETS, "tickets.read")
        assert claims["sub"] == harness.users["dev"]
        assert claims["act"] == {"sub": made.client.id}
        assert call(world, token) == first
        assert call(world, token, "tickets.read") != first
        assert call(world, token_of(world)) != first


def test_what_is_refused_is_told_to_the_tool(world):
    """And not the token."""
    _, _, onward, _ = world
    with serving(world, "sdk", onward):
        token = token_of(world)
        refused = call(world, token, "tickets.write")
        assert refused.startswith("ExchangeRefusedError: invalid_scope: ")
        assert token not in refused


@pytest.mark.parametrize("kind", ["sdk", "fastmcp"])
def test_a_tool_gets_the_key_of_what_is_behind_its_server(world, tmp_path, kind):
    """V4, V5: as it is at this call; refused, and without a name that is not its own."""
    harness, resource, onward, _ = world
    file = tmp_path / "github"
    file.write_text("ghp_first")
    harness.change(
        credentials.add,
        resource,
        name=f"github-{kind}",
        reference=f"file:{file}",
        scopes=["logs.read"],
    )
    harness.change(credentials.add, TICKETS, name=f"jira-{kind}", reference=f"file:{file}")
    with serving(world, kind, onward):
        token = token_of(world)
        assert call_tool(world, token, "behind", name=f"github-{kind}") == "ghp_first"
        file.write_text("ghp_second")
        assert call_tool(world, token, "behind", name=f"github-{kind}") == "ghp_second"
        refused = call_tool(world, token, "behind", name=f"jira-{kind}")
        assert refused.startswith("ExchangeRefusedError: invalid_target: ")
        assert token not in refused


def test_without_a_way_on_there_is_none(world):
    with serving(world, "sdk", None):
        assert call(world, token_of(world)).startswith("NoExchangeError: ")
        assert call_tool(world, token_of(world), "behind", name="x").startswith("NoExchangeError")


def test_a_key_that_cannot_be_read_is_no_end(world, tmp_path):
    _, _, onward, _ = world
    with serving(world, "sdk", Onward(onward.client_id, tmp_path / "none.jwk")):
        assert call(world, token_of(world)).startswith("ExchangeRefusedError: invalid_client: ")


def test_a_rule_that_is_gone_is_known_at_once(world):
    harness, _, onward, _ = world
    with serving(world, "sdk", onward):
        [rule] = [
            it
            for it in harness.change(lambda tx, _, tenant_id: delegations.list_(tx, tenant_id))
            if it.client_id == onward.client_id
        ]
        harness.change(delegations.remove, rule.id)
        refused = call(world, token_of(world))
        assert refused.startswith("ExchangeRefusedError: unauthorized_client: ")
        assert json.dumps(TOKEN_EXCHANGE) not in refused
