"""Shared Signals for MCP servers: stream management, and the endpoint where events are fetched (SSF-05).

No cookie is read; every request has an access token of a server's client in its header.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.db.models import EventStream
from authz.errors import InvalidRequest, OAuthError
from authz.keys import INTROSPECTION
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.transmitting import metadata, requests, streams
from authz.oauth.transmitting.transmitter import LONGEST_WAIT, Receiver, Transmitter
from authz.policy.signals import MANAGE, READ
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, count_refusal
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.forms import read_json
from authz.web.responses import json_answer, json_list, no_content
from authz.web.threads import run_in_threadpool

_READING, _MANAGING = frozenset({READ, MANAGE}), frozenset({MANAGE})
_Body = dict[str, Any]
_Work = Callable[[Receiver, Request, _Body], Awaitable[Response]]

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """All endpoints below a prefix."""
    served = _Endpoints(edge)
    table: tuple[tuple[str, str, frozenset[str], _Work], ...] = (
        (metadata.STREAMS, "POST", _MANAGING, served.create),
        (metadata.STREAMS, "GET", _READING, served.read),
        (metadata.STREAMS, "PATCH", _MANAGING, served.update),
        (metadata.STREAMS, "PUT", _MANAGING, served.replace),
        (metadata.STREAMS, "DELETE", _MANAGING, served.remove),
        (metadata.STATUS, "GET", _READING, served.status),
        (metadata.STATUS, "POST", _MANAGING, served.set_status),
        (metadata.ADD, "POST", _MANAGING, served.add_subject),
        (metadata.REMOVE, "POST", _MANAGING, served.remove_subject),
        (metadata.VERIFY, "POST", _MANAGING, served.verify),
        (f"{metadata.FETCH}/{{stream}}", "POST", _READING, served.poll),
    )
    return [
        Route(f"{prefix}{path}", _answering(edge, path, scopes, work), methods=[method])
        for path, method, scopes, work in table
    ]


def _answering(
    edge: Edge, path: str, scopes: frozenset[str], work: _Work
) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        try:
            with edge.limits.attempt("ssf", peer_address(edge, request)):
                authorization = tuple(request.headers.getlist("authorization"))
                receiver = await edge.transmitter.admit(slug, authorization, scopes)
                body = {} if request.method in ("GET", "DELETE") else await read_json(request)
                answer = await work(receiver, request, body)
        except UnknownTenant:
            return json_answer({"error": "not_found"}, status=404)
        except OAuthError as error:
            log.info("back_channel.refused", path=path, error=error.code, reason=error.reason)
            count_refusal(path, error.code, error.reason)
            return _refused(error)
        BACK_CHANNEL_REQUESTS.labels(path, "answered").inc()
        return answer

    return serve


def _refused(error: OAuthError) -> Response:
    headers = {}
    if error.status in (401, 403):
        # A request without a token is told no error code (RFC 6750 §3.1).
        told = "" if error.reason == "token_missing" else f', error="{error.code}"'
        headers["www-authenticate"] = f'Bearer realm="authz"{told}'
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    # Both spellings: the first is of OAuth, the second of RFC 8936 §2.6.
    body = {"error": error.code, "err": error.code, "description": error.description}
    return json_answer(body, status=error.status, headers=headers)


class _Endpoints:
    """What each of them does, once the receiver is let in."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    @property
    def _transmitter(self) -> Transmitter:
        return self._edge.transmitter

    async def create(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        wanted = requests.read_wanted(body)

        def work(tx: Session, now: datetime) -> tuple[str, _Body]:
            row = streams.create(tx, receiver.reader, wanted, now)
            return row.id, _told(receiver, row)

        made = await run_in_threadpool(self._transmitter.change, receiver, "event_stream.add", work)
        return json_answer(made, status=201)

    async def read(self, receiver: Receiver, request: Request, _: _Body) -> Response:
        wanted = request.query_params.get("stream_id")

        def work(tx: Session) -> list[_Body]:
            return [_told(receiver, it) for it in streams.find_all(tx, receiver.reader)]

        found = await run_in_threadpool(self._transmitter.read, work)
        if wanted is None:
            return json_list(found)
        one = [it for it in found if it["stream_id"] == wanted]
        if not one:
            raise streams.UnknownStream
        return json_answer(one[0])

    async def update(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        return await self._change(receiver, body, whole=False)

    async def replace(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        return await self._change(receiver, body, whole=True)

    async def _change(self, receiver: Receiver, body: _Body, *, whole: bool) -> Response:
        stream_id, wanted = requests.read_stream_id(body), requests.read_wanted(body)

        def work(tx: Session, now: datetime) -> tuple[str, _Body]:
            row = streams.load(tx, receiver.reader, stream_id)
            streams.change(row, wanted, now, whole=whole)
            return row.id, _told(receiver, row)

        name = "event_stream.change"
        return json_answer(await run_in_threadpool(self._transmitter.change, receiver, name, work))

    async def remove(self, receiver: Receiver, request: Request, _: _Body) -> Response:
        stream_id = _of_query(request)

        def work(tx: Session, _: datetime) -> tuple[str, None]:
            tx.delete(streams.load(tx, receiver.reader, stream_id))
            return stream_id, None

        await run_in_threadpool(self._transmitter.change, receiver, "event_stream.remove", work)
        return no_content()

    async def status(self, receiver: Receiver, request: Request, _: _Body) -> Response:
        stream_id = _of_query(request)

        def work(tx: Session) -> _Body:
            return streams.status_of(streams.load(tx, receiver.reader, stream_id))

        return json_answer(await run_in_threadpool(self._transmitter.write, work))

    async def set_status(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        stream_id, (status, reason) = requests.read_stream_id(body), requests.read_status(body)

        def work(tx: Session, now: datetime) -> tuple[str, _Body]:
            row = streams.load(tx, receiver.reader, stream_id)
            streams.set_status(row, status, reason, now)
            return row.id, streams.status_of(row)

        name = "event_stream.status"
        return json_answer(await run_in_threadpool(self._transmitter.change, receiver, name, work))

    async def add_subject(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        await self._subject(receiver, body, streams.take_in)
        return json_answer({})

    async def remove_subject(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        await self._subject(receiver, body, streams.take_out)
        return no_content()

    async def _subject(
        self, receiver: Receiver, body: _Body, take: Callable[[EventStream, str], None]
    ) -> None:
        stream_id = requests.read_stream_id(body)
        subject = requests.read_subject(body, receiver.issuer)

        def work(tx: Session) -> None:
            # Nobody is looked up, so neither the answer nor the time it takes says who is here.
            take(streams.load(tx, receiver.reader, stream_id), subject)

        await run_in_threadpool(self._transmitter.write, work)

    async def verify(self, receiver: Receiver, _: Request, body: _Body) -> Response:
        stream_id, state = requests.read_stream_id(body), requests.read_state(body)

        def work(tx: Session) -> None:
            row = streams.load(tx, receiver.reader, stream_id)
            streams.ask_for_verification(row, state, self._transmitter.clock())

        await run_in_threadpool(self._transmitter.write, work)
        return no_content()

    async def poll(self, receiver: Receiver, request: Request, body: _Body) -> Response:
        asked, stream_id = requests.read_poll(body), request.path_params["stream"]
        place = await run_in_threadpool(self._transmitter.acknowledge, receiver, stream_id, asked)
        if not asked.most or not place.enabled:
            return json_answer({"sets": {}, "moreAvailable": False})
        wait = 0.0 if asked.at_once else LONGEST_WAIT
        page = await self._transmitter.due(receiver, place, wait=wait)
        keys = receiver.configuration.keys
        sets, position, more = await keys.aside(
            (INTROSPECTION,),
            self._transmitter.clock(),
            partial(self._transmitter.tokens, receiver, place, page, asked.most),
        )
        if position > place.position:
            await run_in_threadpool(self._transmitter.move_on, receiver, stream_id, position)
        return json_answer({"sets": sets, "moreAvailable": more})


def _told(receiver: Receiver, row: EventStream) -> _Body:
    issuer = receiver.issuer
    return streams.described(row, issuer=issuer, poll_url=metadata.poll_url(issuer, row.id))


def _of_query(request: Request) -> str:
    found = request.query_params.getlist("stream_id")
    if len(found) != 1 or not found[0]:
        raise InvalidRequest("name one stream_id", reason="stream_id_missing")
    return found[0]
