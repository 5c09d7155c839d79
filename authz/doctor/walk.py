"""Asking what clients ask, in their order: the server, its metadata, its authorization servers. Judges nothing.

The one token that is sent was issued by nobody, nobody is registered, and the one form that is posted names a client
that cannot exist. Only what a web page would ask has an `Origin`: servers may refuse that, and other clients send none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode, urlsplit

from authz.doctor.challenge import bearer_parameters
from authz.net import Network, NetworkError, Profile
from authz.net.strict_json import NotStrict, read_object
from authz.resource_server.urls import issuer_metadata_urls, origin, resource_metadata_path
from authz.urls import UrlError, read_url

PROTOCOL_VERSION = "2025-11-25"
ORIGIN = "https://inspector.example"
"""Of a web page somewhere else."""
UNSIGNED = (
    "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJpc3MiOiJodHRwczovL25vYm9keS5leGFtcGxlIiwiYXVkIjoi"
    "aHR0cHM6Ly9vdGhlci5leGFtcGxlIn0."
)
"""A token by https://nobody.example for https://other.example with the algorithm `none`."""
NOBODY = "authz-doctor-asks-what-an-unknown-client-is-told"
MAX_SERVERS = 4
_MAX_BYTES = 256 * 1024
_JSON = "application/json"
_FROM_PAGE = {"Origin": ORIGIN}
_VERSION = {"MCP-Protocol-Version": PROTOCOL_VERSION}
_DISCOVERING = {**_VERSION, **_FROM_PAGE}
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "authz-doctor", "version": "1"},
    },
}


@dataclass(frozen=True)
class Answer:
    """What one request got. `status` is None when nothing came back, `document` when it was no JSON object."""

    method: str
    url: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    problem: str | None = None

    @property
    def is_document(self) -> bool:
        """What a client would read."""
        return self.status == 200 and self.document is not None

    @property
    def is_redirect(self) -> bool:
        """It points somewhere else."""
        return self.status in {301, 302, 303, 307, 308}

    def shares_with_pages(self) -> bool:
        """Whether a web page of another origin may read it."""
        return self.headers.get("access-control-allow-origin") in {"*", ORIGIN}

    def told(self) -> str:
        """What happened, as the end of a sentence."""
        if self.status == 200 and self.document is None:
            return f"answered 200 with a body that {self.problem}"
        return self.told_status()

    def told_status(self) -> str:
        """The same, where a body says nothing."""
        if self.status is None:
            return f"could not be read ({self.problem})"
        return f"answered {self.status}"


@dataclass(frozen=True)
class ServerWalk:
    """One authorization server, under the name that the MCP server gives it."""

    issuer: str
    places: tuple[Answer, ...]
    """Its metadata, at each address clients try, in their order."""
    misplaced: Answer | None = None
    """The same, appended to an issuer with a path: where no client looks."""
    keys: Answer | None = None
    token: Answer | None = None
    token_from_page: Answer | None = None
    preflight: Answer | None = None
    assumed: bool = False
    """The MCP server named none, so that clients try its own origin."""

    @cached_property
    def taken(self) -> Answer | None:
        """The first document that clients come to."""
        return next((place for place in self.places if place.is_document), None)

    @property
    def document(self) -> Mapping[str, Any]:
        """What it says."""
        return {} if self.taken is None else (self.taken.document or {})


@dataclass(frozen=True)
class Walk:
    """Everything that was asked and answered."""

    url: str
    unauthenticated: Answer
    with_bad_token: Answer | None = None
    from_page: Answer | None = None
    preflight: Answer | None = None
    metadata: tuple[Answer, ...] = ()
    """The protected resource metadata, at each address clients try, in their order."""
    servers: tuple[ServerWalk, ...] = ()

    @cached_property
    def challenge(self) -> Mapping[str, str] | None:
        """The parameters of the Bearer challenge."""
        return bearer_parameters(self.unauthenticated.headers.get("www-authenticate"))

    @cached_property
    def taken(self) -> Answer | None:
        """The first metadata that clients come to."""
        return next((place for place in self.metadata if place.is_document), None)

    @property
    def resource(self) -> Mapping[str, Any]:
        """What it says."""
        return {} if self.taken is None else (self.taken.document or {})

    @property
    def named_servers(self) -> tuple[str, ...]:
        """The strings in `authorization_servers`."""
        listed = self.resource.get("authorization_servers")
        return tuple(s for s in listed if isinstance(s, str)) if isinstance(listed, list) else ()

    @property
    def server(self) -> ServerWalk | None:
        """The first authorization server that has metadata, else the first."""
        described = (server for server in self.servers if server.taken is not None)
        return next(described, self.servers[0] if self.servers else None)

    @property
    def asked(self) -> tuple[Answer, ...]:
        """Every request, in order."""
        found = [self.unauthenticated, self.with_bad_token, self.from_page, self.preflight]
        found += self.metadata
        for server in self.servers:
            found += [*server.places, server.misplaced, server.preflight, server.keys]
            found += [server.token, server.token_from_page]
        return tuple(answer for answer in found if answer is not None)


