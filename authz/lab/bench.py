"""What a scenario is handed: whom it asks, who asserts, and the ways to ask."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from authz.clock import Clock
from authz.errors import Invalid
from authz.lab.identity_provider import IdentityProvider, Issuer
from authz.lab.judgement import Answer, Failed
from authz.lab.statement import Statement
from authz.lab.target import Credentials, Fields, Target
from authz.net import Network, NetworkError, Profile
from authz.resource_server.urls import issuer_metadata_urls
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"
Sleep = Callable[[float], Awaitable[None]]
_MAX_BYTES = 256 * 1024
_ATTEMPTS, _MAX_WAIT_SECONDS = 3, 60


@dataclass
class Bench:
    """One examination under way."""

    target: Target
    idp: IdentityProvider
    away: Network
    """To the server under test: it reaches this machine only if that is where the server is."""
    home: Network
    """To the lab's own servers."""
    clock: Clock
    sleep: Sleep = asyncio.sleep
    patience: timedelta = timedelta(0)
    """How long to wait for what a server does later."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    async def begin(self) -> None:
        """Find the server's metadata. Raises Invalid when there is none that names a token endpoint."""
        for url in issuer_metadata_urls(self.target.issuer):
            answer = await self.get(url)
            if answer.status == 200 and answer.document:
                self.metadata = answer.document
                break
        if not _is_url(self.metadata.get("token_endpoint")):
            raise Invalid(
                f"{self.target.issuer} publishes no metadata with a token endpoint; "
                "check the issuer, letter by letter, and that it can be reached from here"
            )

    @property
    def token_endpoint(self) -> str:
        """Where assertions are redeemed."""
        return str(self.metadata["token_endpoint"])

    def statement(self, issuer: Issuer = Issuer.MAIN, **claims: Any) -> Statement:
        """An assertion that has to be redeemed, unless `claims` spoil it."""
        made = self.idp.statement(self.target, self.token_endpoint, self.clock(), issuer)
        return made.saying(**claims)

    async def control(self, made: Statement | None = None, *fields: tuple[str, str]) -> Answer:
        """A good assertion, redeemed: without it a refusal beside it would mean nothing. Raises Failed."""
        answer = await self.redeem((made or self.statement()).sign(), *fields)
        if not answer.is_granted:
            raise Failed(
                f"a good assertion is refused as well ({answer.told()}), so nothing can be told"
            )
        return answer

    async def redeem(
        self,
        assertion: str,
        *fields: tuple[str, str],
        by: Credentials | None = None,
        proof: str | None = None,
    ) -> Answer:
        """Present an assertion as a client does."""
        pairs = [("grant_type", JWT_BEARER), ("assertion", assertion), *fields]
        return await self.ask_as(by or self.target.client, pairs, proof=proof)

    async def ask_as(
        self, client: Credentials, pairs: Sequence[tuple[str, str]], *, proof: str | None = None
    ) -> Answer:
        """POST a form to the token endpoint with a client's credentials."""
        named, headers = client.present(self.target.issuer, self.clock())
        if proof is not None:
            headers["DPoP"] = proof
        return await self.post([*pairs, *named], headers)

    async def post(self, pairs: Fields, headers: Mapping[str, str] | None = None) -> Answer:
        """POST exactly these fields to the token endpoint; waits when told that it was too much."""
        sent = {"Content-Type": FORM, **(headers or {})}
        return await self.send("POST", self.token_endpoint, sent, urlencode(pairs).encode())

    async def get(self, url: str) -> Answer:
        """GET from the server under test."""
        return await self.send("GET", url, {})

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        """One request to the server under test."""
        for attempt in range(1, _ATTEMPTS + 1):
            answer = await _fetch(self.away, method, url, headers, content)
            seconds = answer.headers.get("retry-after", "")
            if answer.status not in (429, 503) or attempt == _ATTEMPTS or not seconds.isdecimal():
                break
            await self.sleep(min(int(seconds[:3]), _MAX_WAIT_SECONDS))
        return answer

    async def call(self, token: str | None, method: str, params: Mapping[str, Any]) -> Answer:
        """One JSON-RPC message to the MCP server."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        network = self.home if is_local(self.target.resource) else self.away
        content = json.dumps(message).encode()
        return await _fetch(network, "POST", self.target.resource, headers, content)

    async def count_key_fetches(self) -> int:
        """How often anybody asked for the identity provider's keys."""
        return await self._count("jwks")

    async def count_strange_fetches(self) -> int:
        """How often anybody looked where only an assertion pointed to."""
        return await self._count("strange")

    async def _count(self, what: str) -> int:
        answer = await _fetch(self.home, "GET", f"{self.idp.local_url}/fetches", {}, None)
        found = answer.document.get(what)
        if type(found) is not int:
            raise Failed(f"the lab's own identity provider does not answer ({answer.told()})")
        return found


def is_local(url: str) -> bool:
    """Whether a URL names this machine. False for what is no URL."""
    try:
        return read_url("URL", url).host in LOOPBACK_HOSTS
    except UrlError:
        return False


def _is_url(value: object) -> bool:
    try:
        return isinstance(value, str) and read_url("URL", value).scheme in ("http", "https")
    except UrlError:
        return False


async def _fetch(
    network: Network, method: str, url: str, headers: Mapping[str, str], content: bytes | None
) -> Answer:
    length = {} if content is None else {"Content-Length": str(len(content))}
    try:
        found = await network.fetch(
            url,
            profile=Profile.OPERATOR,
            max_bytes=_MAX_BYTES,
            method=method,
            headers={**headers, **length},
            content=content,
        )
    except NetworkError as error:
        return Answer(None, problem=error.reason)
    return Answer(found.status, found.headers, found.body)
