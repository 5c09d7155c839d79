"""Turn a refusal into an HTTP answer with the challenge that lets a client recover (pure).

RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3, RFC 9728 section 5.1, MCP "Scope Challenge
Handling". Every value in a challenge is a constant, a checked URL or a checked word, so nothing has to be
escaped. Both schemes are offered, Bearer first and on a line of its own: many clients read only the first
challenge, or take a parameter from wherever it stands first, which is why both carry the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.resource_server.discovery import COOL_DOWN
from authz.resource_server.dpop import ALGORITHMS
from authz.resource_server.errors import (
    AccessError,
    InsufficientScope,
    InvalidProof,
    InvalidToken,
    KeysUnavailable,
    LimitedTool,
    MalformedRequest,
    MissingToken,
    RevocationsUnavailable,
    UnknownTool,
    WeakAuthentication,
)

# Tokens in a header are no ambient authority: a page that has one may as well read the answer.
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, Mcp-Session-Id"),
)
_JSONRPC_INVALID_REQUEST = -32600
_JSONRPC_INVALID_PARAMS = -32602

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Challenges:
    """The answers of one resource. `scopes` is what a client without a token should ask for.

    `bearer` says that tokens without a proof of possession are taken.
    """

    metadata_url: str
    scopes: frozenset[str]
    bearer: bool = True

    def headers(self, refusal: AccessError, *, dpop: bool) -> list[str]:
        """The values of `WWW-Authenticate`, or none where a new token would not help.

        The error stands with the scheme that the client used: DPoP with `dpop`.
        """
        demanded = self._demanded(refusal)
        if demanded is None:
            return []
        error = {"error": refusal.error}
        found = []
        if self.bearer:
            found.append(_challenge("Bearer", ({} if dpop else error) | demanded))
        tried_dpop = dpop or not self.bearer
        algorithms = {"algs": " ".join(ALGORITHMS)}
        found.append(_challenge("DPoP", (error if tried_dpop else {}) | demanded | algorithms))
        return found

    def answer(
        self, refusal: AccessError, request_id: str | int | None, *, dpop: bool
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body. The body is a JSON-RPC error, so that MCP clients can show it."""
        code = (
            _JSONRPC_INVALID_PARAMS
            if isinstance(refusal, UnknownTool | LimitedTool)
            else _JSONRPC_INVALID_REQUEST
        )
        error: dict[str, Any] = {"code": code, "message": refusal.message}
        if refusal.error is not None:
            error["data"] = {"error": refusal.error}
        if isinstance(refusal, LimitedTool):
            error["data"]["tool"] = refusal.tool
        body = json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}).encode()
        headers = json_headers(body)
        headers += [
            (b"www-authenticate", challenge.encode("ascii"))
            for challenge in self.headers(refusal, dpop=dpop)
        ]
        if isinstance(refusal, KeysUnavailable | RevocationsUnavailable):
            headers.append((b"retry-after", str(int(COOL_DOWN)).encode()))
        return refusal.status, headers, body

    def _demanded(self, refusal: AccessError) -> dict[str, str | None] | None:
        """What the next token has to have."""
        demanded: dict[str, str | None] = {}
        if isinstance(refusal, WeakAuthentication):
            demanded["acr_values"] = " ".join(refusal.acr_values)
            demanded["max_age"] = None if refusal.max_age is None else str(refusal.max_age)
        if isinstance(refusal, WeakAuthentication | InsufficientScope):
            scopes = refusal.scopes
        elif isinstance(refusal, MalformedRequest | MissingToken | InvalidToken | InvalidProof):
            scopes = self.scopes
        else:
            return None
        return demanded | {
            "scope": " ".join(sorted(scopes)),
            "resource_metadata": self.metadata_url,
        }


def _challenge(scheme: str, parameters: Mapping[str, str | None]) -> str:
    shown = ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
    return f"{scheme} {shown}"


def json_headers(body: bytes) -> Headers:
    """The headers of a JSON answer that nobody stores and any page may read."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *CORS,
    ]
