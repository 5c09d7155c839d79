"""The route table as tests ask it: what a new route cannot forget to be in."""

from collections.abc import Iterator

from starlette.routing import Route

from authz.app import routes
from authz.web.edge import TENANT_PATH
from authz.web.later import Unloaded
from tests.support.harness import RunningServer


def route_table(server: RunningServer) -> Iterator[tuple[str, str]]:
    """Path and method of everything at the default tenant; the other tenants have the same functions."""
    for route in routes(server.edge):
        if not isinstance(route, Route):
            continue
        parts = route.endpoint.load().routes if isinstance(route.endpoint, Unloaded) else [route]
        for part in parts:
            if isinstance(part, Route) and TENANT_PATH not in part.path:
                yield from ((part.path, it) for it in (part.methods or set()) - {"HEAD", "OPTIONS"})


def address_of(path: str) -> str:
    """A path that the route answers to."""
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))
