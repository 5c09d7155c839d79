"""An egress proxy on loopback through which a FakeWeb is the internet.

With it a server under test reaches `https://claude.ai/...` under exactly that name, without a port: it asks this proxy
to CONNECT to claude.ai:443 and finds the FakeWeb there.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.web import FakeWeb

_LOOPBACK = "127.0.0.1"


class Egress:
    """Tunnels to the FakeWeb for the hosts it serves; refuses every other."""

    def __init__(self, web: FakeWeb) -> None:
        self.connected: list[str] = []
        self._web = web
        self._listener = socket.create_server((_LOOPBACK, 0), backlog=64)
        self.url = f"http://{_LOOPBACK}:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End every tunnel."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for stream in list(self._open):
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._tunnel, client)

    def _start(self, work: Callable[..., None], *streams: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=streams, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _tunnel(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            target = _read_target(client)
            self.connected.append(target)
            host, _, port = target.rpartition(":")
            if port != "443" or not self._web.serves(host):
                client.sendall(b"HTTP/1.1 403 Refused\r\n\r\n")
                return
            with socket.create_connection((_LOOPBACK, self._web.port)) as server:
                self._open.add(server)
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = self._start(_pump, server, client)
                _pump(client, server)
                back.join(timeout=5)
                self._open.discard(server)
        except OSError:
            pass  # a side hung up, as sides do
        finally:
            self._open.discard(client)
            client.close()


def _read_target(client: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = client.recv(4096)
        if not chunk or len(head) > 16384:
            raise OSError("no CONNECT")
        head += chunk
    return head.split()[1].decode("latin-1")


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
