"""A small server that speaks the documented HTTP interfaces of Vault (KV v2, token, Kubernetes, AppRole), of Google
Cloud's Secret Manager with its two ways to a token, and of Azure Key Vault with its two; and sockets that say nothing.
"""

import base64
import json
import re
import socket
import threading
import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

POD_JWT = "pod-jwt-of-authz"
SECRET_ID = "approle-secret-id"
CLIENT_SECRET = "azure-client-secret"

Headers = Mapping[str, str]
Form = Mapping[str, list[str]]
Reply = tuple[int, dict[str, Any]]


@dataclass
class Version:
    """Of a secret; `state` is enabled, disabled or deleted."""

    value: object
    state: str = "enabled"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class StoreServer:
    """All three at one port of loopback. What a test sets, the next answer obeys."""

    def __init__(self) -> None:
        self.secrets: dict[str, list[Version]] = {}
        self.tokens = {"root-token"}
        """Who is let in at Vault, and with which bearer tokens at the clouds."""
        self.namespace: str | None = None
        self.lease_seconds = 3600
        self.is_denied = False
        self.status: int | None = None
        """Of every answer, where the whole store is in trouble."""
        self.asked: list[str] = []
        self.answering = threading.Event()
        """Cleared: whoever asks waits."""
        self.answering.set()
        self.google_key = RSAKey.generate_key(2048, {"kid": "key-1"}, private=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def put(self, name: str, value: object) -> Version:
        """A new version."""
        version = Version(value)
        self.secrets.setdefault(name, []).append(version)
        return version

    def close(self) -> None:
        """Stop listening."""
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def service_account(self) -> str:
        """The JSON key of a Google service account."""
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "authz@project.iam.gserviceaccount.com",
                "private_key_id": "key-1",
                "private_key": self.google_key.as_pem(private=True).decode(),
            }
        )

    def forget_tokens(self) -> None:
        """As if they had expired at this moment."""
        self.tokens.clear()

    def _new_token(self) -> str:
        token = f"token-{uuid.uuid4().hex}"
        self.tokens.add(token)
        return token

    def answer(self, method: str, url: str, headers: Headers, body: str) -> Reply:
        """Status and JSON."""
        parts = urlsplit(url)
        self.asked.append(f"{method} {parts.path}")
        self.answering.wait(20)
        if self.status is not None:
            return self.status, {"errors": ["Vault is sealed"]}
        if parts.path.startswith("/v1/projects/"):
            return self._google(parts.path, headers)
        if parts.path == "/token" or parts.path.startswith("/computeMetadata/"):
            return self._google_token(method, headers, parse_qs(body))
        if parts.path.startswith("/v1/"):
            return self._vault(method, parts, headers, body)
        if parts.path.endswith("/oauth2/v2.0/token") or parts.path.startswith("/metadata/"):
            return self._azure_token(method, headers, parse_qs(body or parts.query))
        return self._azure(parts, headers)

    def _vault(self, method: str, parts: SplitResult, headers: Headers, body: str) -> Reply:
        if self.namespace != headers.get("X-Vault-Namespace"):
            return 403, {"errors": ["permission denied"]}
        login = re.fullmatch(r"/v1/auth/(\w+)/login", parts.path)
        if login:
            given = json.loads(body)
            proofs = (
                {"role": "authz", "jwt": POD_JWT},
                {"role_id": "authz", "secret_id": SECRET_ID},
            )
            if method != "POST" or given not in proofs:
                return 400, {"errors": ["invalid role or secret ID"]}
            auth = {"client_token": self._new_token(), "lease_duration": self.lease_seconds}
            return 200, {"auth": {**auth, "renewable": True}}
        if headers.get("X-Vault-Token") not in self.tokens or self.is_denied:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        found = self.secrets.get(parts.path.removeprefix("/v1/secret/data/"))
        if found is None:
            return 404, {"errors": []}
        number = int(parse_qs(parts.query).get("version", [len(found)])[0])
        version = found[number - 1]
        deleted_at = "2026-01-01T00:00:00Z" if version.state == "deleted" else ""
        metadata = {"version": number, "deletion_time": deleted_at, "destroyed": False}
        if version.state != "enabled":
            return 404, {"data": {"data": None, "metadata": metadata}}
        return 200, {"data": {"data": version.value, "metadata": metadata}}

    def _google_token(self, method: str, headers: Headers, form: Form) -> Reply:
        if method == "GET" and headers.get("Metadata-Flavor") != "Google":
            return 403, {}
        if method == "POST":
            if form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
                return 400, {"error": "unsupported_grant_type"}
            try:
                claims = jwt.decode(form["assertion"][0], self.google_key, ["RS256"]).claims
            except Exception:
                return 400, {"error": "invalid_grant"}
            if claims["aud"] != f"{self.base}/token" or not claims["scope"].endswith("platform"):
                return 400, {"error": "invalid_grant"}
        token = {"access_token": self._new_token(), "expires_in": self.lease_seconds}
        return 200, {**token, "token_type": "Bearer"}

    def _google(self, path: str, headers: Headers) -> Reply:
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        if self.is_denied:
            return 403, {"error": {"code": 403, "status": "PERMISSION_DENIED"}}
        match = re.fullmatch(r"/v1/projects/project/secrets/([^/]+)/versions/(\w+):access", path)
        found = self.secrets.get(match[1]) if match else None
        if match is None or found is None:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND"}}
        number = len(found) if match[2] == "latest" else int(match[2])
        if found[number - 1].state != "enabled":
            return 400, {"error": {"code": 400, "status": "FAILED_PRECONDITION"}}
        data = base64.b64encode(str(found[number - 1].value).encode()).decode()
        name = f"projects/123/secrets/{match[1]}/versions/{number}"
        return 200, {"name": name, "payload": {"data": data, "dataCrc32c": "1"}}

    def _azure_token(self, method: str, headers: Headers, form: Form) -> Reply:
        if method == "GET":
            if headers.get("Metadata") != "true" or form["resource"] != ["https://vault.azure.net"]:
                return 400, {"error": "invalid_request"}
            # This one sends its numbers as text.
            return 200, {"access_token": self._new_token(), "expires_in": str(self.lease_seconds)}
        if form.get("client_secret") != [CLIENT_SECRET] and form.get("client_assertion") != [
            POD_JWT
        ]:
            return 401, {"error": "invalid_client"}
        if form["scope"] != ["https://vault.azure.net/.default"]:
            return 400, {"error": "invalid_scope"}
        return 200, {"access_token": self._new_token(), "expires_in": self.lease_seconds}

    def _azure(self, parts: SplitResult, headers: Headers) -> Reply:
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": {"code": "Unauthorized"}}
        if self.is_denied:
            return 403, {"error": {"code": "Forbidden"}}
        match = re.fullmatch(r"/secrets/([^/]+)(?:/([0-9a-f]{32}))?", parts.path)
        found = self.secrets.get(match[1], []) if match and parts.query else []
        wanted = [it for it in found if match and match[2] in (None, it.id)]
        if not wanted or wanted[-1].state == "deleted":
            return 404, {"error": {"code": "SecretNotFound"}}
        version = wanted[-1]
        if version.state == "disabled":
            return 403, {"error": {"code": "Forbidden", "innererror": {"code": "SecretDisabled"}}}
        id_ = f"{self.base}/secrets/{match[1] if match else ''}/{version.id}"
        return 200, {"value": str(version.value), "id": id_, "attributes": {"enabled": True}}


def _handler_of(server: StoreServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def _do(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, members = server.answer(method, self.path, dict(self.headers), body)
            sent = json.dumps(members).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the interface's
            """Nothing: tests read their own output."""

    return Handler


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Now."""
        return self.now

    def advance(self, **by: float) -> None:
        """Later, by the arguments of `timedelta`."""
        self.now += timedelta(**by)


class DripServer:
    """Begins an answer at once and never ends it: something arrives within every limit of a single reading."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._is_over = threading.Event()
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop dripping."""
        self._is_over.set()
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
            while not self._is_over.wait(0.1):
                connection.sendall(b"x")


class DeafServer:
    """Accepts connections and never says a word."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._taken: list[socket.socket] = []

    def accept(self) -> None:
        """Wait for the next connection."""
        self._taken.append(self._socket.accept()[0])

    def close(self) -> None:
        """Stop listening."""
        for it in (*self._taken, self._socket):
            it.close()


def closed_base() -> str:
    """An address at which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
