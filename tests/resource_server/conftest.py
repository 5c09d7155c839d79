"""An authorization server on loopback that serves metadata and keys, and a forge for tokens.

One socket, many issuers: each test has its own issuer with a path, its own keys and its own counters.
"""

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import socket
import threading
import time
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import uvicorn
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from authz.resource_server import AccessToken, RemoteKeys, TokenVerifier, protect

RESOURCE = "https://mcp.example/mcp"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(value):
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


# One RSA key for all tests: making one takes longer than most of them.
rsa_key = functools.cache(lambda: RSAKey.generate_key(2048))


def new_key(kty, kid):
    key = {
        "EC": lambda: ECKey.generate_key("P-256"),
        "P-384": lambda: ECKey.generate_key("P-384"),
        "RSA": rsa_key,
        "RSA-4096": lambda: RSAKey.generate_key(4096),
        "OKP": lambda: OKPKey.generate_key("Ed25519"),
    }[kty]()
    return {**key.as_dict(private=True), "kid": kid}


def public(key):
    return {
        name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi")
    }


IMPORTS = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}


def sign(header, claims, key, algorithm):
    """A compact JWS, whatever its header says: `algorithm` is what is really done."""
    signing_input = f"{segment(header)}.{segment(claims)}"
    native = IMPORTS[key["kty"]].import_key(key)
    name = "Ed25519" if algorithm == "EdDSA" else algorithm
    return (
        f"{signing_input}.{b64(JWSRegistry.algorithms[name].sign(signing_input.encode(), native))}"
    )


class Issuer:
    """One issuer: what it publishes, and how often it was asked."""

    def __init__(self, url):
        self.url = url
        self.resource = RESOURCE
        self.key = new_key("EC", "k1")
        self.jwks = {"keys": [public(self.key)]}
        self.metadata = {"issuer": url, "jwks_uri": f"{url}/jwks"}
        self.location = 0
        self.headers = {}
        self.raw = {}
        self.fetches = Counter()
        self.feed = Feed(self)
        self._open = threading.Event()
        self._open.set()

    @contextlib.contextmanager
    def silent(self):
        """Requests are taken and counted, and answered only when the block ends."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    async def ready(self):
        """Wait, in the server's own thread, until it may answer."""
        if not self._open.is_set():
            await asyncio.to_thread(self._open.wait, 10)

    def claims(self, **changes):
        now = time.time()
        claims = {
            "iss": self.url,
            "aud": self.resource,
            "sub": "alice",
            "client_id": "cli",
            "jti": "j1",
            "iat": now,
            "exp": now + 300,
            "scope": "logs.read",
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not ...}

    def header(self, **changes):
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key["kid"], **changes}
        return {name: value for name, value in header.items() if value is not ...}

    def token(self, header=None, **claims):
        return sign(self.header(**(header or {})), self.claims(**claims), self.key, "ES256")

    def answer(self, path):
        """Status, headers, body of one GET."""
        issuer_path = urlsplit(self.url).path
        locations = [
            f"/.well-known/oauth-authorization-server{issuer_path}",
            f"/.well-known/openid-configuration{issuer_path}",
            f"{issuer_path}/.well-known/openid-configuration",
        ]
        name = "jwks" if path == f"{issuer_path}/jwks" else "metadata"
        if path == f"{issuer_path}/jwks":
            body = self.jwks
        elif path == locations[self.location]:
            body = self.metadata
        else:
            return None
        self.fetches[name] += 1
        if name in self.raw:
            return self.raw[name]
        return 200, self.headers, json.dumps(body).encode()


