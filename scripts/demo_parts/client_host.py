"""The client's own web host: its Client ID Metadata Document and its logo, over real TLS on loopback."""

import http.server
import json
import ssl
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENT_PATH = "/client.json"
LOGO_PATH = "/logo.png"
# Without a port: native clients learn theirs when they start (RFC 8252 section 7.3).
REDIRECT = "http://127.0.0.1/callback"


@dataclass
class ClientHost:
    """Where it is, and what was asked of it."""

    origin: str
    requests: list[str] = field(default_factory=list)

    @property
    def client_id(self) -> str:
        """The URL that is the client's identifier."""
        return self.origin + DOCUMENT_PATH

    @property
    def document(self) -> dict[str, object]:
        """What the client says of itself (CIMD section 4)."""
        return {
            "client_id": self.client_id,
            "client_name": "Terminal agent",
            "client_uri": f"{self.origin}/",
            "logo_uri": self.origin + LOGO_PATH,
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }


@contextmanager
def client_host(folder: Path, port: int) -> Iterator[ClientHost]:
    """Serve it with the certificate in `folder` until the block ends; port 0 takes a free one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            host.requests.append(self.path)
            bodies = {
                DOCUMENT_PATH: ("application/json", json.dumps(host.document).encode()),
                LOGO_PATH: ("image/png", logo()),
            }
            kind, body = bodies.get(self.path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
            """Say nothing."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "localhost.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        # The handshake happens in the thread of each connection, not in the one that accepts.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        host = ClientHost(f"https://localhost:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


def logo() -> bytes:
    """A PNG: a prompt sign, light on dark."""
    size = 48

    def pixel(x: int, y: int) -> bytes:
        chevron = 14 <= y <= 34 and abs(x - 22 + abs(y - 24)) <= 2
        underline = 32 <= y <= 35 and 25 <= x <= 36
        return b"\xf4\xf1\xe8" if chevron or underline else b"\x1d\x3b\x4f"

    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(size)) for y in range(size))
    header = struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
