"""Real servers on loopback, real MCP clients, and the examples of docs/protect-an-mcp-server.md."""

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from fastmcp import FastMCP
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError

from authz.resource_server import (
    Needs,
    NoCurrentTokenError,
    Revocations,
    ToolRules,
    current_token,
    on_fastmcp,
    on_mcp_sdk,
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
    def trigger_incident(service: str) -> str:
        return f"incident at {service}"

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
    async def trigger_incident(service: str) -> str:
        return f"incident at {service}"

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


def protected(issuer, server, tools=TOOLS, **options):
    def make_app(resource):
        issuer.resource = resource
        return protect(server, issuer=issuer.url, resource=resource, tools=tools, **options)

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


class Bearer(httpx2.Auth):
    def __init__(self, token):
        self.token = token

    def auth_flow(self, request):
        request.headers["authorization"] = f"Bearer {self.token}"
        yield request


class Dpop(httpx2.Auth):
    """A new proof for each request, as the SDKs make them."""

    def __init__(self, token, holder):
        self.token = token
        self.holder = holder

    def auth_flow(self, request):
        url = str(request.url.copy_with(query=None, fragment=None))
        proof = self.holder.proof(self.token, htm=request.method, htu=url)
        request.headers |= {"authorization": f"DPoP {self.token}", "dpop": proof}
        yield request


@asynccontextmanager
async def connect(url, token, mode="auto", auth=None):
    async with (
        httpx2.AsyncClient(auth=auth or Bearer(token), timeout=10) as http,
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


def metadata_url(resource):
    return resource.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp"


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
            http.auth = Bearer(issuer.token(jti=jti))
            assert (await client.call_tool("whoami")).content[0].text == f"alice/{jti}"
        http.auth = Bearer(issuer.token(scope="other"))
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


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("make_server", [sdk_server, fastmcp_server])
async def test_a_client_that_proves_its_key_works_where_proofs_are_required(
    issuer, serve, holder, make_server, mode
):
    """DPOP-01, ATK-72: the same token without its proof opens nothing."""
    with serve(protected(issuer, make_server(), require_dpop=True)) as url:
        token = issuer.token(cnf=holder.confirmation)
        async with connect(url, token, mode, auth=Dpop(token, holder)) as (client, _):
            assert [tool.name for tool in (await client.list_tools()).tools] == ["whoami"]
            assert (await client.call_tool("whoami")).content[0].text == "alice/j1"
        async with httpx2.AsyncClient(headers=HEADERS) as http:
            stolen = await http.post(url, json=INITIALIZE, auth=Bearer(token))
            assert stolen.status_code == 401
            assert stolen.headers["www-authenticate"].startswith('DPoP error="invalid_token"')
            document = (await http.get(metadata_url(url))).json()
            assert document["dpop_bound_access_tokens_required"] is True


async def test_a_token_for_one_server_opens_no_other(issuer, serve, holder):
    """ATK-56: two servers with this library; neither takes what was minted, or proved, for the other."""
    with (
        serve(protected(issuer, sdk_server())) as first,
        serve(protected(issuer, fastmcp_server())) as second,
    ):
        for own, other in ((first, second), (second, first)):
            issuer.resource = own
            plain, bound = issuer.token(), issuer.token(cnf=holder.confirmation)
            async with httpx2.AsyncClient(headers=HEADERS) as http:
                for auth in (Bearer(plain), Dpop(bound, holder)):
                    assert (await http.post(own, json=INITIALIZE, auth=auth)).status_code == 200
                    refused = await http.post(other, json=INITIALIZE, auth=auth)
                    assert refused.status_code == 401
                    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("make_server", [sdk_server, fastmcp_server])
async def test_a_token_that_was_ended_is_refused_within_the_session(issuer, serve, make_server):
    """Item 5, E10: followed from the start of the app on, with either SDK."""
    feed = issuer.feed.open()
    settings = Revocations(feed.client_id, feed.secret)
    with serve(protected(issuer, make_server(), revocations=settings)) as url:
        for _ in range(500):
            if feed.asked:
                break
            await asyncio.sleep(0.02)
        assert feed.asked
        headers = {**HEADERS, "authorization": f"Bearer {issuer.token(grant_id='g1')}"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
            opened = await http.post(url, json=INITIALIZE)
            assert opened.status_code == 200
            http.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            assert (await http.post(url, json=ready)).status_code == 202
            assert "alice/j1" in (await http.post(url, json=call)).text
            feed.add(grant_id="g1")
            for _ in range(500):
                answer = await http.post(url, json=call)
                if answer.status_code != 200:
                    break
                await asyncio.sleep(0.02)
            assert answer.status_code == 401
            other = {"authorization": f"Bearer {issuer.token(grant_id='g2')}"}
            assert (await http.post(url, json=call, headers=other)).status_code == 200


LIMITED = {
    "trigger_incident": Needs("logs.read", max_age=300),
    "whoami": "logs.read",
    "purge_logs": "logs.write",
    "relay": "logs.read",
}


def limited_to(resource, *services):
    return {
        "type": "mcp_tool",
        "locations": [resource],
        "tool": "trigger_incident",
        "arguments": {"service": list(services)},
    }


@pytest.mark.parametrize("make_server", [sdk_server, fastmcp_server])
async def test_a_call_needs_its_sign_in_and_stays_within_its_limits(issuer, serve, make_server):
    """RFC 9470 and RAR-04 over a socket."""
    with serve(protected(issuer, make_server(), LIMITED)) as url:
        details = {"authorization_details": [limited_to(url, "payments")]}
        fresh = issuer.token(auth_time=time.time(), **details)
        async with connect(url, fresh) as (client, _):
            answer = await client.call_tool("trigger_incident", {"service": "payments"})
            assert answer.content[0].text == "incident at payments"
            with pytest.raises(MCPError, match="limits what this tool may be called with: trig"):
                await client.call_tool("trigger_incident", {"service": "billing"})
        call = {"name": "trigger_incident", "arguments": {"service": "payments"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        old = issuer.token(auth_time=time.time() - 4000, **details)
        async with httpx2.AsyncClient(headers=HEADERS, auth=Bearer(old)) as http:
            answer = await http.post(url, json=message)
        assert answer.status_code == 401
        assert (
            'error="insufficient_user_authentication", max_age="300"'
            in (answer.headers["www-authenticate"])
        )


async def test_a_tool_that_is_called_by_another_tool_stays_within_the_limits(issuer, serve):
    server = fastmcp_server()

    @server.tool
    async def relay(service: str) -> str:
        return str((await server.call_tool("trigger_incident", {"service": service})).content)

    with serve(protected(issuer, server, LIMITED)) as url:
        details = [limited_to(url, "payments")]
        token = issuer.token(auth_time=time.time(), authorization_details=details)
        async with connect(url, token) as (client, _):
            assert not (await client.call_tool("relay", {"service": "payments"})).is_error
            assert (await client.call_tool("relay", {"service": "billing"})).is_error
        token = issuer.token(auth_time=5, authorization_details=details)
        async with connect(url, token) as (client, _):
            assert (await client.call_tool("relay", {"service": "payments"})).is_error


@pytest.mark.parametrize(
    ("make_server", "adapter"), [(sdk_server, on_mcp_sdk), (fastmcp_server, on_fastmcp)]
)
async def test_the_server_checks_for_itself_what_the_edge_has_checked(
    serve, make_token, make_server, adapter
):
    """A call that no HTTP body names, or that an edge let through, meets the same rules inside."""

    def make_app(resource):
        inner = adapter.build_app(make_server(), ToolRules(LIMITED), urlsplit(resource))
        limits = {"trigger_incident": [{"service": ["payments"]}]}
        token = make_token(auth_time=datetime.now(UTC), tool_limits=limits)

        async def app(scope, receive, send):
            await inner({**scope, "authz.token": token}, receive, send)

        return app

    with serve(make_app) as url:
        async with connect(url, "none") as (client, _):
            answer = await client.call_tool("trigger_incident", {"service": "payments"})
            assert answer.content[0].text == "incident at payments"
            for tool, arguments, problem in (
                ("trigger_incident", {"service": "billing"}, "limits what this tool"),
                ("trigger_incident", {}, "limits what this tool"),
                ("purge_logs", {}, "lacks a scope"),
                ("debug_shell", {}, "Unknown tool"),
            ):
                assert problem in await outcome(client, tool, arguments)


async def outcome(client, tool, arguments):
    """What a refused call says, however the server says it."""
    try:
        answer = await client.call_tool(tool, arguments)
    except MCPError as error:
        return str(error)
    assert answer.is_error
    return answer.content[0].text


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
    hidden = ["debug_shell", "trigger_incident"]
    assert await undeclared_tools(sdk_server(), TOOLS) == hidden
    assert await undeclared_tools(fastmcp_server(), TOOLS) == hidden
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


def test_the_demands_of_the_guide_are_taken():
    (example,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        if "Needs(" in block
    ]
    names = {}
    exec(example, names)
    assert ToolRules(names["tools"]).all_scopes == {"incidents.trigger", "logs.read"}


async def test_the_limit_of_the_guide_is_held(issuer, serve):
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    tools = {"trigger_incident": "logs.read"}
    with serve(protected(issuer, sdk_server(), tools)) as url:
        detail = json.loads(example.replace("https://mcp.example/mcp", url))
        async with connect(url, issuer.token(authorization_details=[detail])) as (client, _):
            for service in ("payments", "search"):
                assert not (
                    await client.call_tool("trigger_incident", {"service": service})
                ).is_error
            with pytest.raises(MCPError, match="limits what this tool"):
                await client.call_tool("trigger_incident", {"service": "billing"})


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
