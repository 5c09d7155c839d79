"""The authorization server's revocation feed, followed in the background; without fresh news nobody is let in.

    protect(server, ..., revocations=Revocations("logs-server", os.environ["LOGS_SERVER_SECRET"]))

A long poll is always under way. What an answer says holds from the moment it is about; when the last such moment lies
further back than `max_staleness`, tokens can no longer be judged, and every request gets 503 until the feed is back.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx2

from authz.resource_server.access_token import LEEWAY, AccessToken
from authz.resource_server.compact import read_object, take_apart
from authz.resource_server.discovery import RemoteKeys, find_metadata, require_endpoint, trust
from authz.resource_server.errors import AccessError, InvalidToken, RevocationsUnavailable
from authz.resource_server.jwks import ALGORITHMS, verify_signature
from authz.resource_server.revoked import LAST_SECOND, RevokedTokens

FEED_TYPES = frozenset({"revocations+jwt", "application/revocations+jwt"})
_MEDIA_TYPE = "application/revocations+jwt"
MAX_ANSWER_BYTES = 4 * 1024 * 1024
SHORTEST_STALENESS = 3.0
LONGEST_WAIT = 20.0
DEADLINE = 10.0
"""Seconds for an answer beyond the time it was asked to wait."""
FIRST_ANSWER = 5.0
"""Seconds that requests wait for the very first answer."""
RETRIES = (0.2, 0.5, 1.0, 2.0, 5.0)

log = logging.getLogger(__name__)  # noqa: TID251 - structlog belongs to the server, not to this layer


@dataclass(frozen=True)
class Revocations:
    """Follow the feed as this client: the one that `authz resources client` names for the server.

    `max_staleness` is the longest time in seconds for which this server goes on without news.
    """

    client_id: str
    client_secret: str = field(repr=False)
    max_staleness: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.client_id or not self.client_secret:
            raise ValueError("revocations: a client and its secret are needed")
        if self.max_staleness < SHORTEST_STALENESS:
            raise ValueError(
                f"revocations: max_staleness is {SHORTEST_STALENESS:.0f} seconds or more"
            )

    @property
    def wait(self) -> int:
        """Seconds that one poll waits: two of three may be lost."""
        return int(min(LONGEST_WAIT, max(1.0, self.max_staleness / 3)))


class RevocationFeed:
    """What the feed of one issuer has told, and how fresh that is. `ticks` is a monotonic clock in seconds."""

    def __init__(
        self,
        keys: RemoteKeys,
        settings: Revocations,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._ticks = ticks
        self._revoked = RevokedTokens()
        self._after: int | None = None
        self._known_until = float("-inf")
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def staleness(self) -> float:
        """Seconds since the last moment of which everything is known; infinity before there is one."""
        return self._ticks() - self._known_until

    async def check(self, token: AccessToken) -> None:
        """Raise InvalidToken(reason="revoked") for a dead token, RevocationsUnavailable if nobody can know."""
        self.start()
        if self._after is None:
            # Just started: better late than 503.
            await self._first_answer()
        if self.staleness > self._settings.max_staleness:
            raise RevocationsUnavailable("feed_stale" if self._after is not None else "feed_unread")
        if self._revoked.covers(token):
            raise InvalidToken("revoked")

    def start(self) -> None:
        """Follow the feed on the running loop, unless that is being done."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._first = asyncio.Event()
            self._task = loop.create_task(self._follow(), name="authz-revocations")

    async def stop(self) -> None:
        """Follow no longer."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _first_answer(self) -> None:
        try:
            async with asyncio.timeout(FIRST_ANSWER):
                await self._first.wait()
        except TimeoutError:
            return

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                async with httpx2.AsyncClient(
                    follow_redirects=False,
                    timeout=httpx2.Timeout(DEADLINE, read=self._settings.wait + DEADLINE),
                    verify=await trust(self._keys.issuer),
                ) as http:
                    metadata = await find_metadata(http, self._keys.issuer)
                    url = require_endpoint(metadata, "revocation_feed_endpoint", self._keys.issuer)
                    while True:
                        await self._poll(http, url)
                        failures = 0
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, AccessError) as error:
                reason = error.reason if isinstance(error, AccessError) else error
                log.warning("revocations of %s could not be read: %s", self._keys.issuer, reason)
            await asyncio.sleep(RETRIES[min(failures, len(RETRIES) - 1)])
            failures += 1

    async def _poll(self, http: httpx2.AsyncClient, url: str) -> None:
        began = self._ticks()
        fields = {"wait": "0"}
        if self._after is not None:
            fields = {"after": str(self._after), "wait": str(self._settings.wait)}
        # The limit is of the whole answer: one that drips would never be late.
        async with asyncio.timeout(self._settings.wait + DEADLINE):
            answer = await self._ask(http, url, fields)
            claims = await self.verify(answer)
        self.take(claims, began)

    async def _ask(self, http: httpx2.AsyncClient, url: str, fields: Mapping[str, str]) -> str:
        headers = {
            "accept": _MEDIA_TYPE,
            "accept-encoding": "identity",
            "authorization": _basic(self._settings.client_id, self._settings.client_secret),
        }
        async with http.stream("POST", url, data=fields, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too large")
            if response.status_code != 200:
                raise ValueError(f"{url} answered {response.status_code}")
            if response.headers.get("content-type", "").partition(";")[0].strip() != _MEDIA_TYPE:
                raise ValueError(f"{url} did not answer with {_MEDIA_TYPE}")
        return body.decode("ascii")

    async def verify(self, answer: str) -> dict[str, Any]:
        """The claims of an answer of this issuer to this client; raises InvalidToken, KeysUnavailable or ValueError."""
        parts = take_apart(answer, types=FEED_TYPES, max_length=MAX_ANSWER_BYTES)
        if parts.algorithm not in ALGORITHMS:
            raise InvalidToken("alg_not_allowed")
        verify_signature(parts, await self._keys.load(parts.key_id))
        claims = read_object(parts.payload, "claims_not_json", InvalidToken)
        if claims.get("iss") != self._keys.issuer:
            raise InvalidToken("iss_mismatch")
        if claims.get("aud") != self._settings.client_id:
            raise InvalidToken("aud_mismatch")
        # An old answer that somebody kept would make this server believe that nothing has happened since.
        if abs(_number(claims, "iat") - self._clock()) > LEEWAY:
            raise ValueError("the answer is old, or the clocks of the two servers differ")
        return claims

    def take(self, claims: Mapping[str, Any], began: float) -> None:
        """Learn from an answer that was asked for when `ticks` was `began`; raises ValueError."""
        entries, upto, more = claims.get("entries"), claims.get("upto"), claims.get("has_more")
        if not isinstance(entries, list) or not isinstance(more, bool):
            raise ValueError("the answer is incomplete")  # noqa: TRY004 - a bad answer, not a bad call
        if isinstance(upto, bool) or not isinstance(upto, int) or upto < 0:
            raise ValueError("the answer has no place")
        self._revoked.add(entries)
        self._revoked.forget(self._clock())
        self._after = upto
        if more:
            return
        # From our own clock: the answer is about a moment that many seconds after the request was on its way.
        waited = min(_number(claims, "waited"), self._ticks() - began)
        self._known_until = max(self._known_until, began + waited)
        self._first.set()


def _basic(client_id: str, secret: str) -> str:
    # RFC 6749 section 2.3.1: both are form-encoded first.
    text = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(text.encode()).decode("ascii")


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the answer has no {name}")  # noqa: TRY004 - a bad answer, not a bad call
    # 1e300, and whole numbers that no float can hold.
    if not 0 <= value <= LAST_SECOND:
        raise ValueError(f"the answer has an impossible {name}")
    return value
