"""The lab as a whole: its identity provider and its MCP server, up for a block, and a bench to work at."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from authz.clock import Clock, system_clock
from authz.errors import ConfigurationError
from authz.lab.applications import MCP_PATH, OTHER_PATH, IdpApplication, McpApplication
from authz.lab.bench import Bench, Sleep, is_local
from authz.lab.identity_provider import IdentityProvider
from authz.lab.serving import Listener, listening, local_url, serving
from authz.lab.target import Target
from authz.net import Network, NetworkConfig, NetworkError, Profile

PORT = 9410
"""Of the identity provider, and the next one of the MCP server: the server under test keeps what it was told."""
_MAX_JWKS_BYTES = 64 * 1024


@dataclass(frozen=True)
class Laboratory:
    """The identity provider, and where the MCP servers are."""

    idp: IdentityProvider
    mcp_url: str

    @classmethod
    def open(cls, folder: Path, port: int, public_url: str | None = None) -> "Laboratory":
        """The lab of a folder. `public_url` is what the server under test calls its identity provider.

        Raises ConfigurationError.
        """
        return cls.at(folder, local_url(port), local_url(port + 1), public_url)

    @classmethod
    def at(
        cls, folder: Path, idp_url: str, mcp_url: str, public_url: str | None = None
    ) -> "Laboratory":
        """The same at other addresses."""
        idp = IdentityProvider.open(folder, public_url or idp_url, local_url=idp_url)
        return cls(idp, mcp_url)

    @property
    def resource(self) -> str:
        """The identifier of the sample MCP server."""
        return f"{self.mcp_url}{MCP_PATH}"

    @property
    def other_resource(self) -> str:
        """Of a second one."""
        return f"{self.mcp_url}{OTHER_PATH}"

    @asynccontextmanager
    async def on(
        self, idp: Listener, mcp: Listener, issuer: str, *, clock: Clock = system_clock
    ) -> AsyncIterator[None]:
        """Both answer on these ports; the MCP servers take tokens of `issuer`."""
        servers = McpApplication(issuer, self.mcp_url, clock)
        async with serving(IdpApplication(self.idp), idp), serving(servers, mcp):
            yield

    @asynccontextmanager
    async def up(self, home: Network, port: int, issuer: str) -> AsyncIterator[None]:
        """Both answer, in another process that is up already, or here. Raises ConfigurationError."""
        if await self._is_up(home):
            yield
            return
        with listening(port) as idp, listening(port + 1) as mcp:
            async with self.on(idp, mcp, issuer):
                yield

    async def _is_up(self, home: Network) -> bool:
        try:
            found = await home.fetch(
                f"{self.idp.local_url}/jwks", profile=Profile.OPERATOR, max_bytes=_MAX_JWKS_BYTES
            )
        except NetworkError:
            return False
        if found.body != self.idp.read_published():
            raise ConfigurationError(
                f"at {self.idp.local_url} answers something else than this lab; --port chooses "
                "another port, --folder its folder"
            )
        return True


@contextmanager
def way_home() -> Iterator[Network]:
    """To the lab's own servers."""
    network = Network(NetworkConfig(allow_loopback=True))
    try:
        yield network
    finally:
        network.close()


@contextmanager
def bench_at(
    target: Target,
    idp: IdentityProvider,
    home: Network,
    *,
    ca_file: Path | None = None,
    proxy: str | None = None,
    clock: Clock = system_clock,
    sleep: Sleep = asyncio.sleep,
    patience: timedelta = timedelta(0),
) -> Iterator[Bench]:
    """A bench in front of a server."""
    # What a server on the internet says never leads to the services of this machine.
    config = NetworkConfig(allow_loopback=is_local(target.issuer), ca_file=ca_file, proxy=proxy)
    away = Network(config)
    try:
        yield Bench(target, idp, away, home, clock, sleep, patience)
    finally:
        away.close()
