"""One request to one host, bounded in every direction."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore2

from authz.errors import ConfigurationError
from authz.net.dial import Dialler, Resolve, is_literal, refuse_address, resolve_by_system
from authz.net.errors import NetworkError
from authz.net.guard import Profile
from authz.net.lanes import Lane
from authz.telemetry import tracing
from authz.telemetry.metrics import FETCH_SECONDS, FETCHES
from authz.transactions import forbid_inside_transaction, mark_done
from authz.urls import LOOPBACK_HOSTS, Parts, UrlError, read_url

DEADLINE = timedelta(seconds=5)
_MAX_HEADER_BYTES = 16 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True)
class NetworkConfig:
    """What an operator may set.

    `allow_loopback` and `ca_file` (trusted beside the system's authorities) are development's.
    With a `proxy` (http or https URL) names are resolved by the proxy, so its egress policy takes
    over the vetting of addresses; addresses written in URLs are still vetted here.
    """

    allow_loopback: bool = False
    ca_file: Path | None = None
    proxy: str | None = None
    proxy_password: Callable[[], str] | None = None
    """Instead of one in the URL; asked for at every request, on the event loop, and never waits."""
    fetches_at_once: int = 32
    fetches_at_once_per_host: int = 4
    public_fetches_per_host_per_minute: int | None = 60

    def __post_init__(self) -> None:
        # Not quoted: it may hold the proxy's password.
        if self.proxy is not None and urlsplit(self.proxy).scheme not in {"http", "https"}:
            raise ConfigurationError("the egress proxy is not an http or https URL; write one")


@dataclass(frozen=True)
class Fetched:
    """An answer of any status; header names are in lower case, repeated headers joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Network:
    """The door; one per process, used on one event loop."""

    def __init__(self, config: NetworkConfig, *, resolve: Resolve = resolve_by_system) -> None:
        self.config = config
        self._resolve = resolve
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls = ssl.create_default_context()
        if config.ca_file is not None:
            self._tls.load_verify_locations(config.ca_file)
        at_once, per_host = config.fetches_at_once, config.fetches_at_once_per_host
        budget = config.public_fetches_per_host_per_minute
        self._lanes = {
            Profile.PUBLIC: Lane(at_once=at_once, at_once_per_host=per_host, per_minute=budget),
            # Every login asks the operator's identity provider: no budget, and a whole lane.
            Profile.OPERATOR: Lane(at_once=at_once, at_once_per_host=at_once, per_minute=None),
            Profile.CONFIGURED: Lane(at_once=at_once, at_once_per_host=at_once, per_minute=None),
        }

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which `run_blocking` runs from now on."""
        self._loop = loop

    def close(self) -> None:
        """Let go of the resolver threads."""
        for lane in self._lanes.values():
            lane.threads.shutdown(wait=False, cancel_futures=True)

    def run_blocking(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a fetch or a load from a thread; without a started loop (the CLI) on one of its own.

        For code outside the event loop: `network.run_blocking(documents.load(...))`.
        """
        mark_done()
        if self._loop is None:
            return asyncio.run(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def fetch(
        self,
        url: str,
        *,
        profile: Profile,
        max_bytes: int,
        accept: str = "application/json",
        timeout: timedelta = DEADLINE,  # noqa: ASYNC109 - the deadline of all steps together
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Fetched:
        """Make one request and return its answer whatever the status; 3xx is not followed.

        Raises NetworkError. Waiting, resolving, connecting and reading share one deadline; more
        than `max_bytes` of body is an error while reading, not after (CIMD-17).
        """
        forbid_inside_transaction("a network request")
        parts = self._checked(url, profile)
        sent = {
            "Host": _authority(parts),
            "Accept": accept,
            # A decompressor would turn a small answer into a large one.
            "Accept-Encoding": "identity",
            "User-Agent": "mcp-authz",
            "Connection": "close",
            **(headers or {}),
        }
        query = "" if parts.query is None else f"?{parts.query}"
        target = httpcore2.URL(
            scheme=parts.scheme,
            host=parts.host.lower(),
            port=parts.port,
            target=f"{parts.path or '/'}{query}",
        )
        lane = self._lanes[profile]
        with _observed(parts.host, profile), _explained(parts.host):
            async with (
                asyncio.timeout(timeout.total_seconds()),
                lane.slot(parts.host.lower()),
                self._pool(profile, lane) as pool,
                pool.stream(
                    method,
                    target,
                    headers=list(sent.items()),
                    content=content,
                    extensions={"sni_hostname": parts.host.lower().strip("[]")},
                ) as response,
            ):
                received = _headers(parts.host, response)
                body = await _body(parts.host, response, max_bytes)
        return Fetched(response.status, received, body)

    async def send(
        self,
        host: str,
        port: int,
        content: bytes,
        *,
        ca_file: Path | None = None,
        timeout: timedelta = DEADLINE,  # noqa: ASYNC109 - the deadline of all steps together
    ) -> None:
        """Send to an operator's host over TLS, and return once the other side has read all of it and closed.

        `ca_file` has the authorities that are believed for this host, instead of the system's. Never through the
        proxy, which speaks HTTP. Raises NetworkError.
        """
        forbid_inside_transaction("a network request")
        lane = self._lanes[Profile.OPERATOR]
        dialler = Dialler(
            profile=Profile.OPERATOR,
            allow_loopback=self.config.allow_loopback,
            resolve=self._resolve,
            threads=lane.threads,
        )
        with _explained(host):
            try:
                tls = self._tls if ca_file is None else ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                raise NetworkError(f"{ca_file} has no certificates", reason="tls") from error
            async with asyncio.timeout(timeout.total_seconds()), lane.slot(host):
                await dialler.send(host, port, tls, content)

    def _checked(self, url: str, profile: Profile) -> Parts:
        """Judge the URL before anything is resolved."""
        try:
            parts = read_url("URL", url)
        except UrlError as error:
            raise NetworkError(str(error), reason="bad_url") from error
        neighbour = self.config.allow_loopback and parts.host in LOOPBACK_HOSTS
        may_be_http = neighbour or profile is Profile.CONFIGURED
        if parts.scheme != "https" and not (parts.scheme == "http" and may_be_http):
            raise NetworkError(f"{parts.host} is not asked over https", reason="not_https")
        port = parts.port or 443
        # Ports below belong to other protocols; no web server of a stranger lives there.
        if profile is Profile.PUBLIC and port != 443 and port < 1024 and not neighbour:
            raise NetworkError(
                f"{parts.host} is asked on port {port}, not 443 or above 1023",
                reason="port_refused",
            )
        literal = parts.host.strip("[]")
        if is_literal(literal):
            refuse_address(parts.host, literal, profile, allow_loopback=self.config.allow_loopback)
        return parts

    def _pool(self, profile: Profile, lane: Lane) -> httpcore2.AsyncConnectionPool:
        proxy = None if profile is Profile.CONFIGURED else self.config.proxy
        dialler = Dialler(
            profile=profile if proxy is None else None,
            allow_loopback=self.config.allow_loopback,
            resolve=self._resolve,
            threads=lane.threads,
        )
        if proxy is None:
            return httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=dialler)
        through = urlsplit(proxy)
        return httpcore2.AsyncHTTPProxy(
            f"{through.scheme}://{through.netloc.rpartition('@')[2]}",
            proxy_auth=(unquote(through.username), self._proxy_word(through))
            if through.username
            else None,
            ssl_context=self._tls,
            proxy_ssl_context=self._tls if through.scheme == "https" else None,
            network_backend=dialler,
        )

    def _proxy_word(self, through: SplitResult) -> str:
        if self.config.proxy_password is None:
            return unquote(through.password or "")
        try:
            return self.config.proxy_password()
        except (ConfigurationError, UnicodeDecodeError):
            # Required at the start; later it is an outage like one of the proxy: somebody is writing it anew.
            # Not chained: a text that cannot be decoded is quoted by its error.
            raise NetworkError(
                "the password of the egress proxy cannot be read", reason="proxy_password"
            ) from None


def _authority(parts: Parts) -> str:
    return parts.host.lower() if parts.port is None else f"{parts.host.lower()}:{parts.port}"


def _headers(host: str, response: httpcore2.Response) -> dict[str, str]:
    if sum(len(name) + len(value) for name, value in response.headers) > _MAX_HEADER_BYTES:
        raise NetworkError(f"{host} sent too many headers", reason="headers_too_large")
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise NetworkError(f"{host} compressed its answer unasked", reason="encoded")
    return headers


async def _body(host: str, response: httpcore2.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        if len(body) + len(chunk) > max_bytes:
            raise NetworkError(f"{host} sent more than {max_bytes} bytes", reason="too_large")
        body += chunk
    return bytes(body)


@contextmanager
def _observed(host: str, profile: Profile) -> Iterator[None]:
    """Count, time and trace it. The path may hold anything, so it is told to nobody."""
    began, outcome = perf_counter(), "failed"
    try:
        with tracing.span(
            "fetch", side="client", server__address=host, authz__profile=profile.value
        ) as span:
            try:
                yield
            except NetworkError as error:
                outcome = error.reason
                span.set(authz__reason=outcome)
                raise
        outcome = "answered"
    finally:
        FETCHES.labels(profile.value, outcome).inc()
        FETCH_SECONDS.labels(profile.value).observe(perf_counter() - began)


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """Turn every failure of the transport into a NetworkError that names the host."""
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException) as error:
        raise NetworkError(f"{host} did not answer in time", reason="timeout") from error
    except httpcore2.ProxyError as error:
        raise NetworkError(f"the proxy refused to reach {host}", reason="proxy") from error
    except httpcore2.ProtocolError as error:
        raise NetworkError(f"{host} does not speak HTTP properly", reason="protocol") from error
    except (httpcore2.NetworkError, OSError) as error:
        if isinstance(error, ssl.SSLError) or any(isinstance(e, ssl.SSLError) for e in error.args):
            raise NetworkError(f"{host} failed the TLS handshake", reason="tls") from error
        raise NetworkError(f"the connection to {host} broke", reason="connect") from error
