"""The official SDK: the token of each message, and a second check of its tools inside the server.

The SDK runs handlers of a stateful session in a task that the first request started, so the token is
taken from the HTTP request that carried the message, never from the task.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from pydantic import BaseModel

from authz.resource_server.access_token import AccessToken
from authz.resource_server.call_watch import CallWatch
from authz.resource_server.current import SCOPE_KEY, TRACE_KEY, current
from authz.resource_server.errors import AccessError
from authz.resource_server.listing import filter_result
from authz.resource_server.messages import ToolCall, traceparent_of
from authz.resource_server.reporting import Reporter
from authz.resource_server.request import App
from authz.resource_server.tool_rules import ToolRules
from authz.resource_server.verifier import system_clock


class ToolGate:
    """Server middleware: every message needs a verified token, every tool what it needs."""

    def __init__(self, tools: ToolRules, reporter: Reporter | None = None) -> None:
        self._tools = tools
        self._reporter = reporter

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Serve one message as the caller whose token came with it."""
        token = _token_of(ctx)
        reset = current.set(token)
        try:
            if ctx.method == "tools/call":
                return await self._call(ctx, call_next, token)
            result = await call_next(ctx)
        finally:
            current.reset(reset)
        if ctx.method != "tools/list" or result is None:
            return result
        if isinstance(result, BaseModel):
            result = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return filter_result(result, lambda tool: self._tools.allows(tool, token.scopes))

    async def _call(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, token: AccessToken
    ) -> HandlerResult:
        params = ctx.params or {}
        call = ToolCall(
            tool=str(params.get("name")),
            arguments=params.get("arguments") or {},
            traceparent=traceparent_of(params) or _scope_of(ctx).get(TRACE_KEY),
        )
        try:
            with CallWatch(self._reporter, token, call) as watch:
                self._tools.require([call], token, system_clock())
                result = await call_next(ctx)
                watch.is_error = _is_error(result)
        except AccessError as refusal:
            raise MCPError(INVALID_REQUEST, refusal.message) from refusal
        return result


def build_app(
    server: MCPServer[Any],
    tools: ToolRules,
    resource: SplitResult,
    reporter: Reporter | None = None,
) -> App:
    """The streamable HTTP app of `server` at the path of `resource`, gated."""
    # Outermost: no other middleware sees a message without a token, or caches a filtered list.
    server.middleware.insert(0, ToolGate(tools, reporter))
    # The host decides whether the SDK checks Host and Origin against loopback names.
    app: App = server.streamable_http_app(
        streamable_http_path=resource.path or "/", host=resource.hostname or ""
    )
    return app


async def tool_names(server: MCPServer[Any]) -> list[str]:
    """The names of all tools of `server`."""
    return [tool.name for tool in await server.list_tools()]


def _token_of(ctx: ServerRequestContext[Any, Any]) -> AccessToken:
    token = _scope_of(ctx).get(SCOPE_KEY)
    if not isinstance(token, AccessToken):
        raise MCPError(INVALID_REQUEST, "An access token is required.")
    return token


def _scope_of(ctx: ServerRequestContext[Any, Any]) -> Mapping[str, Any]:
    scope: Mapping[str, Any] = getattr(ctx.request, "scope", {})
    return scope


def _is_error(result: HandlerResult) -> bool:
    if isinstance(result, BaseModel):
        return bool(getattr(result, "is_error", False))
    return result is not None and bool(result.get("isError", False))
