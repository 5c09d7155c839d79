"""An address in front of a server that can be taken away and put back, as by a restart or a broken network."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Gate:
    """Forwards TCP to a port of loopback while it is open; closed, nobody is there."""

    def __init__(self) -> None:
        self.target: int | None = None
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []
        self.open()
        self.port = self._bound().getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Be there, under the same address as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", getattr(self, "port", 0)))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Be gone, with every connection."""
        listener, self._listener = self._listener, None
        for it in [*([] if listener is None else [listener]), *self._pairs]:
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
            it.close()
        self._pairs.clear()

    def _bound(self) -> socket.socket:
        if self._listener is None:
            raise RuntimeError("the gate is closed")
        return self._listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                if self.target is None:
                    caller.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
                self._pairs += [caller, server]
                for one, other in ((caller, server), (server, caller)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for it in (source, sink):
        with contextlib.suppress(OSError):
            it.shutdown(socket.SHUT_RDWR)
        it.close()


@contextlib.contextmanager
def gate() -> Iterator[Gate]:
    """A gate that is closed at the end."""
    made = Gate()
    try:
        yield made
    finally:
        made.close()
