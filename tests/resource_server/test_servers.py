"""Real servers on loopback, real MCP clients, and the examples of docs/protect-an-mcp-server.md."""

import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastmcp import FastMCP
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError

from authz.resource_server import (
    NoCurrentTokenError,
    current_token,
    protect,
    undeclared_tools,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TOOLS = {"whoami": "logs.read", "purge_logs": {"logs.read", "logs.write"}}
GUIDE = Path(__file__).parents[2] / "docs" / "protect-an-mcp-server.md"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def sdk_server():
    server = MCPServer("logs", log_level="CRITICAL")

    @server.tool()
    def whoami(ctx: Context) -> str:
        token = ctx.request_context.request.scope["authz.token"]
        assert token is current_token()
        return f"{token.subject}/{token.jti}"

    @server.tool()
    def purge_logs() -> str:
        return "gone"

    @server.tool()
    def debug_shell() -> str:
        return "root"

    return server


def fastmcp_server():
    server = FastMCP("logs")

    @server.tool
    def whoami() -> str:
        return f"{current_token().subject}/{current_token().jti}"

    @server.tool
    async def purge_logs() -> str:
        return "gone"

    @server.tool
    async def debug_shell() -> str:
        return "root"

    return server


def protected(issuer, server):
    def make_app(resource):
        issuer.resource = resource
        return protect(server, issuer=issuer.url, resource=resource, tools=TOOLS)

    return make_app


KINDS = {
    "sdk": sdk_server,
    "fastmcp": fastmcp_server,
    "sdk-as-asgi": lambda: sdk_server().streamable_http_app(),
    "sdk-json": lambda: sdk_server().streamable_http_app(json_response=True),
    "sdk-stateless": lambda: sdk_server().streamable_http_app(stateless_http=True),
    "fastmcp-as-asgi": lambda: fastmcp_server().http_app(),
}


@pytest.fixture(params=KINDS)
def resource(request, issuer, serve):
    with serve(protected(issuer, KINDS[request.param]())) as url:
        yield url


@pytest.fixture(params=["sdk", "fastmcp"])
def gated(request, issuer, serve):
    """A server whose tools are also checked inside."""
    with serve(protected(issuer, KINDS[request.param]())) as url:
        yield url


@asynccontextmanager
async def connect(url, token, mode="auto"):
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=10) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client, http


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_sees_and_calls_what_its_token_allows(resource, issuer, mode):
    async with connect(resource, issuer.token(), mode) as (client, _):
        assert [tool.name for tool in (await client.list_tools()).tools] == ["whoami"]
        assert (await client.call_tool("whoami")).content[0].text == "alice/j1"
        with pytest.raises(MCPError, match="lacks a scope"):
            await client.call_tool("purge_logs")
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("debug_shell")
    async with connect(resource, issuer.token(scope="logs.read logs.write"), mode) as (client, _):
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert sorted(names) == ["purge_logs", "whoami"]
        assert (await client.call_tool("purge_logs")).content[0].text == "gone"


async def test_the_challenge_leads_to_the_metadata(resource, issuer):
    """MCP-RS-01, 02, 05, 06 over a socket."""
    async with httpx2.AsyncClient() as http:
        answer = await http.post(resource, json=INITIALIZE, headers=HEADERS)
        assert answer.status_code == 401
        url = re.search(r'resource_metadata="([^"]+)"', answer.headers["www-authenticate"]).group(1)
        document = (await http.get(url)).json()
    assert document["resource"] == resource
    assert document["authorization_servers"] == [issuer.url]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_session_has_the_identity_of_each_request(resource, issuer, mode):
    """The handler runs in a task that the first request started; the renewed token must show there."""
    async with connect(resource, issuer.token(), mode) as (client, http):
        for jti in ("j1", "j2", "j3"):
            http.headers["authorization"] = f"Bearer {issuer.token(jti=jti)}"
            assert (await client.call_tool("whoami")).content[0].text == f"alice/{jti}"
        http.headers["authorization"] = f"Bearer {issuer.token(scope='other')}"
        assert (await client.list_tools()).tools == []
        with pytest.raises(MCPError, match="lacks a scope"):
            await client.call_tool("whoami")


