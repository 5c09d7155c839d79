"""GET and POST /userinfo."""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.errors import InvalidDpopProof, OAuthError, UseDpopNonce
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.dpop import ALGORITHMS
from authz.oauth.userinfo import Presented
from authz.policy.openid import USERINFO_PATH
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, count_refusal
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.responses import json_answer, preflight

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The endpoint below a prefix. The token comes in the header alone: forms and URLs end in logs."""

    async def userinfo(request: Request) -> Response:
        presented = Presented(
            slug=request.path_params.get("slug", DEFAULT_SLUG),
            method=request.method,
            authorization=tuple(request.headers.getlist("authorization")),
            dpop=tuple(request.headers.getlist("dpop")),
        )
        try:
            with edge.limits.attempt("userinfo", peer_address(edge, request)):
                claims, nonce = await edge.userinfo.handle(presented)
        except UnknownTenant:
            return json_answer({"error": "not_found"}, status=404)
        except OAuthError as error:
            log.info(
                "back_channel.refused", path=USERINFO_PATH, error=error.code, reason=error.reason
            )
            count_refusal(USERINFO_PATH, error.code, error.reason)
            return _refused(error)
        BACK_CHANNEL_REQUESTS.labels(USERINFO_PATH, "answered").inc()
        return json_answer(claims, headers={} if nonce is None else {"dpop-nonce": nonce})

    async def options(_: Request) -> Response:
        return preflight("GET, POST, OPTIONS")

    path = f"{prefix}{USERINFO_PATH}"
    return [
        Route(path, userinfo, methods=["GET", "POST"]),
        Route(path, options, methods=["OPTIONS"]),
    ]


def _refused(error: OAuthError) -> Response:
    """RFC 6750 §3, RFC 9449 §7.1: both schemes are challenged, because a token says itself which one it needs."""
    is_about_proof = isinstance(error, InvalidDpopProof | UseDpopNonce)
    status = 401 if is_about_proof else error.status
    headers = {}
    if status in (401, 403):
        # A request without a token is told no error code (RFC 6750 §3.1).
        told = "" if error.reason == "token_missing" else f', error="{error.code}"'
        algorithms = " ".join(ALGORITHMS)
        bearer = f'Bearer realm="authz"{told}'
        bound = f'DPoP realm="authz"{told}, algs="{algorithms}"'
        headers["www-authenticate"] = bound if is_about_proof else f"{bearer}, {bound}"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UseDpopNonce):
        headers["dpop-nonce"] = error.nonce
    body = {"error": error.code, "error_description": error.description}
    return json_answer(body, status=status, headers=headers)
