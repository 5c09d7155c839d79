"""The authorization server's keys: found by its metadata, cached, renewed.

One flight at a time, at most one attempt per cool-down, never a key older than its max-age. Requests
whose key is known do not wait for the network.
"""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from authz.resource_server import strict_json
from authz.resource_server.errors import InvalidToken, KeysUnavailable
from authz.resource_server.jwks import VerificationKey, read_keys
from authz.resource_server.urls import (
    is_secure,
    issuer_metadata_urls,
    origin,
    require_identifier,
)

MIN_AGE = 60.0
MAX_AGE = 3600.0
DEFAULT_AGE = 300.0
COOL_DOWN = 10.0
MAX_DOCUMENT_BYTES = 256 * 1024
DEADLINE = 10.0

_MAX_AGE_DIRECTIVE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)", re.IGNORECASE)

# Standard logging: this package stands in a stranger's process and adds no dependency to it.
log = logging.getLogger(__name__)  # noqa: TID251 - structlog belongs to the server, not to this layer


@dataclass(frozen=True)
class _KeySet:
    keys: Mapping[str, VerificationKey]
    renew_at: float
    dead_at: float


@dataclass(frozen=True)
class _Document:
    members: Mapping[str, Any]
    max_age: float


class RemoteKeys:
    """Verification keys of one issuer, by `kid`.

    `ticks` is a monotonic clock in seconds.
    """

    def __init__(self, issuer: str, *, ticks: Callable[[], float] = time.monotonic) -> None:
        require_identifier(issuer, "issuer")
        self.issuer = issuer
        self._ticks = ticks
        self._current: _KeySet | None = None
        self._next_attempt = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def load(self, key_id: str) -> VerificationKey:
        """Return the key named `key_id`.

        Raises InvalidToken(reason="kid_unknown"), or KeysUnavailable if no fresh key set can be had.
        """
        key = self._find(key_id)
        if key is None:
            flight = self._renew()
            if flight is not None:
                # Shielded: one impatient client must not end the fetch that others wait for.
                await asyncio.shield(flight)
            key = self._find(key_id)
        elif self._current is not None and self._ticks() >= self._current.renew_at:
            self._renew()
        if key is not None:
            return key
        if self._fresh() is None:
            raise KeysUnavailable("keys_unavailable")
        raise InvalidToken("kid_unknown")

    def _fresh(self) -> _KeySet | None:
        if self._current is None or self._ticks() >= self._current.dead_at:
            return None
        return self._current

    def _find(self, key_id: str) -> VerificationKey | None:
        fresh = self._fresh()
        return None if fresh is None else fresh.keys.get(key_id)

    def _renew(self) -> asyncio.Task[None] | None:
        """The flight under way, or a new one unless the last attempt is too young."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        # Tokens with invented kids would otherwise make this server flood the AS.
        if self._ticks() < self._next_attempt:
            return None
        self._next_attempt = self._ticks() + COOL_DOWN
        self._flight = asyncio.get_running_loop().create_task(self._fetch())
        return self._flight

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                keys, max_age = await fetch_keys(self.issuer)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            log.warning("keys of %s could not be read: %s", self.issuer, error)
            return
        now = self._ticks()
        self._current = _KeySet(keys=keys, renew_at=now + max_age / 2, dead_at=now + max_age)


async def fetch_keys(issuer: str) -> tuple[dict[str, VerificationKey], float]:
    """Read the metadata of `issuer` and the key set it names; return the keys and their max-age.

    Raises ValueError or httpx2.HTTPError when either cannot be trusted or had.
    """
    async with httpx2.AsyncClient(
        follow_redirects=False, timeout=DEADLINE / 2, verify=await trust(issuer)
    ) as client:
        jwks_uri = require_endpoint(await find_metadata(client, issuer), "jwks_uri", issuer)
        document = await _get(client, jwks_uri)
        return read_keys(document.members), document.max_age


async def trust(issuer: str) -> ssl.SSLContext:
    """Whose certificates are believed on the issuer's origin."""
    # Reading the certificate store takes some 60 ms, in which the server would serve nobody.
    if urlsplit(issuer).scheme == "https":
        return await asyncio.to_thread(httpx2.create_ssl_context)
    # All comes from the issuer's own origin: without TLS nothing needs trust, and this trusts nothing.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def find_metadata(client: httpx2.AsyncClient, issuer: str) -> Mapping[str, Any]:
    """The issuer's metadata, from the first place that has it; raises ValueError or httpx2.HTTPError."""
    failure: Exception = ValueError("no metadata")
    for url in issuer_metadata_urls(issuer):
        try:
            metadata = (await _get(client, url)).members
        except (httpx2.HTTPError, ValueError) as error:
            failure = error
            continue
        # Compared as strings: a document that claims another issuer is not this one's (RFC 8414 section 3.3).
        if metadata.get("issuer") != issuer:
            failure = ValueError("the metadata names another issuer")
            continue
        return metadata
    raise failure


def require_endpoint(metadata: Mapping[str, Any], name: str, issuer: str) -> str:
    """The URL that the metadata gives for `name`; raises ValueError."""
    value = metadata.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the metadata has no {name}")  # noqa: TRY004 - a bad document, not a bad call
    parts = urlsplit(value)
    # Keys and revocations are as authoritative as the issuer itself, so they come from its own origin.
    if not is_secure(parts) or origin(parts) != origin(urlsplit(issuer)):
        raise ValueError(f"{name} is not on the issuer's origin")
    return value


async def _get(client: httpx2.AsyncClient, url: str) -> _Document:
    # Uncompressed, so that the cap counts what is parsed.
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code != 200:
            raise ValueError(f"{url} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ValueError(f"{url} answered compressed")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"{url} is too large")
    members = strict_json.loads(bytes(body))
    if not isinstance(members, dict):
        raise ValueError(f"{url} is not a JSON object")  # noqa: TRY004 - a bad document, not a bad call
    return _Document(members=members, max_age=_max_age(response.headers.get("cache-control", "")))


def _max_age(cache_control: str) -> float:
    found = _MAX_AGE_DIRECTIVE.search(cache_control)
    return min(max(float(found.group(1)) if found else DEFAULT_AGE, MIN_AGE), MAX_AGE)
