"""Endpoints that a client's program calls with a form: read once, answered or refused in one way.

Plain Starlette routes, because every dependency layer would be paid by each request. Never reads a cookie, so any
origin may call them.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.db.availability import is_unavailable
from authz.errors import InvalidRequest, OAuthError, ServerError, TemporarilyUnavailable
from authz.oauth.back_channel import Call, UnknownTenant
from authz.oauth.params import Params
from authz.telemetry.metrics import count_refusal
from authz.telemetry.traceparent import only_traceparent
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import client_certificate, peer_address
from authz.web.edge import Edge
from authz.web.forms import MAX_BODY_BYTES, read_form
from authz.web.responses import json_answer, oauth_error, preflight

log = structlog.get_logger()

Answer = Callable[[Call, Request], Awaitable[Response]]
ReadParams = Callable[[Request], Awaitable[Params]]
_Endpoint = Callable[[Request], Awaitable[Response]]


def form_routes(
    edge: Edge,
    prefix: str,
    path: str,
    answer: Answer,
    *,
    methods: str = "POST, OPTIONS",
    max_bytes: int = MAX_BODY_BYTES,
) -> list[Route]:
    """POST and its preflight at `path` below a prefix; `answer` raises OAuthError to refuse."""

    async def options(_: Request) -> Response:
        return preflight(methods)

    return [
        Route(
            f"{prefix}{path}", answering(edge, path, answer, _of_form(max_bytes)), methods=["POST"]
        ),
        Route(f"{prefix}{path}", options, methods=["OPTIONS"]),
    ]


def answering(edge: Edge, path: str, answer: Answer, read: ReadParams) -> _Endpoint:
    """The endpoint for one method at `path`, whose parameters are where `read` finds them."""
    endpoint = path.removeprefix("/")

    async def serve(request: Request) -> Response:
        authorization, proofs, traces = _said(request)
        refused = partial(_refused, path, authorization_sent=bool(authorization))
        try:
            with edge.limits.attempt(endpoint, peer_address(edge, request)) as attempt:
                call = Call(
                    slug=request.path_params.get("slug", DEFAULT_SLUG),
                    path=path,
                    params=await read(request),
                    attempt=attempt,
                    authorization=_only(authorization),
                    dpop=tuple(proofs),
                    certificate=client_certificate(edge, request),
                    trace=only_traceparent(traces),
                )
                return await answer(call, request)
        except UnknownTenant:
            return json_answer({"error": "not_found"}, status=404)
        except OAuthError as error:
            log.info("back_channel.refused", path=path, error=error.code, reason=error.reason)
            return refused(error)
        except Exception as error:
            if is_unavailable(error):
                log.warning("back_channel.unavailable", path=path, error=type(error).__name__)
                return refused(
                    TemporarilyUnavailable("try again shortly", reason="database_unavailable")
                )
            # Said to the operator in full and to the client not at all; nothing was issued.
            log.exception("back_channel.failed", path=path)
            return refused(ServerError("the server failed to answer", reason="exception"))

    return serve


def _said(request: Request) -> tuple[list[str], list[str], list[str]]:
    """Every `Authorization`, `DPoP` and `traceparent` header, in one walk through the headers."""
    found: dict[bytes, list[str]] = {b"authorization": [], b"dpop": [], b"traceparent": []}
    for name, value in request.scope["headers"]:  # names are in small letters (ASGI)
        if name in found:
            found[name].append(value.decode("latin-1"))
    return found[b"authorization"], found[b"dpop"], found[b"traceparent"]


def _of_form(max_bytes: int) -> ReadParams:
    async def read(request: Request) -> Params:
        return Params(await read_form(request, max_bytes=max_bytes))

    return read


def _refused(path: str, error: OAuthError, *, authorization_sent: bool) -> Response:
    count_refusal(path, error.code, error.reason)
    return oauth_error(error, authorization_sent=authorization_sent)


def _only(headers: list[str]) -> str | None:
    if len(headers) > 1:
        raise InvalidRequest("send one Authorization header", reason="authorization_twice")
    return headers[0] if headers else None
