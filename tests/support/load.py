"""Clients that refresh all the time, and what must be true of the answers they got, whatever happened meanwhile.

    with load_on(installed, bases) as load:
        load.run_for(1)
        with load.fault("kill -9"):
            node.kill()
        load.run_for(2)
    load.check()

Each client holds one refresh token, sends it to one of the addresses, verifies the access token it gets with the keys
it has fetched, and goes on with the new one. A failed request is sent again with the same refresh token, to the next
address, after the time that the answer names: as any client does. Every answer is kept. `check` holds for all:

    no status but 200, and 503 with Retry-After, ever
    outside of a fault nothing fails, and after it each refresh succeeds at the latest with its second try
    every access token that was answered is on record, once, and verifies
    no refresh token had two successors, no family was taken for stolen
    the audit trail verifies
"""

import asyncio
import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select

from authz.db.models import AuditEvent, IssuedToken, TokenFamily
from tests.support import plain_http
from tests.support.processes import Installation

ALGORITHMS = ["ES256", "RS256"]
PAUSE_SECONDS = 0.03
REQUEST_SECONDS = 20.0
MORE_SECONDS = float(os.environ.get("AUTHZ_FAULT_SECONDS", "0"))
SETTLING_SECONDS = 0.5
"""After a fault: answers of what was sent while it lasted."""


@dataclass(frozen=True)
class Answer:
    """What came of one request."""

    at: float
    """When it was sent."""
    done: float
    status: int | None
    """None when there was no answer."""
    retry_after: float | None
    presented: str = field(repr=False)
    successor: str | None = field(default=None, repr=False)
    jti: str | None = None
    told: str = ""

    @property
    def is_allowed(self) -> bool:
        """What a client can live with."""
        return self.status in (200, None) or (self.status == 503 and self.retry_after is not None)


@dataclass
class Window:
    """While something is broken."""

    name: str
    begin: float
    end: float = float("inf")

    def covers(self, answer: Answer) -> bool:
        """Whether any part of the request fell into it."""
        return answer.done >= self.begin and answer.at <= self.end + SETTLING_SECONDS


@dataclass(frozen=True)
class Measured:
    """A row of the table in docs/faults.md."""

    refreshes: int
    failed: int
    unavailable: int
    unanswered: int
    longest_gap: float
    """Seconds in which no client at all got an answer that it wanted."""
    most_tries_after: int


