"""Take from a list of tools those that the caller may not call, in JSON and in event streams (pure).

A list is recognised by its shape (`result.tools`), not by the request: a resumed stream replays answers
to requests that this connection never saw.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

Allows = Callable[[str], bool]


def filter_result(result: Mapping[str, Any], allows: Allows) -> dict[str, Any]:
    """The result of `tools/list` without the tools that `allows` refuses."""
    filtered = {
        **result,
        "tools": [
            tool
            for tool in result["tools"]
            if isinstance(tool, dict) and isinstance(tool.get("name"), str) and allows(tool["name"])
        ],
    }
    # The list depends on the token, so no cache may show it to another caller (SEP-2549).
    if "cacheScope" in filtered:
        filtered["cacheScope"] = "private"
    return filtered


def filter_json(data: bytes, allows: Allows) -> bytes:
    """A JSON-RPC message or batch with its lists of tools filtered; raises ValueError if it is not JSON."""
    decoded = json.loads(data)
    if isinstance(decoded, list):
        filtered: Any = [_filter_message(message, allows) for message in decoded]
    else:
        filtered = _filter_message(decoded, allows)
    return data if filtered == decoded else _dump(filtered)


class EventFilter:
    """Filters a stream of server-sent events, chunk by chunk, holding back at most one event."""

    def __init__(self, allows: Allows) -> None:
        self._allows = allows
        self._held = b""

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """The events completed by `chunk`, filtered; with `last`, the rest as well."""
        self._held += chunk
        # A lone CR at the end may be half of CRLF: wait for the next chunk.
        lines = self._held.splitlines(keepends=True)
        whole = last or self._held.endswith(b"\n")
        tail = lines.pop() if lines and not whole else b""
        out, event = bytearray(), list[bytes]()
        for line in lines:
            event.append(line)
            if not line.strip(b"\r\n"):
                out += self._filter(event)
                event = []
        rest = b"".join(event) + tail
        if last:
            out += self._filter(rest.splitlines(keepends=True))
            rest = b""
        self._held = rest
        return bytes(out)

    def _filter(self, event: list[bytes]) -> bytes:
        raw = b"".join(event)
        data = [line for line in event if line.startswith(b"data:")]
        if b"tools" not in raw or not data:
            return raw
        payload = b"\n".join(line[5:].strip(b"\r\n").removeprefix(b" ") for line in data)
        try:
            filtered = filter_json(payload, self._allows)
        except ValueError:
            # What no client can parse is no list; it is dropped rather than passed on unread.
            return b": dropped\r\n\r\n"
        if filtered == payload:
            return raw
        others = b"".join(line for line in event if line.strip(b"\r\n") and line not in data)
        return others + b"data: " + filtered + b"\r\n\r\n"


def _filter_message(message: Any, allows: Allows) -> Any:
    if not isinstance(message, dict):
        return message
    result = message.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
        return message
    return {**message, "result": filter_result(result, allows)}


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
