"""An MCP client as people build it: the official SDK, its OAuth provider, a callback on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from scripts.demo_parts.browser import Browser, Page

Trace = Callable[[httpx2.Response], Awaitable[None]]
Before = Callable[[httpx2.Request], Awaitable[None]]
Decide = Callable[[Page], Sequence[str]]
_DONE = b"You can close this window."


@dataclass
class Memory:
    """The SDK's token storage, kept in memory."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    stored: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.stored.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Who sits in front of the browser, and what they tick on the consent page (all of it unless said)."""

    login: str
    password: str
    chooses: Decide = field(default=lambda page: page.offered)
    pages: list[Page] = field(default_factory=list)
    """What they were shown."""

    def visit(self, browser: Browser, url: str) -> Page:
        """Sign in, confirm the code of a device and consent as asked; answers the page where it ended."""
        page = browser.open(url)
        self.pages.append(page)
        if page.asks_for_password:
            page = browser.sign_in(page, self.login, self.password)
            self.pages.append(page)
        if page.asks_for_code:
            page = browser.confirm_code(page)
            self.pages.append(page)
        if page.asks_for_consent:
            page = browser.decide(page, "allow", ticked=self.chooses(page))
        return page


@dataclass
class Connection:
    """A connected client and what stands behind it."""

    client: Client
    provider: OAuthClientProvider
    memory: Memory
    person: Person

    @property
    def access_token(self) -> str:
        """The token in use."""
        assert self.memory.tokens is not None
        return self.memory.tokens.access_token

    def expire(self) -> None:
        """Let the SDK believe that its access token has run out, so that its next request refreshes."""
        self.provider.context.token_expiry_time = 1.0

    async def tools(self) -> list[str]:
        """The names of the tools that can be seen."""
        listed = await self.client.list_tools(cache_mode="refresh")
        return sorted(tool.name for tool in listed.tools)

    async def call(self, tool: str, **arguments: str) -> str:
        """Call a tool; raises MCPError when it is refused."""
        result = await self.client.call_tool(tool, dict(arguments))
        return " ".join(getattr(part, "text", "") for part in result.content)


@asynccontextmanager
async def connected(
    url: str,
    *,
    client_id: str,
    person: Person,
    trace: Trace | None = None,
    before: Before | None = None,
    mode: str = "auto",
) -> AsyncIterator[Connection]:
    """A client for the MCP server at `url` whose identifier is the URL of its metadata document."""
    memory = Memory()
    with Browser() as browser:
        async with _callback() as (redirect_uri, answers):

            async def redirect(address: str) -> None:
                page = await asyncio.to_thread(person.visit, browser, address)
                if not page.url.startswith(redirect_uri):
                    raise LookupError(
                        f"the browser stopped at {page.url}: {page.status} {page.heading!r}"
                    )

            async def callback() -> AuthorizationCodeResult:
                query = parse_qs(urlsplit(await asyncio.wait_for(answers.get(), 10)).query)
                first = {name: values[0] for name, values in query.items()}
                return AuthorizationCodeResult(
                    code=first.get("code", ""), state=first.get("state"), iss=first.get("iss")
                )

            provider = OAuthClientProvider(
                server_url=url,
                client_metadata=OAuthClientMetadata(
                    client_name="Terminal agent",
                    redirect_uris=[AnyUrl(redirect_uri)],
                    grant_types=["authorization_code", "refresh_token"],
                    token_endpoint_auth_method="none",
                ),
                storage=memory,
                redirect_handler=redirect,
                callback_handler=callback,
                client_metadata_url=client_id,
            )
            hooks: dict[str, list[Callable[..., Any]]] = {
                "response": [trace] if trace else [],
                "request": [before] if before else [],
            }
            async with (
                httpx2.AsyncClient(
                    auth=provider, event_hooks=hooks, trust_env=False, timeout=30
                ) as http,
                Client(streamable_http_client(url, http_client=http), mode=mode) as client,
            ):
                yield Connection(client, provider, memory, person)


@asynccontextmanager
async def _callback() -> AsyncIterator[tuple[str, "asyncio.Queue[str]"]]:
    """Listen where the browser brings the code; answers the redirect URI and what arrives there."""
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await answers.put(head.split(b" ", 2)[1].decode("ascii"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(_DONE), _DONE)
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/callback", answers