async def walk(network: Network, url: str) -> Walk:
    """Ask everything. Raises UrlError when `url` is none; other failures are answers."""
    read_url("MCP server", url)
    ask = _Asking(network)
    unauthenticated = await _initialize(ask, url)
    if unauthenticated.status is None:
        return Walk(url, unauthenticated)
    begun = Walk(
        url,
        unauthenticated,
        with_bad_token=await _initialize(ask, url, Authorization=f"Bearer {UNSIGNED}"),
        from_page=await _initialize(ask, url, **_FROM_PAGE),
        preflight=await ask.preflight(
            url, "POST", "authorization,content-type,mcp-protocol-version"
        ),
    )
    metadata = await _each(_metadata_places(begun), lambda place: ask("GET", place, _DISCOVERING))
    found = replace(begun, metadata=metadata)
    named = found.named_servers[:MAX_SERVERS]
    # Clients of 2025-03-26, and the Python SDK without metadata, take the server for its own issuer.
    issuers = named or (origin(urlsplit(url)),)
    servers = await _each(issuers, lambda issuer: _server(ask, issuer, assumed=not named))
    return replace(found, servers=servers)


async def _initialize(ask: "_Asking", url: str, **headers: str) -> Answer:
    """The first thing every client sends."""
    usual = {"Accept": f"{_JSON}, text/event-stream", "Content-Type": _JSON, **_VERSION}
    return await ask("POST", url, {**usual, **headers}, json.dumps(_INITIALIZE).encode())


class _Asking:
    """One request at a time becomes one `Answer`."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        length = {} if content is None else {"Content-Length": str(len(content))}
        try:
            fetched = await self._network.fetch(
                url,
                profile=Profile.OPERATOR,
                max_bytes=_MAX_BYTES,
                method=method,
                headers={**headers, **length},
                content=content,
            )
        except NetworkError as error:
            return Answer(method, url, problem=error.reason)
        try:
            document, problem = read_object(fetched.body), None
        except NotStrict as error:
            document, problem = None, str(error)
        return Answer(method, url, fetched.status, fetched.headers, document, problem)

    async def preflight(self, url: str, method: str, headers: str) -> Answer:
        """What a browser asks first."""
        wanted = {
            **_FROM_PAGE,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        }
        return await self("OPTIONS", url, wanted)


def _metadata_places(begun: Walk) -> tuple[str, ...]:
    """The challenge's address, then the path-inserted one, then the root (MCP-RS-02)."""
    named = (begun.challenge or {}).get("resource_metadata")
    base = origin(urlsplit(begun.url))
    root = f"{base}{resource_metadata_path(base)}"
    places = [f"{base}{resource_metadata_path(begun.url)}", root]
    return tuple(dict.fromkeys([named, *places] if named else places))


async def _server(ask: _Asking, issuer: str, *, assumed: bool) -> ServerWalk:
    try:
        parts = read_url("issuer", issuer)
    except UrlError:
        return ServerWalk(issuer, (Answer("GET", issuer, problem="bad_url"),))
    places = await _each(
        issuer_metadata_urls(issuer), lambda place: ask("GET", place, _DISCOVERING)
    )
    begun = ServerWalk(issuer, places, assumed=assumed)
    if begun.taken is None:
        appended = f"{issuer.rstrip('/')}/.well-known/oauth-authorization-server"
        has_path = parts.path.strip("/")
        misplaced = await ask("GET", appended, _DISCOVERING) if has_path else None
        return ServerWalk(issuer, places, misplaced=misplaced, assumed=assumed)
    keys, token = _url(begun, "jwks_uri"), _url(begun, "token_endpoint")
    return ServerWalk(
        issuer,
        places,
        preflight=await ask.preflight(begun.taken.url, "GET", "mcp-protocol-version"),
        keys=await ask("GET", keys, {}) if keys else None,
        token=await _ask_token(ask, token) if token else None,
        token_from_page=await _ask_token(ask, token, **_FROM_PAGE) if token else None,
        assumed=assumed,
    )


def _url(server: ServerWalk, member: str) -> str | None:
    """The URL of an endpoint; None when it names none."""
    value = server.document.get(member)
    try:
        return value if isinstance(value, str) and read_url("endpoint", value) else None
    except UrlError:
        return None


async def _ask_token(ask: _Asking, url: str, **headers: str) -> Answer:
    """What a client is told that the server has forgotten."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": NOBODY,
        "client_id": NOBODY,
    }
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": _JSON}
    return await ask("POST", url, {**kind, **headers}, urlencode(form).encode())


async def _each(items: tuple[str, ...], work: Callable[[str], Awaitable[Any]]) -> tuple[Any, ...]:
    return tuple(await asyncio.gather(*(work(item) for item in items)))
