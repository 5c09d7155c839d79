"""From a host name to a connected socket: resolve once, vet every answer, dial a vetted address."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from ipaddress import ip_address
from typing import Any

import httpcore2

from authz.net.errors import NetworkError
from authz.net.guard import Profile, vet

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host as text; raises OSError when there are none."""

_ATTEMPTS = 3
_SECONDS_PER_ATTEMPT = 3.0


def resolve_by_system(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class Dialler(httpcore2.AsyncNetworkBackend):
    """Dials for one profile; without a profile it dials the operator's proxy, unvetted.

    The address that was vetted is the address that is dialled: asking the resolver twice would
    let a name change its answer in between (DNS rebinding, CIMD-14).
    """

    def __init__(
        self,
        *,
        profile: Profile | None,
        allow_loopback: bool,
        resolve: Resolve,
        threads: Executor,
    ) -> None:
        self._profile = profile
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._threads = threads

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the interface's
        local_address: str | None = None,  # noqa: ARG002 - the interface's
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first vetted address that answers."""
        addresses = await self._vetted(host.strip("[]"), port)
        failure: OSError | None = None
        for address in addresses[:_ATTEMPTS]:
            try:
                async with asyncio.timeout(_SECONDS_PER_ATTEMPT):
                    return _Stream(*await asyncio.open_connection(address, port))
            except OSError as error:
                failure = error
        raise NetworkError(f"{host} does not accept connections", reason="connect") from failure

    async def send(self, host: str, port: int, tls: ssl.SSLContext, content: bytes) -> None:
        """Send over TLS to a vetted address, and wait until the other side has closed in good order."""
        addresses = await self._vetted(host.strip("[]"), port)
        try:
            reader, writer = await asyncio.open_connection(
                addresses[0],
                port,
                ssl=tls,
                server_hostname=host.strip("[]"),
                ssl_handshake_timeout=_SECONDS_PER_ATTEMPT,
                ssl_shutdown_timeout=_SECONDS_PER_ATTEMPT,
            )
        except ConnectionError as error:
            raise NetworkError(f"{host} does not accept connections", reason="connect") from error
        try:
            writer.write(content)
            await writer.drain()
            writer.close()
            # Ends with the other side's close_notify. One that closes without has read all the same: what it had not
            # read would be answered with a reset.
            with contextlib.suppress(ssl.SSLEOFError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()
        del reader

    async def _vetted(self, host: str, port: int) -> list[str]:
        addresses = [host] if is_literal(host) else await self._resolved(host, port)
        if self._profile is None:
            return addresses
        for address in addresses:
            refuse_address(host, address, self._profile, allow_loopback=self._allow_loopback)
        return addresses

    async def _resolved(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.run_in_executor(self._threads, self._resolve, host, port)
        except (OSError, UnicodeError) as error:
            raise NetworkError(f"{host} has no address", reason="dns") from error
        if not addresses:
            raise NetworkError(f"{host} has no address", reason="dns")
        return addresses


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection that is closed at once, whenever its fetch ends.

    httpcore2's own stream stays open when a deadline cancels a TLS handshake: a host that never
    answers ours would collect our sockets.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as error:
            # httpcore2 then reads what the host said before it hung up.
            raise httpcore2.WriteError(error) from error

    async def aclose(self) -> None:
        # Not close(): that waits for the other side to agree to end TLS.
        self._writer.transport.abort()
        await asyncio.sleep(0)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the interface's
    ) -> httpcore2.AsyncNetworkStream:
        try:
            await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._writer.get_extra_info(info)


def is_literal(host: str) -> bool:
    """Whether `host`, without brackets, is an address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def refuse_address(host: str, address: str, profile: Profile, *, allow_loopback: bool) -> None:
    """Raise unless `address` may be dialled; one bad answer refuses the name."""
    why = vet(address, profile, allow_loopback=allow_loopback)
    if why is not None:
        raise NetworkError(
            f"{host} is at {address} ({why}), which may not be contacted",
            reason="address_refused",
        )
