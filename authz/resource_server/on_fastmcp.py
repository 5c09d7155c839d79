"""FastMCP: the token of each message, and a second check of its tools inside the server.

The check inside also covers tools that are called by other tools, which no HTTP request names.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult

import mcp_types
from fastmcp import FastMCP
from fastmcp.exceptions import AuthorizationError
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools.base import Tool, ToolResult

from authz.resource_server.access_token import AccessToken
from authz.resource_server.call_watch import CallWatch
from authz.resource_server.current import SCOPE_KEY, TRACE_KEY, current
from authz.resource_server.errors import AccessError
from authz.resource_server.messages import ToolCall
from authz.resource_server.reporting import Reporter
from authz.resource_server.request import App
from authz.resource_server.tool_rules import ToolRules
from authz.resource_server.verifier import system_clock


class ToolGate(Middleware):
    """Server middleware: every message needs a verified token, every tool what it needs."""

    def __init__(self, tools: ToolRules, reporter: Reporter | None = None) -> None:
        self._tools = tools
        self._reporter = reporter

    async def on_message(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]
    ) -> Any:
        """Serve one message as the caller whose token came with it."""
        reset = current.set(_load_token())
        try:
            return await call_next(context)
        finally:
            current.reset(reset)

    async def on_list_tools(
        self,
        context: MiddlewareContext[mcp_types.ListToolsRequest],
        call_next: CallNext[mcp_types.ListToolsRequest, Sequence[Tool]],
    ) -> Sequence[Tool]:
        """Leave out what the caller may not call."""
        held = _load_token().scopes
        return [tool for tool in await call_next(context) if self._tools.allows(tool.name, held)]

    async def on_call_tool(
        self,
        context: MiddlewareContext[mcp_types.CallToolRequestParams],
        call_next: CallNext[mcp_types.CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Refuse what the caller may not call."""
        token = _load_token()
        call = ToolCall(
            tool=context.message.name,
            arguments=context.message.arguments or {},
            traceparent=get_http_request().scope.get(TRACE_KEY),
        )
        try:
            with CallWatch(self._reporter, token, call) as watch:
                self._tools.require([call], token, system_clock())
                result = await call_next(context)
                watch.is_error = result.is_error
        except AccessError as refusal:
            raise AuthorizationError(refusal.message) from refusal
        return result


def build_app(
    server: FastMCP[Any], tools: ToolRules, resource: SplitResult, reporter: Reporter | None = None
) -> App:
    """The streamable HTTP app of `server` at the path of `resource`, gated."""
    # Outermost: a caching middleware outside would show one caller's list to the next.
    server.middleware.insert(0, ToolGate(tools, reporter))
    app: App = server.http_app(path=resource.path or "/")
    return app


async def tool_names(server: FastMCP[Any]) -> list[str]:
    """The names of all tools of `server`."""
    return [tool.name for tool in await server.list_tools(run_middleware=False)]


def _load_token() -> AccessToken:
    try:
        token = get_http_request().scope.get(SCOPE_KEY)
    except RuntimeError as error:
        raise AuthorizationError("An access token is required.") from error
    if not isinstance(token, AccessToken):
        raise AuthorizationError("An access token is required.")
    return token
