"""Servers on loopback that live inside a block, on the running event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from authz.errors import ConfigurationError

HOST = "127.0.0.1"
_BACKLOG = 128


@dataclass(frozen=True)
class Listener:
    """A port of this machine that nobody else can take any more; where nothing answers yet."""

    socket: Any
    port: int

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return local_url(self.port)


def local_url(port: int) -> str:
    """A port of this machine."""
    return f"http://{HOST}:{port}"


@contextmanager
def listening(port: int = 0) -> Iterator[Listener]:
    """Take a port; 0 is any. Raises ConfigurationError when it is taken."""
    config = uvicorn.Config(_nothing, host=HOST, port=port, log_config=None)
    try:
        opened = config.bind_socket()
        opened.listen(_BACKLOG)
    except (SystemExit, OSError):
        raise ConfigurationError(
            f"{HOST}:{port} cannot be listened on: it is in use; --port chooses another"
        ) from None
    try:
        yield Listener(opened, opened.getsockname()[1])
    finally:
        opened.close()


@asynccontextmanager
async def serving(app: Any, listener: Listener, *, lifespan: bool = False) -> AsyncIterator[None]:
    """Answer there with an ASGI application until the block ends. Raises ConfigurationError."""
    config = uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener.socket]))
    # uvicorn tells of its start in no other way.
    while not server.started and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    if not server.started:
        raise ConfigurationError(f"a server of the lab did not start at {listener.url}")
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals alone: whoever opened the block ends it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    raise RuntimeError("nothing is served here")
