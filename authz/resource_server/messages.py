"""Read what a JSON-RPC request body asks for, before the server does (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.resource_server import strict_json
from authz.resource_server.errors import MalformedRequest
from authz.resource_server.traceparent import read_traceparent

# Batches are of one protocol version, and each call in one is judged before the first is served.
MAX_BATCH = 100


@dataclass(frozen=True)
class ToolCall:
    """A tool and what it is called with."""

    tool: str
    arguments: Mapping[str, Any]
    traceparent: str | None = None
    """The trace that the call belongs to, where it names one that can be read."""


@dataclass(frozen=True)
class RequestBody:
    """The calls of tools in a body, whether it asks for the list, and the id to answer under."""

    calls: tuple[ToolCall, ...]
    lists_tools: bool
    request_id: str | int | None


def read_body(data: bytes, traceparent: str | None = None) -> RequestBody:
    """Read one message or a batch; raises MalformedRequest if a server might read it differently.

    `traceparent` is the one of the HTTP request, for calls that name none.
    """
    try:
        decoded = strict_json.loads(data)
    except ValueError as error:
        raise MalformedRequest("body_not_json") from error
    messages = decoded if isinstance(decoded, list) else [decoded]
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise MalformedRequest("body_not_jsonrpc")
    if len(messages) > MAX_BATCH:
        raise MalformedRequest("batch_too_long")
    methods = [message.get("method") for message in messages]
    if not all(method is None or isinstance(method, str) for method in methods):
        raise MalformedRequest("body_not_jsonrpc")
    return RequestBody(
        calls=tuple(
            _read_call(m, traceparent) for m in messages if m.get("method") == "tools/call"
        ),
        lists_tools="tools/list" in methods,
        request_id=_request_id(decoded),
    )


def _read_call(message: dict[str, Any], traceparent: str | None) -> ToolCall:
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    if not isinstance(params, dict) or not isinstance(name, str):
        raise MalformedRequest("tool_unnamed")
    arguments = params.get("arguments")
    # Some clients write null for a tool without arguments.
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise MalformedRequest("arguments_malformed")
    return ToolCall(
        tool=name, arguments=arguments, traceparent=traceparent_of(params) or traceparent
    )


def traceparent_of(params: Mapping[str, Any]) -> str | None:
    """The trace context in the `_meta` of a call (MCP 2026-07-28)."""
    meta = params.get("_meta")
    return read_traceparent(meta.get("traceparent")) if isinstance(meta, Mapping) else None


def _request_id(decoded: Any) -> str | int | None:
    value = decoded.get("id") if isinstance(decoded, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
