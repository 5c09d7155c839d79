"""POST /token."""

from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.errors import OAuthError
from authz.oauth.back_channel import Call
from authz.oauth.grants import GRANTS
from authz.telemetry.labels import OTHER
from authz.telemetry.metrics import TOKEN_SECONDS, token_requests
from authz.web.edge import Edge
from authz.web.oauth.back_channel import form_routes
from authz.web.responses import json_answer


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The token endpoint below a prefix."""

    async def token(call: Call, _: Request) -> Response:
        began = perf_counter()
        try:
            answered = await edge.token.handle(call)
        except OAuthError as error:
            token_requests(_grant_of(call), error.code).inc()
            raise
        token_requests(answered.grant_type, "issued").inc()
        TOKEN_SECONDS.observe(perf_counter() - began)
        headers = {} if answered.dpop_nonce is None else {"dpop-nonce": answered.dpop_nonce}
        return json_answer(answered.body, headers=headers)

    return form_routes(edge, prefix, "/token", token)


def _grant_of(call: Call) -> str:
    """A word of ours, whatever the client sent."""
    grant_type = call.params.find("grant_type")
    return grant_type if grant_type in GRANTS else OTHER
