"""POST /token: a plain Starlette route, because every dependency layer would be paid by each request."""

from time import perf_counter

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.errors import InvalidRequest, OAuthError, ServerError
from authz.oauth.params import Params
from authz.oauth.token import UnknownTenant
from authz.telemetry.metrics import TOKEN_REQUESTS, TOKEN_SECONDS
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.forms import read_form
from authz.web.responses import json_answer, oauth_error, preflight

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The token endpoint below a prefix."""

    async def token(request: Request) -> Response:
        began = perf_counter()
        sent = request.headers.getlist("authorization")
        try:
            with edge.limits.attempt("token", peer_address(edge, request)) as attempt:
                authorization = _only(sent)
                params = Params(await read_form(request))
                slug = request.path_params.get("slug", DEFAULT_SLUG)
                answered = await edge.token.handle(slug, params, authorization, attempt)
        except UnknownTenant:
            return json_answer({"error": "not_found"}, status=404)
        except OAuthError as error:
            log.info("token.refused", error=error.code, reason=error.reason)
            TOKEN_REQUESTS.labels("", error.code).inc()
            return oauth_error(error, authorization_sent=bool(sent))
        except Exception:
            # Said to the operator in full and to the client not at all; nothing was issued.
            log.exception("token.failed")
            TOKEN_REQUESTS.labels("", "server_error").inc()
            failure = ServerError("the server failed to answer", reason="exception")
            return oauth_error(failure, authorization_sent=False)
        TOKEN_REQUESTS.labels(answered.grant_type, "issued").inc()
        TOKEN_SECONDS.observe(perf_counter() - began)
        return json_answer(answered.body)

    async def options(_: Request) -> Response:
        return preflight("POST, OPTIONS")

    path = f"{prefix}/token"
    return [
        Route(path, token, methods=["POST"]),
        Route(path, options, methods=["OPTIONS"]),
    ]


def _only(headers: list[str]) -> str | None:
    if len(headers) > 1:
        raise InvalidRequest("send one Authorization header", reason="authorization_twice")
    return headers[0] if headers else None