async def test_a_session_cannot_be_taken_over(gated, issuer):
    alice = {**HEADERS, "authorization": f"Bearer {issuer.token()}"}
    mallory = {**HEADERS, "authorization": f"Bearer {issuer.token(sub='mallory')}"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}}
    async with httpx2.AsyncClient() as http:
        opened = await http.post(gated, json=INITIALIZE, headers=alice)
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.post(gated, json=ready, headers=alice | session)).status_code == 202
        for request in (
            http.post(gated, json=call, headers=mallory | session),
            http.get(gated, headers=mallory | session),
            http.delete(gated, headers=mallory | session),
        ):
            assert (await request).status_code == 404
        assert "alice/j1" in (await http.post(gated, json=call, headers=alice | session)).text
        assert (await http.delete(gated, headers=alice | session)).status_code == 200
        assert (await http.post(gated, json=call, headers=alice | session)).status_code == 404


async def test_a_tool_that_is_called_by_another_tool_needs_its_own_scopes(issuer, serve):
    server = fastmcp_server()

    @server.tool
    async def relay(name: str) -> str:
        return str((await server.call_tool(name)).content[0].text)

    def make_app(resource):
        issuer.resource = resource
        tools = {**TOOLS, "relay": "logs.read"}
        return protect(server, issuer=issuer.url, resource=resource, tools=tools)

    with serve(make_app) as url:
        async with connect(url, issuer.token()) as (client, _):
            allowed = await client.call_tool("relay", {"name": "whoami"})
            assert allowed.content[0].text == "alice/j1"
            for name in ("purge_logs", "debug_shell"):
                assert (await client.call_tool("relay", {"name": name})).is_error


@pytest.mark.parametrize("make_server", [sdk_server, fastmcp_server])
async def test_a_protected_server_serves_nobody_by_another_way(issuer, make_server):
    server = make_server()
    resource = "https://mcp.example/mcp"
    protect(server, issuer=issuer.url, resource=resource, tools=TOOLS)
    if isinstance(server, MCPServer):
        refused = pytest.RaisesExc(MCPError, match="access token is required")
        with pytest.RaisesGroup(refused, flatten_subgroups=True):
            async with Client(server) as client:
                await client.list_tools()
    else:
        with pytest.raises(Exception, match="access token is required"):
            await server.call_tool("whoami")
    with pytest.raises(NoCurrentTokenError):
        current_token()


async def test_the_lint_names_undeclared_tools():
    assert await undeclared_tools(sdk_server(), TOOLS) == ["debug_shell"]
    assert await undeclared_tools(fastmcp_server(), TOOLS) == ["debug_shell"]
    with pytest.raises(TypeError):
        await undeclared_tools(object(), TOOLS)


def examples():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return [block for block in blocks if "app = protect(" in block]


def test_the_guide_has_an_example_of_each_kind_in_at_most_five_lines():
    assert len(examples()) == 3
    for example in examples():
        call = example[example.index("issuer, resource = ") :].strip().splitlines()
        imports = [line for line in example.splitlines() if "authz" in line]
        assert len(imports) + len(call) <= 5


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_the_examples_of_the_guide_work(issuer, serve, number):
    def make_app(resource):
        source = examples()[number].replace("https://as.example", issuer.url)
        issuer.resource = resource
        names = {"__name__": "example"}
        exec(source.replace("https://mcp.example/mcp", resource), names)
        return names["app"]

    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with serve(make_app) as url:
        headers = {**HEADERS, "authorization": f"Bearer {issuer.token()}"}
        if number < 2:
            async with connect(url, issuer.token()) as (client, _):
                assert [tool.name for tool in (await client.list_tools()).tools] == ["read_logs"]
                answer = await client.call_tool("read_logs")
                assert answer.content[0].text == "logs for alice"
        async with httpx2.AsyncClient(headers=headers) as http:
            if number == 2:
                listed = (await http.post(url, json=message)).json()
                assert [tool["name"] for tool in listed["result"]["tools"]] == ["read_logs"]
                message |= {"method": "tools/call", "params": {"name": "read_logs"}}
                assert "logs for alice" in (await http.post(url, json=message)).text
            message |= {"method": "tools/call", "params": {"name": "purge_logs"}}
            refused = await http.post(url, json=message)
            assert refused.status_code == 403
            assert 'scope="logs.read logs.write"' in refused.headers["www-authenticate"]
