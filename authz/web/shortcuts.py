"""The busiest addresses, answered before the router.

The framework's middleware and the search through the routes cost more than the whole decision about a token. They
do nothing for an endpoint that reads its own request, catches its own errors and has one fixed address. The same
routes stay in the router, which answers everything that is not an exact match: other methods, other tenants.
"""

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
Failed = Callable[[Request, Exception], Awaitable[Response]]


class Shortcuts:
    """`failed` answers for an endpoint that raised, as the application's own handler does."""

    def __init__(self, app: ASGIApp, *, failed: Failed) -> None:
        self._app = app
        self._failed = failed
        self._endpoints: dict[tuple[str, str], Endpoint] = {}

    def add(self, routes: Iterable[BaseRoute]) -> None:
        """Take over those of the routes that have no variable part."""
        for route in routes:
            if isinstance(route, Route) and not route.param_convertors:
                for method in route.methods or ():
                    self._endpoints[method, route.path] = route.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one of the addresses; hand on all others."""
        endpoint = None
        if scope["type"] == "http" and not scope.get("root_path"):
            endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except Exception as error:  # noqa: BLE001 -- the last place that can still answer
            response = await self._failed(request, error)
        await response(scope, receive, send)
