"""`protect`: from a server and four facts to an ASGI app that lets nobody in without a token."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from authz.resource_server.discovery import RemoteKeys
from authz.resource_server.middleware import ProtectedApp
from authz.resource_server.tool_scopes import ToolScopes
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
    tools: Mapping[str, str | Iterable[str]],
    name: str | None = None,
) -> ProtectedApp:
    """Put `app` behind the access tokens that `issuer` mints for `resource`.

    `app` is an MCPServer of the official SDK, a FastMCP server, or any ASGI app. For a server, its
    streamable HTTP app is built at the path of `resource`. `tools` gives each tool the scopes that it
    needs, all of them; a tool that is absent there cannot be seen or called. `name` is shown to people.
    """
    verifier = TokenVerifier(RemoteKeys(issuer), resource=resource)
    scopes = ToolScopes(tools)
    adapter = _find_adapter(app)
    if adapter is not None:
        app = adapter.build_app(app, scopes, urlsplit(resource))
    return ProtectedApp(app=app, verifier=verifier, tools=scopes, name=name or resource)


async def undeclared_tools(server: Any, tools: Mapping[str, str | Iterable[str]]) -> list[str]:
    """The tools of an MCPServer or FastMCP server that `tools` gives no scope: nobody can reach them.

    For a test or a start-up check. With plain ASGI: `ToolScopes(tools).undeclared(names)`.
    """
    adapter = _find_adapter(server)
    if adapter is None:
        raise TypeError("expected an MCPServer or a FastMCP server")
    return ToolScopes(tools).undeclared(await adapter.tool_names(server))


def _find_adapter(app: Any) -> Any:
    for cls in type(app).__mro__:
        module = ADAPTERS.get(f"{cls.__module__}:{cls.__qualname__}")
        if module is not None:
            return importlib.import_module(module)
    return None