class Load:
    """Clients on an event loop of their own thread."""

    def __init__(self, installed: Installation, bases: Sequence[str], *, clients: int) -> None:
        self.installed = installed
        self.bases = list(bases)
        self.answers: list[Answer] = []
        self.windows: list[Window] = []
        self.failures: list[str] = []
        self.key_ids: list[str] = []
        """Whose signatures were verified, in order."""
        self._keys: KeySet | None = None
        self._stop = threading.Event()
        self._tokens = [self._first_token() for _ in range(clients)]
        self._families = [token.removeprefix("azr_").partition(".")[0] for token in self._tokens]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def _first_token(self) -> str:
        form = self.installed.redemption(self.installed.code())
        answer = plain_http.post(f"{self.bases[0]}/token", data=form, timeout=20)
        return str(answer.json()["refresh_token"])

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """No new refreshes; what was begun is brought to its end."""
        self._stop.set()
        self._thread.join(60)
        if self._thread.is_alive():
            raise RuntimeError("the clients do not come to an end")

    def run_for(self, seconds: float) -> None:
        """Let it go on; `scripts/faults` may have more patience."""
        time.sleep(seconds + MORE_SECONDS)

    @contextmanager
    def fault(self, name: str) -> Iterator[Window]:
        """While the block runs something is broken; its end is when it is whole again."""
        window = Window(name, time.monotonic())
        self.windows.append(window)
        try:
            yield window
        finally:
            window.end = time.monotonic()

    async def _work(self) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=REQUEST_SECONDS) as http:
            clients = [self._client(http, n, token) for n, token in enumerate(self._tokens)]
            for error in await asyncio.gather(*clients, return_exceptions=True):
                if isinstance(error, BaseException):
                    self.failures.append(repr(error))

    async def _client(self, http: httpx2.AsyncClient, number: int, token: str) -> None:
        at = number
        until: float | None = None
        while not self._stop.is_set():
            while True:
                answer = await self._refresh(http, self.bases[at % len(self.bases)], token)
                self.answers.append(answer)
                if answer.successor is not None:
                    token = answer.successor
                    break
                if not answer.is_allowed:
                    self.failures.append(f"{answer.status}: {answer.told}")
                    return
                if self._stop.is_set():
                    until = until or time.monotonic() + 15
                    if time.monotonic() > until:
                        self.failures.append("a refresh was not answered to the end")
                        return
                at += 1
                await asyncio.sleep(answer.retry_after or 0.2)
            self._tokens[number] = token
            at += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _refresh(self, http: httpx2.AsyncClient, base: str, token: str) -> Answer:
        began = time.monotonic()
        try:
            got = await http.post(f"{base}/token", data=self.installed.refreshing(token))
        except httpx2.TransportError as error:
            told = type(error).__name__
            return Answer(began, time.monotonic(), None, None, token, told=told)
        if got.status_code != 200:
            after = got.headers.get("retry-after")
            wait = None if after is None else float(after)
            return Answer(
                began, time.monotonic(), got.status_code, wait, token, told=got.text[:300]
            )
        body = got.json()
        jti = await self._verified(http, base, body["access_token"])
        successor = str(body["refresh_token"])
        return Answer(began, time.monotonic(), 200, None, token, successor, jti)

    async def _verified(self, http: httpx2.AsyncClient, base: str, token: str) -> str | None:
        """The `jti`, by the keys at hand; they are fetched anew once for a name they do not have."""
        for is_last in (False, True):
            try:
                if self._keys is not None:
                    read = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
                    self.key_ids.append(str(read.header["kid"]))
                    return str(read.claims["jti"])
            except (JoseError, ValueError) as error:
                if is_last:
                    self.failures.append(f"a token did not verify: {error!r}")
                    return None
            for other in [base, *self.bases]:
                try:
                    self._keys = KeySet.import_key_set((await http.get(f"{other}/jwks")).json())
                    break
                except (httpx2.TransportError, ValueError):
                    continue
        self.failures.append("no keys could be fetched")
        return None

    # -- afterwards -------------------------------------------------------------------------------------

    def measured(self) -> Measured:
        """Numbers for people."""
        good = sorted(it.done for it in self.answers if it.successor is not None)
        gaps = [after - before for before, after in pairwise(good)]
        return Measured(
            refreshes=len(good),
            failed=sum(not it.is_allowed for it in self.answers),
            unavailable=sum(it.status == 503 for it in self.answers),
            unanswered=sum(it.status is None for it in self.answers),
            longest_gap=max(gaps, default=0.0),
            most_tries_after=self._most_tries_after(),
        )

    def _most_tries_after(self) -> int:
        """Of one refresh, counting only tries that no fault touched."""
        tries = Counter(
            it.presented for it in self.answers if not any(w.covers(it) for w in self.windows)
        )
        return max(tries.values(), default=0)

    def check(self) -> Measured:
        """Everything that must hold. Call it when the load has finished and the database is well."""
        assert self.failures == []
        refused = [it for it in self.answers if not it.is_allowed]
        assert refused == [], refused[:3]
        outside = [
            it
            for it in self.answers
            if it.status != 200 and not any(window.covers(it) for window in self.windows)
        ]
        again = {it.presented for it in outside}
        # A client that waits for its Retry-After may meet the very end of a fault once.
        assert len(outside) == len(again), outside[:3]
        if not self.windows:
            assert outside == [], outside[:3]
        self._check_rows()
        assert self.installed.verify().fault is None
        return self.measured()

    def _check_rows(self) -> None:
        answered = Counter(it.jti for it in self.answers if it.jti is not None)
        assert max(answered.values()) == 1
        database, tenant_id = self.installed.services.database, self.installed.tenant_id
        with database.read() as tx:
            kept = set(
                tx.scalars(select(IssuedToken.jti).where(IssuedToken.tenant_id == tenant_id))
            )
            bodies = tx.scalars(
                select(AuditEvent.body).where(
                    AuditEvent.tenant_id == tenant_id, AuditEvent.kind == "token.issued"
                )
            ).all()
            families = {
                it.id: it
                for it in tx.scalars(select(TokenFamily).where(TokenFamily.id.in_(self._families)))
            }
        assert set(answered) <= kept, "an answered token is not on record"
        told = Counter(json.loads(body)["detail"]["jti"] for body in bodies)
        assert set(answered) <= set(told)
        assert max(told.values()) == 1, "a token is in the trail twice"
        successors = defaultdict(set)
        for it in self.answers:
            if it.successor is not None:
                successors[it.presented].add(it.successor)
        assert {len(them) for them in successors.values()} == {1}
        for family_id, token in zip(self._families, self._tokens, strict=True):
            row = families[family_id]
            assert row.revoked_at is None, row.revoked_because
            # The last answer may not have arrived.
            assert row.generation - int(token.split(".")[1]) in (0, 1)


@contextmanager
def load_on(installed: Installation, bases: Sequence[str], *, clients: int = 8) -> Iterator[Load]:
    """Clients that refresh while the block runs."""
    load = Load(installed, bases, clients=clients)
    load.start()
    try:
        yield load
    finally:
        load.finish()
