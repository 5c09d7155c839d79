"""`protect`: from a server and four facts to an ASGI app that lets nobody in without a token."""

import importlib
from typing import Any
from urllib.parse import urlsplit

from authz.resource_server.discovery import RemoteKeys
from authz.resource_server.middleware import ProtectedApp
from authz.resource_server.onward import Exchanger, Onward
from authz.resource_server.reporting import Reporter, Reports
from authz.resource_server.revocations import Revocations
from authz.resource_server.tool_rules import ToolRules, Tools
from authz.resource_server.verifier import TokenVerifier

# Class of server -> the module that knows it; imported only when such a server is handed in.
ADAPTERS = {
    "mcp.server.mcpserver.server:MCPServer": "authz.resource_server.on_mcp_sdk",
    "fastmcp.server.server:FastMCP": "authz.resource_server.on_fastmcp",
}


def protect(
    app: Any,
    *,
    issuer: str,
    resource: str,
    tools: Tools,
    name: str | None = None,
    require_dpop: bool = False,
    reports: Reports | None = None,
    revocations: Revocations | None = None,
    onward: Onward | None = None,
) -> ProtectedApp:
    """Put `app` behind the access tokens that `issuer` mints for `resource`.

    `app` is an MCPServer of the official SDK, a FastMCP server, or any ASGI app. For a server, its
    streamable HTTP app is built at the path of `resource`. `tools` gives each tool the scopes that it
    needs, all of them, or `Needs`; a tool that is absent there cannot be seen or called. `name` is shown
    to people. With `require_dpop` no bearer token is taken: each comes with a proof of possession.
    With `reports` the authorization server is told what became of each call of a tool.
    With `revocations` a token is refused as soon as the authorization server has ended it, and every token while
    that cannot be known.
    With `onward` tools can call other MCP servers for the same person: `await current_token().exchange_for(URL)`.
    """
    verifier = TokenVerifier(RemoteKeys(issuer), resource=resource, revocations=revocations)
    rules = ToolRules(tools)
    adapter = _find_adapter(app)
    reporter = None
    if reports is not None:
        if adapter is None:
            # From outside of the server nobody sees how a call ended.
            raise TypeError("reports are for an MCPServer or a FastMCP server")
        reporter = Reporter(reports, issuer=issuer, resource=resource)
    if adapter is not None:
        app = adapter.build_app(app, rules, urlsplit(resource), reporter)
    return ProtectedApp(
        app=app,
        verifier=verifier,
        tools=rules,
        name=name or resource,
        require_dpop=require_dpop,
        reporter=reporter,
        exchanger=None if onward is None else Exchanger(onward, issuer=issuer),
    )


async def undeclared_tools(server: Any, tools: Tools) -> list[str]:
    """The tools of an MCPServer or FastMCP server that `tools` gives no scope: nobody can reach them.

    For a test or a start-up check. With plain ASGI: `ToolRules(tools).undeclared(names)`.
    """
    adapter = _find_adapter(server)
    if adapter is None:
        raise TypeError("expected an MCPServer or a FastMCP server")
    return ToolRules(tools).undeclared(await adapter.tool_names(server))


def _find_adapter(app: Any) -> Any:
    for cls in type(app).__mro__:
        module = ADAPTERS.get(f"{cls.__module__}:{cls.__qualname__}")
        if module is not None:
            return importlib.import_module(module)
    return None
