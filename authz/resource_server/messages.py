"""Read what a JSON-RPC request body asks for, before the server does (pure)."""

from dataclasses import dataclass
from typing import Any

from authz.resource_server import strict_json
from authz.resource_server.errors import MalformedRequest


@dataclass(frozen=True)
class RequestBody:
    """The tools that a body calls, whether it asks for the list, and the id to answer under."""

    called: tuple[str, ...]
    lists_tools: bool
    request_id: str | int | None


def read_body(data: bytes) -> RequestBody:
    """Read one message or a batch; raises MalformedRequest if a server might read it differently."""
    try:
        decoded = strict_json.loads(data)
    except ValueError as error:
        raise MalformedRequest("body_not_json") from error
    messages = decoded if isinstance(decoded, list) else [decoded]
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise MalformedRequest("body_not_jsonrpc")
    methods = [message.get("method") for message in messages]
    if not all(method is None or isinstance(method, str) for method in methods):
        raise MalformedRequest("body_not_jsonrpc")
    return RequestBody(
        called=tuple(_tool(m) for m in messages if m.get("method") == "tools/call"),
        lists_tools="tools/list" in methods,
        request_id=_request_id(decoded),
    )


def _tool(message: dict[str, Any]) -> str:
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    if not isinstance(name, str):
        raise MalformedRequest("tool_unnamed")
    return name


def _request_id(decoded: Any) -> str | int | None:
    value = decoded.get("id") if isinstance(decoded, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
