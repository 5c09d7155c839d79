"""Read an ASGI request: the access token, the session id, the body."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from authz.resource_server.errors import BodyTooLarge, MalformedRequest, MissingToken
from authz.resource_server.traceparent import read_traceparent

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The same bound as the official SDK's.
MAX_BODY_BYTES = 4 * 1024 * 1024

_CREDENTIALS = re.compile(rb"[A-Za-z]+ +([A-Za-z0-9\-._~+/]+=*)")
_SCHEMES = {b"bearer": False, b"dpop": True}


@dataclass(frozen=True, repr=False)
class Credentials:
    """The token of a request, and whether it is presented with a proof of possession."""

    token: str
    dpop: bool


class DisconnectedError(Exception):
    """The client left before its body was complete."""


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of one header."""
    return [value for key, value in scope["headers"] if key.lower() == name]


def read_credentials(scope: Scope) -> Credentials:
    """The one token of the request, from its one Authorization header.

    Raises MissingToken without any, MalformedRequest for two or for one in the query string
    (OAuth 2.1 section 5.1: URLs are logged, and sent on in Referer).
    """
    query = scope.get("query_string", b"").decode("latin-1")
    if any(name == "access_token" for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise MalformedRequest("token_in_query")
    values = header_values(scope, b"authorization")
    if not values:
        raise MissingToken("token_missing")
    if len(values) > 1:
        raise MalformedRequest("two_authorization_headers")
    dpop = _SCHEMES.get(values[0].split(b" ", 1)[0].lower())
    if dpop is None:
        raise MissingToken("scheme_unknown")
    found = _CREDENTIALS.fullmatch(values[0])
    if found is None:
        raise MalformedRequest("authorization_malformed")
    return Credentials(token=found.group(1).decode("ascii"), dpop=dpop)


def read_proofs(scope: Scope) -> list[str]:
    """The `DPoP` headers, each as it was sent."""
    return [value.decode("latin-1") for value in header_values(scope, b"dpop")]


def read_trace(scope: Scope) -> str | None:
    """The `traceparent` of the request; two of them are none."""
    values = header_values(scope, b"traceparent")
    return read_traceparent(values[0].decode("latin-1")) if len(values) == 1 else None


def session_id(scope: Scope) -> str | None:
    """The MCP session that the request belongs to; raises MalformedRequest for two."""
    values = header_values(scope, b"mcp-session-id")
    if len(values) > 1:
        raise MalformedRequest("two_session_ids")
    return values[0].decode("latin-1") if values else None


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises BodyTooLarge, MalformedRequest for a compressed one, or DisconnectedError."""
    if header_values(scope, b"content-encoding") not in ([], [b"identity"]):
        raise MalformedRequest("body_encoded")
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise DisconnectedError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge("body_too_large")
        more = message.get("more_body", False)
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that yields `body` once and then what the client does next."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
