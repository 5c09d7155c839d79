"""HTTP requests to stores, from threads, on an event loop that belongs to them alone."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError as CancelledByClose
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from authz.errors import ConfigurationError
from authz.net import Network, NetworkConfig, NetworkError, Profile
from authz.net.strict_json import NotStrict, read_object
from authz.secretstores.errors import StoreUnavailable
from authz.secretstores.local import proxy_word
from authz.secretstores.store import Setup

_MAX_BYTES = 1024 * 1024
_BUSY = 429

_T = TypeVar("_T")


@dataclass(frozen=True)
class Answer:
    """What a store said; no members where it did not answer in JSON."""

    status: int
    members: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Pass:
    """A token that a store gave us, and until when it is used, on the clock of the loop."""

    token: str = field(repr=False)
    until: float

    @classmethod
    def for_seconds(cls, token: str, seconds: float) -> "Pass":
        """Given up a while before its end: it has to arrive, too."""
        return cls(token, asyncio.get_running_loop().time() + seconds * 0.8)

    @property
    def is_good(self) -> bool:
        """Whether it is still used."""
        return asyncio.get_running_loop().time() < self.until


class Passes:
    """The pass of one session. However many need a new one, one of them gets it."""

    def __init__(self, renew: Callable[[], Awaitable[Pass]]) -> None:
        self._renew = renew
        self._pass: Pass | None = None
        self._renewing = asyncio.Lock()

    async def ask(self, send: Callable[[str], Awaitable[Answer]], *, refused: int) -> Answer:
        """What `send` gets with our token; once more with a new one where the status says that it is good no longer."""
        known = self._pass
        current = await self._current()
        answer = await send(current.token)
        # One that we just got is not refused for its age.
        if answer.status == refused and current is known:
            if self._pass is current:
                self._pass = None
            answer = await send((await self._current()).token)
        return answer

    async def _current(self) -> Pass:
        async with self._renewing:
            if self._pass is None or not self._pass.is_good:
                self._pass = await self._renew()
            return self._pass


class Calls:
    """To one store. `run` from a thread what calls `ask`."""

    def __init__(
        self,
        store: str,
        setup: Setup,
        *,
        ca_file: Path | None = None,
        limit: timedelta | None = None,
    ) -> None:
        self._store = store
        self._limit: timedelta = limit or setup.secrets.timeout
        config = NetworkConfig(ca_file=ca_file, proxy=setup.proxy, proxy_password=proxy_word(setup))
        try:
            self._network = Network(config)
        except OSError as error:
            raise ConfigurationError(
                f"{store}: {ca_file} cannot be used: {error.strerror}"
            ) from None
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of one piece of work, or StoreUnavailable when it takes too long, or we end."""
        with self._lock:
            if self._is_closed:
                work.close()
                raise self._ended()
            # With the lock held: `close` ends what was on the loop before it, and nothing comes after.
            waiting = asyncio.run_coroutine_threadsafe(self._within_limit(work), self._started())
        try:
            return waiting.result()
        except CancelledByClose:
            raise self._ended() from None

    async def ask(
        self,
        url: str,
        *,
        is_ours: bool = False,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. `is_ours`: the operator wrote this address, and it may be on loopback or in no proxy's reach.

        So is every one over http, which is instead of a cloud's own. Raises StoreUnavailable for whatever may pass by
        itself.
        """
        content, sent = None, dict(headers or {})
        if body is not None:
            content, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif form is not None:
            content = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        parts = urlsplit(url)
        host, is_ours = parts.netloc, is_ours or parts.scheme == "http"
        try:
            fetched = await self._network.fetch(
                url,
                profile=Profile.CONFIGURED if is_ours else Profile.OPERATOR,
                max_bytes=_MAX_BYTES,
                timeout=self._limit,
                method=method,
                headers=sent,
                content=content,
            )
        except NetworkError as error:
            # Not chained: a traceback shows what was sent.
            raise self.unavailable(host, error.reason) from None
        if fetched.status >= 500 or fetched.status == _BUSY:
            raise self.unavailable(host, f"status {fetched.status}")
        members: Mapping[str, Any] = {}
        with contextlib.suppress(NotStrict):
            members = read_object(fetched.body)
        return Answer(fetched.status, members, fetched.headers)

    def unavailable(self, host: str, why: str) -> StoreUnavailable:
        """The sentence for a store that says nothing."""
        return StoreUnavailable(
            f"{self._store} at {host} does not answer ({why}); see that it is up and can be reached from here"
        )

    def close(self) -> None:
        """End what is being read, and the loop; whoever waits for it hears StoreUnavailable."""
        with self._lock:
            self._is_closed = True
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(_end_the_others(), loop).add_done_callback(
                lambda _: loop.call_soon_threadsafe(loop.stop)
            )
            self._thread.join(self._limit.total_seconds())
            if not self._thread.is_alive():
                loop.close()
        self._network.close()

    def _ended(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._store} is asked no longer; this process ends")

    async def _within_limit(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                return await work
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._store} did not answer within {self._limit.total_seconds():g} seconds; see that it is up"
            ) from None

    def _started(self) -> asyncio.AbstractEventLoop:
        """With the lock held."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="secretstore", daemon=True
            )
            self._thread.start()
        return self._loop


async def _end_the_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
