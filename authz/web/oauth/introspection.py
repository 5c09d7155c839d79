"""POST /introspect and POST /revoke."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.oauth.back_channel import Call
from authz.oauth.introspection import JWT_TYP
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS
from authz.web.edge import Edge
from authz.web.oauth.back_channel import form_routes
from authz.web.responses import empty_answer, json_answer, text_answer

_SIGNED = f"application/{JWT_TYP}"


def routes(edge: Edge, prefix: str) -> list[Route]:
    """Both below a prefix."""

    async def introspect(call: Call, request: Request) -> Response:
        answer = await edge.introspection.handle(call)
        BACK_CHANNEL_REQUESTS.labels(
            "/introspect", "active" if answer.body["active"] else "inactive"
        ).inc()
        if _SIGNED in request.headers.get("accept", ""):
            return text_answer(await edge.introspection.sign(answer), _SIGNED)
        return json_answer(answer.body)

    async def revoke(call: Call, _: Request) -> Response:
        await edge.revocation.handle(call)
        BACK_CHANNEL_REQUESTS.labels("/revoke", "answered").inc()
        return empty_answer()

    return [
        *form_routes(edge, prefix, "/introspect", introspect),
        *form_routes(edge, prefix, "/revoke", revoke),
    ]
