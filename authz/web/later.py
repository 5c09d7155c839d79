"""Parts of the server that are loaded when somebody asks for them.

Provisioning alone brings a seventh of the modules and a fifth of the time of a start, and many installations have none
of it. Its first request pays instead, in a thread; nothing else waits.
"""

import asyncio
from importlib import import_module

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from authz.web.edge import Edge


class Later:
    """A module with `routes(edge, prefix)`, all of them below one path."""

    def __init__(self, module: str, path: str) -> None:
        self._module = module
        self._path = path

    def routes(self, edge: Edge, prefix: str) -> list[Route]:
        """One route that stands for all of them."""
        return [Route(f"{prefix}{self._path}/{{path:path}}", Unloaded(self._module, edge, prefix))]


class Unloaded:
    """The module's routes, which answer as if they had been there from the start."""

    def __init__(self, module: str, edge: Edge, prefix: str) -> None:
        self._module = module
        self._edge = edge
        self._prefix = prefix
        self._router: Router | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._router is None:
            async with self._loading:  # who comes meanwhile waits, and does not load it again
                if self._router is None:
                    self._router = await run_in_threadpool(self.load)
        await self._router(scope, receive, send)

    def load(self) -> Router:
        """Import the module. Blocking: call it from a thread."""
        module = import_module(self._module)
        return Router(module.routes(self._edge, self._prefix), redirect_slashes=False)
