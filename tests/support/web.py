"""FakeWeb: other people's servers, for tests, over real sockets and real TLS on loopback.

    with FakeWeb() as web:
        web.serve("client.example", Reply.json({"client_id": web.url("client.example", "/c")}))
        network = web.network()

A handler is a Reply, or a function of the request that returns one. Asking for a host that was
never served raises AssertionError in the asking code, and again when the FakeWeb is closed.
"""

import json
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import trustme

from authz.net import Network, NetworkConfig, Resolve

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a host answers: after `delay` seconds, `drip` seconds per byte, perhaps without end."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    endless: bool = False

    @classmethod
    def json(cls, value: object, status: int = 200, **headers: str) -> "Reply":
        """Answer with JSON; `cache_control="max-age=60"` becomes a Cache-Control header."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        kind = {"Content-Type": "application/json"}
        return cls(status, json.dumps(value).encode(), {**kind, **named})


Handler = Reply | Callable[[Seen], Reply]


class FakeWeb:
    """A server on one loopback port that is every host it was told to be."""

    def __init__(self, *, tls: bool = True) -> None:
        self.requests: list[Seen] = []
        self.resolutions: list[str] = []
        self._tls = tls
        self._handlers: dict[str, Handler] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._unexpected: list[str] = []
        self._authority = trustme.CA()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self._listener = socket.create_server((_LOOPBACK, 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def serve(self, host: str, handler: Handler, *, certificate_for: str | None = None) -> None:
        """Be `host`; a second call replaces its handler."""
        if self._tls and (host not in self._contexts or certificate_for):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(certificate_for or host).configure_cert(context)
            self._contexts[host] = context
        self._handlers[host] = handler

    def url(self, host: str, path: str = "/") -> str:
        """The URL of a path on a host, with the port of this server."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def serves(self, host: str) -> bool:
        """Whether it was told to be `host`."""
        return host in self._handlers

    def count(self, host: str) -> int:
        """How many requests `host` got."""
        return sum(seen.host == host for seen in self.requests)

    def resolve(self, host: str, port: int) -> list[str]:
        """Resolve the hosts served here to loopback, for `Network(resolve=...)`."""
        self.resolutions.append(host)
        if host not in self._handlers:
            self._unexpected.append(host)
            raise AssertionError(f"nothing in this test serves {host}:{port}")
        return [_LOOPBACK]

    def network(self, *, resolve: Resolve | None = None, **settings: Any) -> Network:
        """Make a Network that trusts and finds the hosts served here."""
        config = NetworkConfig(**{"allow_loopback": True, "ca_file": self.ca_file, **settings})
        return Network(config, resolve=resolve or self.resolve)

    def close(self) -> None:
        """End every connection, and fail if a host was asked for that nobody serves."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()
        self._folder.cleanup()
        assert not self._unexpected, f"asked for hosts that nobody serves: {self._unexpected}"

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
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        stream = connection
        try:
            if self._tls:
                stream = self._secured(connection)
                self._open.add(stream)
            with stream.makefile("rb") as reader:
                seen = _read_request(reader)
            if seen is not None:
                self.requests.append(seen)
                self._answer(stream, seen)
        except OSError:
            pass  # the client hung up, as clients do
        finally:
            for used in (stream, connection):
                self._open.discard(used)
                used.close()

    def _secured(self, connection: socket.socket) -> ssl.SSLSocket:
        entrance = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def choose(stream: ssl.SSLObject | ssl.SSLSocket, name: str, _: ssl.SSLContext) -> None:
            # A client that dials an address sends no name.
            context = self._contexts.get(name or _LOOPBACK)
            if context is not None:
                stream.context = context

        entrance.sni_callback = choose
        return entrance.wrap_socket(connection, server_side=True)

    def _answer(self, stream: socket.socket, seen: Seen) -> None:
        handler = self._handlers.get(seen.host, Reply(421))
        reply = handler(seen) if callable(handler) else handler
        if self._closing.wait(reply.delay):
            return
        headers = {"Connection": "close", **reply.headers}
        if not reply.endless and "Transfer-Encoding" not in headers:
            headers.setdefault("Content-Length", str(len(reply.body)))
        head = [f"HTTP/1.1 {reply.status} Reply", *(f"{n}: {v}" for n, v in headers.items())]
        stream.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        if not reply.drip:
            stream.sendall(reply.body)
        for byte in reply.body if reply.drip else b"":
            if self._closing.wait(reply.drip):
                return
            stream.sendall(bytes([byte]))
        while reply.endless and not self._closing.is_set():
            stream.sendall(b"x" * 1024)
            time.sleep(0.001)


def _read_request(reader: BinaryIO) -> Seen | None:
    line = reader.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while text := reader.readline(65536).decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    return Seen(line[0], host, line[1], headers, body)
