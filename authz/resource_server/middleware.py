"""The ASGI edge: metadata, preflight, token, session, tools, then the app."""

import asyncio
import json
import logging
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from authz.resource_server.access_token import AccessToken
from authz.resource_server.challenge import CORS, Challenges, Headers, json_headers
from authz.resource_server.current import SCOPE_KEY, TRACE_KEY, current
from authz.resource_server.errors import AccessError, InvalidToken
from authz.resource_server.messages import RequestBody
from authz.resource_server.messages import read_body as read_messages
from authz.resource_server.metadata import metadata_document
from authz.resource_server.onward import Exchanger
from authz.resource_server.outcome import DENIED
from authz.resource_server.reporting import Reporter
from authz.resource_server.request import (
    App,
    Credentials,
    DisconnectedError,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    read_credentials,
    read_proofs,
    read_trace,
    replay,
    session_id,
)
from authz.resource_server.response import FilteringSend
from authz.resource_server.sessions import SessionOwners
from authz.resource_server.tool_rules import ToolRules
from authz.resource_server.urls import origin, resource_metadata_path
from authz.resource_server.verifier import TokenVerifier

# What streamable HTTP uses. A tool call in another method's body would pass unread.
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE"})
_PREFLIGHT: Headers = [
    *CORS,
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    # "*" covers every name but this one (Fetch standard).
    (b"access-control-allow-headers", b"Authorization, *"),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]

log = logging.getLogger(__name__)  # noqa: TID251 - structlog belongs to the server, not to this layer


@dataclass
class ProtectedApp:
    """`app` behind a verified token. Every path is protected but that of the metadata document."""

    app: App
    verifier: TokenVerifier
    tools: ToolRules
    name: str
    require_dpop: bool = False
    sessions: SessionOwners = field(default_factory=SessionOwners)
    reporter: Reporter | None = None
    exchanger: Exchanger | None = None

    def __post_init__(self) -> None:
        """Derive what is the same for every request."""
        resource = self.verifier.resource
        metadata_path = resource_metadata_path(resource)
        # ASGI paths arrive decoded.
        self._metadata_path = unquote(metadata_path)
        self._challenges = Challenges(
            metadata_url=origin(urlsplit(resource)) + metadata_path,
            scopes=self.tools.all_scopes,
            bearer=not self.require_dpop,
        )
        document = metadata_document(
            issuer=self.verifier.issuer,
            resource=resource,
            tools=self.tools,
            name=self.name,
            require_dpop=self.require_dpop,
        )
        self._metadata = json.dumps(document).encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            # MCP has no such transport, so there is no rule by which one could be let in.
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The feed is followed, and what became of calls is told, from the start to the end of the app."""
        feed, reporter = self.verifier.feed, self.reporter

        async def send_when_reported(message: Message) -> None:
            # What is said after this may never be run.
            if reporter is not None and message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(reporter.close)
            await send(message)

        if feed is not None:
            # So that the first request finds it read.
            feed.start()
        if reporter is not None:
            # What a process before this one could not send need not wait for a call.
            reporter.start()
        try:
            await self.app(scope, receive, send_when_reported)
        finally:
            if feed is not None:
                await feed.stop()
            if self.exchanger is not None:
                await self.exchanger.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "OPTIONS":
            await _respond(send, 204, _PREFLIGHT, b"")
        elif scope["path"] == self._metadata_path and method in ("GET", "HEAD"):
            headers = [h for h in json_headers(self._metadata) if h[0] != b"cache-control"]
            headers.append((b"cache-control", b"public, max-age=300"))
            await _respond(send, 200, headers, b"" if method == "HEAD" else self._metadata)
        elif method not in METHODS:
            await _respond(send, 405, [(b"allow", b"GET, POST, DELETE, OPTIONS")], b"")
        else:
            await self._protect(scope, receive, send)

    async def _protect(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = RequestBody(calls=(), lists_tools=False, request_id=None)
        dpop = False
        try:
            credentials = read_credentials(scope)
            dpop = credentials.dpop
            token = await self._verify(credentials, scope)
            session = session_id(scope)
            if session is not None:
                self.sessions.require(session, token)
            if scope["method"] == "POST":
                body = await read_body(scope, receive)
                asked = read_messages(body, read_trace(scope))
                self._require(asked, token)
                receive = replay(body, receive)
        except AccessError as refusal:
            log.info("request refused: %s", refusal.reason)
            answer = self._challenges.answer(refusal, asked.request_id, dpop=dpop)
            await _respond(send, *answer)
            return
        except DisconnectedError:
            return
        watched = self._watch(send, token, lists_tools=asked.lists_tools)
        trace = asked.calls[0].traceparent if len(asked.calls) == 1 else read_trace(scope)
        if self.exchanger is not None:
            token = replace(token, exchange=self.exchanger.of(credentials.token, trace))
        await self._pass_on({**scope, TRACE_KEY: trace}, receive, watched, token)
        if session is not None and scope["method"] == "DELETE" and 200 <= watched.status < 300:
            self.sessions.forget(session)

    def _require(self, asked: RequestBody, token: AccessToken) -> None:
        try:
            self.tools.require(asked.calls, token, self.verifier.clock())
        except AccessError as refusal:
            if self.reporter is not None:
                # Of a batch none is served.
                for call in asked.calls:
                    self.reporter.report(token, call, DENIED, refusal.reason)
            raise

    async def _verify(self, credentials: Credentials, scope: Scope) -> AccessToken:
        if credentials.dpop:
            return await self.verifier.verify_bound(
                credentials.token, read_proofs(scope), scope["method"]
            )
        # Whether bound or not: dropping the proof must not be a way in (ATK-72).
        if self.require_dpop:
            raise InvalidToken("bearer_refused")
        return await self.verifier.verify(credentials.token)

    def _watch(self, send: Send, token: AccessToken, *, lists_tools: bool) -> FilteringSend:
        return FilteringSend(
            send,
            allows=lambda tool: self.tools.allows(tool, token.scopes, token.tools),
            lists_tools=lists_tools,
            opened=lambda session: self.sessions.bind(session, token),
        )

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: FilteringSend, token: AccessToken
    ) -> None:
        # Compressed answers could not be filtered; a proxy in front may compress.
        headers = [(k, v) for k, v in scope["headers"] if k.lower() != b"accept-encoding"]
        # Files that the server itself would send could not be filtered either.
        extensions = {
            key: value
            for key, value in (scope.get("extensions") or {}).items()
            if not key.startswith("http.response.")
        }
        inner = {**scope, "headers": headers, "extensions": extensions, SCOPE_KEY: token}
        reset = current.set(token)
        try:
            await self.app(inner, receive, send)
        finally:
            current.reset(reset)


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
