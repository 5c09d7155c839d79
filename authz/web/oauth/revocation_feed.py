"""GET and POST /revocation_feed: long poll, and a stream of server-sent events for who prefers one.

    curl -u CLIENT:SECRET 'https://ISSUER/revocation_feed?after=41&wait=20'
    curl -u CLIENT:SECRET -H 'Accept: text/event-stream' https://ISSUER/revocation_feed

A request that waits holds its connection and nothing else: no thread, no transaction. Who hangs up is noticed.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from authz.errors import InvalidRequest, OAuthError
from authz.oauth.back_channel import Call
from authz.oauth.params import Params
from authz.oauth.revocation_feed import JWT_TYP, PATH, Subscription
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, FEED_READERS
from authz.web.edge import Edge
from authz.web.forms import read_query
from authz.web.oauth.back_channel import answering, form_routes
from authz.web.responses import CORS, text_answer

_EVENTS = "text/event-stream"
HEARTBEAT_SECONDS = 5.0
STREAM_SECONDS = 120.0
"""A stream ends and is opened again: whoever reads has to show who they are."""
_IN_QUERY = frozenset({"after", "wait"})

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """Both methods below a prefix."""

    async def answer(call: Call, request: Request) -> Response:
        subscription = await edge.revocation_feed.subscribe(call)
        after = subscription.after
        if _EVENTS in request.headers.get("accept", ""):
            last = request.headers.get("last-event-id", "")
            if last.isdecimal() and len(last) < 20:
                after = int(last)
            BACK_CHANNEL_REQUESTS.labels(PATH, "stream").inc()
            return _stream(edge, subscription, after)
        with edge.revocation_feed.hub.place(subscription.reader), FEED_READERS.track_inprogress():
            body = await _or_hung_up(
                request, edge.revocation_feed.read(subscription, after, subscription.wait)
            )
        BACK_CHANNEL_REQUESTS.labels(PATH, "answered").inc()
        return text_answer(body, f"application/{JWT_TYP}")

    async def by_query(request: Request) -> Params:
        params, _ = read_query(request)
        params.refuse_repeated()
        # A query is written into logs: credentials go into the header here, or into the body of a POST.
        if set(params.as_dict()) - _IN_QUERY:
            raise InvalidRequest(
                "only `after` and `wait` are read from the query", reason="query_unknown"
            )
        return params

    get = answering(edge, PATH, answer, by_query)
    return [
        Route(f"{prefix}{PATH}", get, methods=["GET"]),
        *form_routes(edge, prefix, PATH, answer, methods="GET, POST, OPTIONS"),
    ]


async def _or_hung_up(request: Request, reading: Coroutine[Any, Any, tuple[str, int]]) -> str:
    task = asyncio.ensure_future(reading)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        # Nobody reads what is said to a closed connection.
        return task.result()[0] if task.done() else ""
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _stream(edge: Edge, subscription: Subscription, after: int | None) -> Response:
    """Answers one after the other; the heartbeat is an answer without entries."""
    feed = edge.revocation_feed
    held = ExitStack()
    # Before the answer begins, so that one too many is refused as such.
    held.enter_context(feed.hub.place(subscription.reader))
    held.enter_context(FEED_READERS.track_inprogress())

    async def events() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        until, upto, wait = loop.time() + STREAM_SECONDS, after, 0.0
        while loop.time() < until and not edge.drain.is_over:
            try:
                token, upto = await feed.read(subscription, upto, wait)
            except OAuthError as error:
                log.warning("revocation_feed.stream_ended", reason=error.reason)
                return
            yield f"id: {upto}\nevent: revocations\ndata: {token}\n\n".encode()
            wait = HEARTBEAT_SECONDS

    return _Stream(events(), held)


class _Stream(StreamingResponse):
    """Gives its place back however it ends."""

    def __init__(self, events: AsyncIterator[bytes], held: ExitStack) -> None:
        super().__init__(events, media_type=_EVENTS, headers={**CORS, "cache-control": "no-store"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)
