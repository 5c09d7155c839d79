"""Turn a refusal into an HTTP answer with the challenge that lets a client recover (pure).

RFC 6750 section 3, RFC 9728 section 5.1, MCP "Scope Challenge Handling". Every value in a challenge is
a constant, a checked URL or a checked scope, so nothing has to be escaped.
"""

import json
from dataclasses import dataclass
from typing import Any

from authz.resource_server.discovery import COOL_DOWN
from authz.resource_server.errors import (
    AccessError,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MalformedRequest,
    MissingToken,
)

# Bearer tokens are no ambient authority: a page that has one may as well read the answer.
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, Mcp-Session-Id"),
)
_JSONRPC_INVALID_REQUEST = -32600
_JSONRPC_INVALID_PARAMS = -32602

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Challenges:
    """The answers of one resource. `scopes` is what a client without a token should ask for."""

    metadata_url: str
    scopes: frozenset[str]

    def header(self, refusal: AccessError) -> str | None:
        """The value of `WWW-Authenticate`, or None where a new token would not help."""
        if isinstance(refusal, InsufficientScope):
            scopes = refusal.scopes
        elif isinstance(refusal, MalformedRequest | MissingToken | InvalidToken):
            scopes = self.scopes
        else:
            return None
        fields = {
            "error": refusal.error,
            "scope": " ".join(sorted(scopes)),
            "resource_metadata": self.metadata_url,
        }
        return "Bearer " + ", ".join(f'{key}="{value}"' for key, value in fields.items() if value)

    def answer(
        self, refusal: AccessError, request_id: str | int | None
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body. The body is a JSON-RPC error, so that MCP clients can show it."""
        code = (
            _JSONRPC_INVALID_PARAMS
            if refusal.error is None and refusal.status == 403
            else _JSONRPC_INVALID_REQUEST
        )
        error: dict[str, Any] = {"code": code, "message": refusal.description}
        if refusal.error is not None:
            error["data"] = {"error": refusal.error}
        body = json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}).encode()
        headers = json_headers(body)
        challenge = self.header(refusal)
        if challenge is not None:
            headers.append((b"www-authenticate", challenge.encode("ascii")))
        if isinstance(refusal, KeysUnavailable):
            headers.append((b"retry-after", str(int(COOL_DOWN)).encode()))
        return refusal.status, headers, body


def json_headers(body: bytes) -> Headers:
    """The headers of a JSON answer that nobody stores and any page may read."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *CORS,
    ]
