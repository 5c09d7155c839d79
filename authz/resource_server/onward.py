"""Calling the next MCP server for the same person: this server's token, exchanged for one of that server (RFC 8693).

A token is for one server, and the next one would refuse it. What a tool gets is a token for the next server alone,
which holds no more than a rule at the authorization server carries over, and never the token it was called with.

A system behind this server that has a key of its own is called with that: the authorization server has it read for the
token of the request, if policy lets it.
"""

import asyncio
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from authz.resource_server import strict_json
from authz.resource_server.errors import ExchangeRefusedError
from authz.resource_server.report_key import client_assertion, load_key
from authz.resource_server.verifier import system_clock

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
CREDENTIAL_TYPE = "urn:authz:token-type:upstream-credential"
_PATIENCE = 10.0
# A token that is nearly over is not handed out again.
_MARGIN = 15
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Onward:
    """Let tools call other servers, as `client_id` with the private key in `key` (see `report_key`)."""

    client_id: str
    key: str | Path


class Exchanger:
    """One per process, on the event loop. Answers are remembered, by digest, until shortly before they end."""

    def __init__(
        self, onward: Onward, *, issuer: str, clock: Callable[[], float] = system_clock
    ) -> None:
        self._client_id = onward.client_id
        self._key_file = Path(onward.key)
        self._issuer = issuer
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], tuple[str, float]] = OrderedDict()
        self._http: httpx2.AsyncClient | None = None

    async def exchange(
        self, token: str, traceparent: str | None, resource: str, scopes: Iterable[str] = ()
    ) -> str:
        """An access token for `resource`. Raises ExchangeRefusedError."""
        scope = " ".join(sorted(scopes))
        place = hashlib.sha256(token.encode()).hexdigest(), resource, scope
        known = self._known.get(place)
        if known is not None and self._clock() < known[1] - _MARGIN:
            return known[0]
        asked = {"resource": resource, "scope": scope} if scope else {"resource": resource}
        body = await self._ask(token, traceparent, asked)
        answer, lifetime = str(body["access_token"]), body.get("expires_in")
        if isinstance(lifetime, bool) or not isinstance(lifetime, int):
            raise _no_token_response()
        self._known[place] = answer, self._clock() + lifetime
        self._known.move_to_end(place)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return answer

    async def credential(self, token: str, traceparent: str | None, name: str) -> str:
        """What is kept under this name for this server; remembered nowhere. Raises ExchangeRefusedError."""
        asked = {"requested_token_type": CREDENTIAL_TYPE, "audience": name}
        body = await self._ask(token, traceparent, asked)
        if body.get("issued_token_type") != CREDENTIAL_TYPE:
            raise _no_token_response()
        return str(body["access_token"])

    def of(self, token: str, traceparent: str | None) -> "OfRequest":
        """The exchange of one request's token: what tools can do with it without seeing it."""
        return OfRequest(self, token, traceparent)

    async def close(self) -> None:
        """Let go of connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _ask(
        self, token: str, traceparent: str | None, asked: Mapping[str, str]
    ) -> dict[str, Any]:
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": token,
            "subject_token_type": TOKEN_TYPE,
            **asked,
            **await asyncio.to_thread(self._assertion),
        }
        headers = {} if traceparent is None else {"traceparent": traceparent}
        try:
            response = await self._client().post(
                f"{self._issuer}/token", data=form, headers=headers
            )
        except (httpx2.HTTPError, OSError) as error:
            raise ExchangeRefusedError("temporarily_unavailable", type(error).__name__) from None
        return _read(response)

    def _assertion(self) -> dict[str, str]:
        try:
            # Read again each time: a key is replaced by replacing its file.
            key = load_key(self._key_file)
        except (OSError, ValueError) as error:
            raise ExchangeRefusedError("invalid_client", f"the key: {error}") from None
        return client_assertion(key, self._client_id, self._issuer, self._clock())

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            # What leaves goes to the issuer, so a redirect is followed nowhere.
            secure = self._issuer.startswith("https://")
            trust = (
                httpx2.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
            self._http = httpx2.AsyncClient(follow_redirects=False, timeout=_PATIENCE, verify=trust)
        return self._http


@dataclass(frozen=True)
class OfRequest:
    """See `Exchanger.of`."""

    exchanger: Exchanger = field(repr=False)
    token: str = field(repr=False)
    traceparent: str | None

    async def onward(self, resource: str, scopes: Iterable[str]) -> str:
        """An access token for another MCP server. Raises ExchangeRefusedError."""
        return await self.exchanger.exchange(self.token, self.traceparent, resource, scopes)

    async def credential(self, name: str) -> str:
        """A credential of a system behind this server. Raises ExchangeRefusedError."""
        return await self.exchanger.credential(self.token, self.traceparent, name)


def _read(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = strict_json.loads(response.content[:65536])
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ExchangeRefusedError("server_error", f"answered {response.status_code}")
    if response.status_code != 200:
        raise ExchangeRefusedError(str(body.get("error")), str(body.get("error_description", "")))
    if not isinstance(body.get("access_token"), str):
        raise _no_token_response()
    return body


def _no_token_response() -> ExchangeRefusedError:
    return ExchangeRefusedError("server_error", "the answer is no token response")
