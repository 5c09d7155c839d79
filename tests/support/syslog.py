"""A syslog server: RFC 5425 over TLS on loopback, which reads frames and closes in good order, or hangs up."""

import contextlib
import re
import socket
import ssl
import struct
import tempfile
import threading
from pathlib import Path

import trustme

HOST = "syslog.example"
_FRAME = re.compile(rb"([1-9][0-9]*) ")


class SyslogServer:
    """`messages` are those of connections that ended well."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = Path(self._folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(self._tls)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.messages: list[str] = []
        self.hangs_up = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(10)
            with contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        with self._tls.wrap_socket(connection, server_side=True) as tls:
            if self.hangs_up:
                tls.recv(1)
                # A reset, as of a process that died with something unread.
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            content = b""
            while part := tls.recv(65536):
                content += part
            self.messages += _messages(content)
            with contextlib.suppress(OSError):
                tls.unwrap()

    def close(self) -> None:
        """No more connections."""
        self._listener.close()
        self._folder.cleanup()


def _messages(content: bytes) -> list[str]:
    found, place = [], 0
    while place < len(content):
        frame = _FRAME.match(content, place)
        assert frame is not None, content[place : place + 40]
        end = frame.end() + int(frame[1])
        assert end <= len(content)
        found.append(content[frame.end() : end].decode())
        place = end
    return found
