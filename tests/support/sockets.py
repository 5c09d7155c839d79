"""Bytes to a server and back, for what no HTTP client would send. Every wait is bounded."""

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator

_PATIENCE = 10.0


class Wire:
    """One TCP connection to loopback."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._until = time.monotonic() + _PATIENCE

    def send(self, data: bytes) -> bool:
        """Whether the other side still takes it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def drip(self, pieces: Iterable[bytes], pause: float) -> int:
        """Send piece by piece until the other side hangs up; answers how many it took."""
        taken = 0
        for piece in pieces:
            if self.is_closed(pause) or not self.send(piece) or time.monotonic() > self._until:
                break
            taken += 1
        return taken

    def is_closed(self, within: float) -> bool:
        """Whether the other side hangs up within that many seconds; reads nothing away."""
        self._socket.settimeout(within)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self._socket.settimeout(_PATIENCE)

    def read(self) -> bytes:
        """Everything until the other side hangs up."""
        received = bytearray()
        with contextlib.suppress(OSError):
            while time.monotonic() < self._until and (data := self._socket.recv(65536)):
                received += data
        return bytes(received)

    def read_head(self) -> bytes:
        """The head of the next answer."""
        received = bytearray()
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in received and (data := self._socket.recv(65536)):
                received += data
        return bytes(received)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@contextlib.contextmanager
def wire(port: int) -> Iterator[Wire]:
    """A connection that is closed at the end."""
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()