class Feed:
    """An issuer's revocation feed; `changes` and `header` spoil its answers, a `status` replaces them."""

    client_id, secret = "mcp server", "cls_s:cr%t"

    def __init__(self, issuer):
        self.issuer = issuer
        self.entries = []
        self.changes, self.header, self.key = {}, {}, None
        self.status = 200
        self.at_once = 1000
        self.asked = []

    def open(self):
        """Publish where it is."""
        self.issuer.metadata["revocation_feed_endpoint"] = f"{self.issuer.url}/feed"
        return self

    def add(self, **entry):
        self.entries.append({"n": len(self.entries) + 1, "exp": time.time() + 600, **entry})

    async def answer(self, scope, receive):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        fields = dict(parse_qsl(body.decode()))
        self.asked.append((dict(scope["headers"])[b"authorization"].decode(), fields))
        began = time.monotonic()
        after = int(fields.get("after", 0))
        while self.status == 200 and len(self.entries) <= after:
            if time.monotonic() - began > float(fields["wait"]):
                break
            await asyncio.sleep(0.01)
        if self.status != 200:
            return self.status, {}, b""
        told = [it for it in self.entries if it["n"] > after][: self.at_once]
        upto = told[-1]["n"] if told else max(after, len(self.entries))
        claims = {
            "iss": self.issuer.url,
            "aud": self.client_id,
            "iat": int(time.time()),
            "as_of": time.time(),
            "waited": time.monotonic() - began,
            "upto": upto,
            "has_more": upto < len(self.entries),
            "entries": told,
            **self.changes,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        header = self.issuer.header(typ="revocations+jwt", **self.header)
        token = sign(header, claims, self.key or self.issuer.key, "ES256")
        return 200, {"content-type": "application/revocations+jwt"}, token.encode()


class Holder:
    """A client that holds a key and proves it."""

    def __init__(self, kty="EC", algorithm="ES256", key=None):
        self.key = key or new_key(kty, "mine")
        self.algorithm = algorithm
        self.thumbprint = IMPORTS[self.key["kty"]].import_key(public(self.key)).thumbprint()
        self.proofs = 0

    @property
    def confirmation(self):
        return {"jkt": self.thumbprint}

    def proof(self, token, *, header=None, key=None, algorithm=None, **changes):
        """A proof for a POST to RESOURCE with `token`; `...` leaves a member out."""
        self.proofs += 1
        jwk = {name: value for name, value in public(self.key).items() if name != "kid"}
        claims = {
            "htm": "POST",
            "htu": RESOURCE,
            "iat": int(time.time()),
            "jti": f"p{self.proofs}",
            "ath": b64(hashlib.sha256(token.encode()).digest()),
            **changes,
        }
        head = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": jwk, **(header or {})}
        return sign(
            {name: value for name, value in head.items() if value is not ...},
            {name: value for name, value in claims.items() if value is not ...},
            key or self.key,
            algorithm or self.algorithm,
        )

    def headers(self, token, **changes):
        return [("authorization", f"DPoP {token}"), ("dpop", self.proof(token, **changes))]


class AuthorizationServer:
    """Many issuers behind one socket."""

    def __init__(self):
        self.base = None
        self.issuers = []

    def new_issuer(self):
        issuer = Issuer(f"{self.base}/i{len(self.issuers)}")
        self.issuers.append(issuer)
        return issuer

    async def __call__(self, scope, receive, send):
        status, headers, body = 404, {}, b"<html>not here</html>"
        for issuer in self.issuers:
            if scope["path"] == f"{urlsplit(issuer.url).path}/feed":
                status, headers, body = await issuer.feed.answer(scope, receive)
                continue
            found = issuer.answer(scope["path"])
            if found is not None:
                status, headers, body = found
                await issuer.ready()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def running(app, sock=None, **options):
    """`app` under uvicorn on a loopback port; yields the base URL."""
    sock = sock or new_socket()
    config = uvicorn.Config(
        app, log_level="critical", lifespan=options.pop("lifespan", "auto"), ws="none", **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("uvicorn did not start")
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        sock.close()


def new_socket():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.fixture(scope="session")
def authorization_server():
    server = AuthorizationServer()
    with running(server, lifespan="off") as base:
        server.base = base
        yield server


@pytest.fixture
def issuer(authorization_server):
    return authorization_server.new_issuer()


@pytest.fixture
def holder():
    return Holder()


@pytest.fixture
def make_holder():
    return Holder


@pytest.fixture
def forge():
    """`forge(header, claims, key, algorithm)`, `forge.segment`, `forge.new_key`, `forge.public`."""
    sign.segment, sign.new_key, sign.public = segment, new_key, public
    return sign


class Ticks:
    """A monotonic clock that moves by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def verifier(issuer, ticks):
    return TokenVerifier(RemoteKeys(issuer.url, ticks=ticks), resource=RESOURCE)


@pytest.fixture
def serve():
    """`serve(make_app)` runs `make_app(resource)` where `resource` is its own URL; yields that URL."""

    @contextlib.contextmanager
    def serving(make_app, path="/mcp", **options):
        sock = new_socket()
        resource = f"http://127.0.0.1:{sock.getsockname()[1]}{path}"
        with running(make_app(resource), sock, **options):
            yield resource

    return serving


@pytest.fixture
def make_token():
    """An AccessToken as the verifier would make it."""

    def make(subject="alice", client_id="cli", scopes=("logs.read",), **others):
        from datetime import UTC, datetime

        return AccessToken(
            subject=subject,
            client_id=client_id,
            scopes=frozenset(scopes),
            resource=RESOURCE,
            issuer="https://as.example",
            jti="j",
            expires_at=datetime(2040, 1, 1, tzinfo=UTC),
            **others,
        )

    return make


class Edge:
    """A protected plain ASGI app, called in memory; `seen` is what reached it."""

    def __init__(self, issuer, app=None, tools=None, resource=RESOURCE, **options):
        self.issuer = issuer
        self.seen = []
        self.reply = (200, [(b"content-type", b"application/json")], [b"{}"])
        tools = tools or {"read_logs": "logs.read", "purge_logs": {"logs.read", "logs.write"}}
        self.app = protect(
            app or self.inner, issuer=issuer.url, resource=resource, tools=tools, **options
        )

    async def inner(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append((scope, body))
        status, headers, chunks = self.reply
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for i, chunk in enumerate(chunks):
            await send(
                {"type": "http.response.body", "body": chunk, "more_body": i + 1 < len(chunks)}
            )

    async def request(self, method, path="/mcp", *, token=None, headers=(), **options):
        sent = list(headers)
        if token is not None:
            sent.append(("authorization", f"Bearer {token}"))
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(
            transport=transport, base_url="https://mcp.example"
        ) as client:
            return await client.request(method, path, headers=sent, **options)

    async def post(self, message, *, token=None, headers=()):
        token = self.issuer.token() if token is None else token
        return await self.request("POST", token=token, headers=headers, json=message)


@pytest.fixture
def edge(issuer):
    return Edge(issuer)


@pytest.fixture
def make_edge(issuer):
    def make(**options):
        return Edge(issuer, **options)

    return make
