"""Signing in through an identity provider: out by a button, back by a callback, and on to where the person was going.

Decisions:
- A browser leaves only after its person pressed a button of ours under the client's name, and only then something is
  stored (MCP-AS-95, MCP-AS-96). What they allow the client is asked afterwards and by itself (ATK-15).
- It comes back to an address that only this connection has, with a state of this connection, in the same browser
  (BCPU-01, BCPU-02). A SAML response is posted from another site, so our cookie is not with it: the verified answer
  waits under a ticket, and is taken by the browser's next request, which has the cookie.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.errors import InvalidRequest, OAuthError, TooManyRequests
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.cookies import read_browser
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import MAX_ASSERTION_BYTES, MAX_QUERY_CHARS, pairs_of, read_form
from authz.web.login.refusals import unusable
from authz.web.login.upstream import Flow
from authz.web.problems import too_many
from authz.web.threads import run_in_threadpool

_MAX_ENCODED = 24 * 1024
"""Of the 256 K characters of the largest response one in 32 is `+` or `/`, and some products break lines; a form of
nothing else is dear (ATK-62)."""
_Reader = Callable[[Request], Awaitable[list[tuple[str, str]]]]


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The way out and the ways back, below a prefix."""

    async def start(request: Request) -> Response:
        if not is_own_form(request, edge.services.settings.server.issuer):
            return unusable(edge, "This form came from another site", "foreign_form", 403)
        return await step(request, read_form, "start")

    async def acs(request: Request) -> Response:
        read = partial(read_form, max_bytes=MAX_ASSERTION_BYTES, max_encoded=_MAX_ENCODED)
        return await step(request, read, "assertion")

    async def callback(request: Request) -> Response:
        return await step(request, _read_query, "callback")

    async def finish(request: Request) -> Response:
        return await step(request, _read_query, "ticket")

    async def published(request: Request) -> Response:
        return await step(request, _read_query, "published")

    async def initiate(request: Request) -> Response:
        read = _read_query if request.method == "GET" else read_form
        return await step(request, read, "initiate")

    async def step(request: Request, read: _Reader, name: str) -> Response:
        try:
            edge.limits.admit("login", address=peer_address(edge, request))
            fields = _each_once(await read(request))
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError as error:
            return unusable(edge, "This request cannot be read", error.reason, error.status)
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        flow = Flow(edge, slug, read_browser(edge, slug, request))
        connection = request.path_params.get("connection", "")
        return await run_in_threadpool(getattr(flow, name), connection, fields)

    place = f"{prefix}/federation/{{connection}}"
    return [
        Route(f"{prefix}/login/start", start, methods=["POST"]),
        Route(f"{place}/callback", callback, methods=["GET"]),
        Route(f"{place}/acs", acs, methods=["POST"]),
        Route(f"{place}/finish", finish, methods=["GET"]),
        Route(f"{place}/metadata", published, methods=["GET"]),
        Route(f"{place}/initiate", initiate, methods=["GET", "POST"]),
    ]


async def _read_query(request: Request) -> list[tuple[str, str]]:
    raw = request.scope["query_string"]
    if len(raw) > MAX_QUERY_CHARS:
        raise InvalidRequest("the query is too long", reason="query_too_long")
    return pairs_of(raw)


def _each_once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Which of two would count is for nobody to guess (ATK-10)."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("a parameter is repeated", reason="parameter_repeated")
    return fields
