"""POST /par."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.oauth.back_channel import Call
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS
from authz.web.edge import Edge
from authz.web.oauth.back_channel import form_routes
from authz.web.responses import json_answer


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The pushed authorization request endpoint below a prefix."""

    async def push(call: Call, _: Request) -> Response:
        reference = await edge.push.handle(call)
        BACK_CHANNEL_REQUESTS.labels("/par", "stored").inc()
        body = {"request_uri": reference.request_uri, "expires_in": reference.expires_in}
        headers = {} if reference.dpop_nonce is None else {"dpop-nonce": reference.dpop_nonce}
        return json_answer(body, status=201, headers=headers)

    return form_routes(edge, prefix, "/par", push)
