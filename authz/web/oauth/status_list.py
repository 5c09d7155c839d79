"""GET /status/LIST: a token status list, for anybody (draft-ietf-oauth-status-list §8)."""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.errors import SignerUnavailable, TooManyRequests
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.status_lists import JWT_TYP, TTL
from authz.oauth.status_slots import PATH
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.responses import CORS, json_answer, oauth_error, preflight

_HEADERS = {
    **CORS,
    "content-type": f"application/{JWT_TYP}",
    "cache-control": f"public, max-age={int(TTL.total_seconds())}",
    "vary": "accept-encoding",
}

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The list and its preflight below a prefix."""
    path = f"{prefix}{PATH}/{{list}}"

    async def serve(request: Request) -> Response:
        try:
            edge.limits.admit("status_list", address=peer_address(edge, request))
            found = await edge.status_lists.find(
                request.path_params.get("slug", DEFAULT_SLUG), request.path_params["list"]
            )
        except UnknownTenant:
            found = None
        except (TooManyRequests, SignerUnavailable) as error:
            log.info("status_list.refused", reason=error.reason)
            return oauth_error(error, authorization_sent=False)
        if found is None:
            return json_answer({"error": "not_found"}, status=404)
        if "gzip" in request.headers.get("accept-encoding", "").lower():
            return Response(found.zipped, headers={**_HEADERS, "content-encoding": "gzip"})
        return Response(found.plain, headers=_HEADERS)

    async def options(_: Request) -> Response:
        return preflight("GET, OPTIONS")

    return [
        Route(path, serve, methods=["GET", "HEAD"]),
        Route(path, options, methods=["OPTIONS"]),
    ]
