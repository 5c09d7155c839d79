"""POST /device_authorization."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.oauth.back_channel import Call
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.oauth.back_channel import form_routes
from authz.web.responses import json_answer

_PATH = "/device_authorization"


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The endpoint below a prefix."""

    async def device_authorization(call: Call, request: Request) -> Response:
        body = await edge.devices.handle(call, asked_from=peer_address(edge, request))
        BACK_CHANNEL_REQUESTS.labels(_PATH, "answered").inc()
        return json_answer(body)

    return form_routes(edge, prefix, _PATH, device_authorization)
