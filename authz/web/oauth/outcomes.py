"""POST /outcomes: what MCP servers tell of the calls they were asked for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.oauth.back_channel import Call
from authz.oauth.outcomes.batches import MAX_CHARS
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, TOOL_OUTCOMES
from authz.web.edge import Edge
from authz.web.oauth.back_channel import form_routes
from authz.web.responses import json_answer

_MAX_BYTES = MAX_CHARS + 24 * 1024
"""A batch, and what authenticates its sender."""


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The endpoint below a prefix."""

    async def outcomes(call: Call, _: Request) -> Response:
        receipt = await edge.outcomes.handle(call)
        BACK_CHANNEL_REQUESTS.labels(
            "/outcomes", "repeated" if receipt.is_repeated else "kept"
        ).inc()
        if not receipt.is_repeated:
            TOOL_OUTCOMES.labels("unverified").inc(receipt.unverified)
            TOOL_OUTCOMES.labels("verified").inc(receipt.outcomes - receipt.unverified)
        return json_answer(
            {
                "outcomes": receipt.outcomes,
                "unverified": receipt.unverified,
                "repeated": receipt.is_repeated,
            }
        )

    return form_routes(edge, prefix, "/outcomes", outcomes, max_bytes=_MAX_BYTES)
