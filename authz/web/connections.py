"""What a connection may do before there is a request to answer.

uvicorn waits for ever for the head of a request, gathers any amount of it, and forgets a body that nobody reads, but
not its sender. Here a head has a size, a whole message has a time and a size, and chunks have a number; who exceeds
one loses the connection. It costs an honest request two assignments and one addition.

Bodies are judged by who reads them (`web.forms`), with an answer; this is the wall behind that.
"""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_CHUNKS = 1024
DEFAULT_READ_TIMEOUT = 10.0
_AT_ONCE = 8 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHttp(HttpToolsProtocol):
    """One connection. `read_timeout` in the lifespan's state is in seconds."""

    _is_reading_head = True
    _since: float | None = None
    """When the message began that is still arriving."""
    _bytes = 0
    _chunks = 0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is a message that does not arrive."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._read_timeout = float(self.app_state.get("read_timeout", DEFAULT_READ_TIMEOUT))
        self._watch = self.loop.call_later(self._read_timeout, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to watch."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; while it reads a head, in pieces small enough to stop in time."""
        if not self._is_reading_head or len(data) <= _AT_ONCE:
            self._feed(data)
            return
        for start in range(0, len(data), _AT_ONCE):
            if not self.transport.is_closing():
                self._feed(data[start : start + _AT_ONCE])

    def on_message_begin(self) -> None:
        """The time of this message begins."""
        super().on_message_begin()
        self._since = self.loop.time()
        self._chunks = 0

    def on_headers_complete(self) -> None:
        """The rest is body."""
        self._is_reading_head = False
        super().on_headers_complete()
        drain = self.app_state.get("drain")
        if drain is not None and drain.is_on:
            # The next request of this connection belongs to another process.
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """A body of single bytes costs a call each (ATK-63)."""
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise httptools.HttpParserError("too many chunks")

    def on_message_complete(self) -> None:
        """It arrived: from here on uvicorn's own clocks tick."""
        super().on_message_complete()
        self._since = None
        self._is_reading_head = True
        self._bytes = 0

    def _feed(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MAX_MESSAGE_BYTES:
            self.transport.close()
            return
        if self._since is None:  # empty lines between messages begin none, and stop uvicorn's clock
            self._since = self.loop.time()
        super().data_received(data)
        is_too_large = self._is_reading_head and self._bytes > MAX_HEAD_BYTES
        if is_too_large and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _check_time(self) -> None:
        """One timer a connection, not one a request: whatever began since the last look is looked at in time."""
        now, since = self.loop.time(), self._since
        if since is not None and now - since >= self._read_timeout:
            self.transport.close()
            return
        wait = self._read_timeout if since is None else since + self._read_timeout - now
        self._watch = self.loop.call_later(wait, self._check_time)
