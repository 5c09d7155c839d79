"""Budgets: how often something may happen, by address, client, person and for all together.

Owns the counting, and which budgets each kind of work has. Never reads a request and never answers one: the edges say
who asks, and a budget that is used up is a `TooManyRequests`.

Decisions:
- In memory and per process: a shared counter would be a row that a stranger can write. With several processes a crowd
  gets that many times the budget, which every default allows for.
- Wrong guesses spend, right ones do not (O21-14). A failure is charged to the client at that address, to the address,
  and to the client. An address from which the client has proven itself before is held to the first of the three
  alone, so who knows a `client_id` can lock its owner out of no place where it already works.
- What every client does all day is counted by address before it names itself, and by client only once it has
  authenticated: a budget that a name alone could spend would be a way to use up somebody else's.
- There is no global budget for wrong guesses: using it up would shut the door for everybody.
- Time is measured by a clock that nobody sets: after a step back of ten minutes every budget would have been used up
  for as long.
- Keys are bounded twice: at most `2 * MAX_KEYS` per budget, and a long name is kept by its digest.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from types import TracebackType
from typing import Self

from authz import entropy
from authz.clock import Clock, ticks_of
from authz.errors import InvalidClient, InvalidGrant, OAuthError, TooManyRequests
from authz.settings import LimitSettings
from authz.telemetry.metrics import LIMITED

MAX_KEYS = 8192
_LONGEST_NAME = 128
_MINUTE = timedelta(minutes=1)
_ROUNDING = 1e-6


class Bucket:
    """`burst` at once, then one per `every`; a burst of 0 is no limit.

    One number per key: the moment at which its account is even again. A moment that has passed is the same as no entry,
    so nothing is lost when a key that was quiet is dropped. No lock: threads that meet here can lose one count.
    """

    def __init__(self, *, burst: int, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._room = (burst - 1) * self._every + _ROUNDING
        self._is_off = burst == 0
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    @classmethod
    def per_minute(cls, count: int) -> "Bucket":
        """`count` in a minute, all of them at once if they like."""
        return cls(burst=count, every=_MINUTE / max(1, count))

    def wait(self, key: str, now: float) -> int:
        """0, or the seconds until there is one. Takes nothing."""
        even_at = self._young.get(key) or self._old.get(key)
        if even_at is None or even_at - now <= self._room or self._is_off:
            return 0
        return max(1, ceil(even_at - now - self._room))

    def take(self, key: str, now: float) -> int:
        """Take one. Answers 0, or the seconds until there is one."""
        if self._is_off:
            return 0
        even_at = self._young.get(key) or self._old.get(key) or now
        if even_at < now:
            even_at = now
        elif even_at - now > self._room:
            return max(1, ceil(even_at - now - self._room))
        self._keep(key, even_at + self._every)
        return 0

    def give_back(self, key: str) -> None:
        """One was not needed."""
        even_at = self._young.get(key) or self._old.get(key)
        if even_at is not None:
            self._keep(key, even_at - self._every)

    def forget(self, key: str) -> None:
        """Its account is even."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _keep(self, key: str, even_at: float) -> None:
        self._young[key] = even_at
        if len(self._young) >= MAX_KEYS:
            # A key survives as long as fewer others were seen since: to be forgotten, one has to come from thousands
            # of addresses, and then a budget of one address is not what holds.
            self._old, self._young = self._young, {}


class Guesses:
    """Wrong guesses at one kind of secret: of a subject (client, account, person) at an address."""

    def __init__(
        self, name: str, kind: str, *, pair: Bucket, address: Bucket, subject: Bucket
    ) -> None:
        """`name` and the `kind` of subject make the names of the budgets in logs and metrics."""
        self._names = (
            f"{name}_per_{kind}_and_address",
            f"{name}_per_address",
            f"{name}_per_{kind}",
        )
        self._pair = pair
        self._address = address
        self._subject = subject
        self._proven: dict[str, None] = {}
        self._proven_before: dict[str, None] = {}
        self._lock = threading.Lock()

    def check(self, endpoint: str, subject: str, address: str, now: float) -> None:
        """Raises TooManyRequests when no guess is left. Takes none."""
        pair = f"{address}\x00{subject}"
        if wait := self._pair.wait(pair, now):
            raise _limited(endpoint, self._names[0], wait)
        if pair in self._proven or pair in self._proven_before:
            return
        if wait := self._address.wait(address, now):
            raise _limited(endpoint, self._names[1], wait)
        if wait := self._subject.wait(subject, now):
            raise _limited(endpoint, self._names[2], wait)

    def failed(self, subject: str, address: str, now: float) -> None:
        """Charge a wrong guess."""
        self._pair.take(f"{address}\x00{subject}", now)
        self._subject.take(subject, now)
        self._address.take(address, now)

    def failed_unnamed(self, address: str, now: float) -> None:
        """Charge a wrong guess that named nobody."""
        self._address.take(address, now)

    def spend(self, endpoint: str, subject: str, address: str, now: float) -> None:
        """Charge a guess before it is judged, for secrets short enough that many at once would count.

        Raises TooManyRequests when none is left.
        """
        with self._lock:
            self.check(endpoint, subject, address, now)
            self.failed(subject, address, now)

    def right(self, subject: str, address: str) -> None:
        """What was spent before is given back; the subject is known here from now on."""
        with self._lock:
            self._pair.forget(f"{address}\x00{subject}")
            self._subject.give_back(subject)
            self._address.give_back(address)
            self.proven(subject, address)

    def proven(self, subject: str, address: str) -> None:
        """The subject is known at this address from now on."""
        pair = f"{address}\x00{subject}"
        if pair in self._proven:
            return
        self._proven[pair] = None
        if len(self._proven) >= MAX_KEYS:
            self._proven_before, self._proven = self._proven, {}

    def __len__(self) -> int:
        kept = len(self._pair) + len(self._address) + len(self._subject)
        return kept + len(self._proven) + len(self._proven_before)


class _Waiting:
    """How many threads are at something slow: by one who asks, by tenant and in all."""

    def __init__(self, endpoint: str, budget: str, most: tuple[int, int, int]) -> None:
        self._names = (endpoint, budget)
        self._most = most
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, *keys: str) -> Iterator[None]:
        with self._lock:
            if any(self._counts[k] >= m for k, m in zip(keys, self._most, strict=True)):
                raise _limited(*self._names, 5)
            self._counts.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._counts.subtract(keys)
                self._counts = +self._counts


@dataclass(frozen=True)
class Work:
    """The budgets of one kind of work; its endpoints share them."""

    name: str
    address: Bucket
    client: Bucket
    """Of clients that authenticated."""
    public: Bucket
    """Of all clients that cannot, together."""
    user: Bucket
    agent: Bucket | None = None
    """Of agents, whichever of their clients asks."""


class Limits:
    """One per process."""

    def __init__(self, settings: LimitSettings, clock: Clock) -> None:
        self._now = ticks_of(clock)
        per_minute, off = Bucket.per_minute, Bucket.per_minute(0)
        busy = Work(
            "requests",
            per_minute(settings.requests_per_address),
            per_minute(settings.requests_per_client),
            off,  # the queue of the token lane is the limit of all together
            off,
        )
        tokens = replace(busy, agent=per_minute(settings.tokens_per_agent))
        pushes = Work(
            "pushes",
            per_minute(settings.pushes_per_address),
            per_minute(settings.pushes_per_client),
            per_minute(settings.pushes_of_public_clients),
            off,
        )
        pages = Work(
            "pages",
            per_minute(settings.pages_per_address),
            off,
            off,
            per_minute(settings.pages_per_user),
        )
        provisioning = Work(
            "provisioning",
            per_minute(settings.provisioning_per_address),
            per_minute(settings.provisioning_per_client),
            off,
            off,
        )
        self._work = {
            "token": tokens,
            "introspect": busy,
            "revoke": busy,
            "revocation_feed": busy,
            "status_list": busy,
            "ssf": busy,
            "userinfo": busy,
            "admin_api": busy,
            "outcomes": busy,
            "par": pushes,
            "device_authorization": pushes,
            "authorize": pages,
            "consent": pages,
            "login": pages,
            "logo": pages,
            "approval": pages,
            "console": pages,
            "account": pages,
            "device": pages,
            "scim": provisioning,
        }
        self._clients = Guesses(
            "failures",
            "client",
            pair=per_minute(settings.failures_per_client_and_address),
            address=per_minute(settings.failures_per_address),
            subject=per_minute(settings.failures_per_client),
        )
        # 34 bits and ten minutes: even all of them together never get through a noticeable part (DEV-02).
        self._user_codes = Guesses(
            "user_codes",
            "user",
            pair=Bucket(burst=10, every=timedelta(minutes=1)),
            address=Bucket(burst=200, every=timedelta(seconds=3)),
            subject=Bucket(burst=20, every=timedelta(seconds=30)),
        )
        # A client can leave and come back, and what the audit trail says of it stays: so these are few, whatever the
        # quotas of rows are (ATK-61).
        self._registrations = Bucket(burst=60, every=timedelta(seconds=10))
        self._registrations_of_all = Bucket(burst=600, every=timedelta(seconds=1))
        # What the trail says of sign-ins that came to nothing stays, and whoever has a browser can make more of them.
        self._refused_sign_ins = Bucket(burst=300, every=timedelta(seconds=1))
        # Good ones are never too many: a company that closes a department tells of all its people at once.
        self._bad_signals = per_minute(settings.failures_per_address)
        self._fetches = per_minute(settings.fetches_per_user)
        self._waiting = _Waiting("fetch", "fetches_at_once", (3, 8, 20))
        self._at_providers = _Waiting("fetch", "fetches_at_once", (8, 12, 24))
        self._bulks = _Waiting("scim", "bulk_at_once", (2, 4, 8))

    def attempt(self, endpoint: str, address: str) -> "Attempt":
        """One request that presents secrets, as a block: how it ends decides what it costs. Event loop only.

        Raises TooManyRequests when the address asks too often.
        """
        now = self._now()
        work = self._work[endpoint]
        if wait := work.address.take(address, now):
            raise _limited(endpoint, f"{work.name}_per_address", wait)
        return Attempt(self._clients, work, endpoint, address, now)

    def admit(self, endpoint: str, *, address: str | None = None, user: str | None = None) -> None:
        """One request of a browser or a person. Raises TooManyRequests."""
        now = self._now()
        work = self._work[endpoint]
        if address is not None and (wait := work.address.take(address, now)):
            raise _limited(endpoint, f"{work.name}_per_address", wait)
        if user is not None and (wait := work.user.take(user, now)):
            raise _limited(endpoint, f"{work.name}_per_user", wait)

    def fetching(self, tenant_id: str, user: str) -> AbstractContextManager[None]:
        """A request to another server because of this person, as a block that waits for it in a thread.

        Raises TooManyRequests. The few threads that make pages must not all wait for hosts of one stranger, who would
        need no more than a slow web server to stop them (ATK-48).
        """
        if wait := self._fetches.take(user, self._now()):
            raise _limited("fetch", "fetches_per_user", wait)
        return self._waiting.slot(f"{tenant_id}/{user}", tenant_id, "")

    def registering(self, tenant: str, address: str) -> None:
        """One request about a client's registration, right or wrong. Raises TooManyRequests."""
        now = self._now()
        if wait := self._registrations.take(f"{tenant}\x00{address}", now):
            raise _limited("register", "registrations_per_address", wait)
        if wait := self._registrations_of_all.take(tenant, now):
            raise _limited("register", "registrations_of_all", wait)

    def at_provider(self, connection_id: str, tenant_id: str) -> AbstractContextManager[None]:
        """A sign-in that waits in a thread for an identity provider, as a block. Raises TooManyRequests.

        One that does not answer holds up its own people and nobody else (ATK-48).
        """
        return self._at_providers.slot(connection_id, tenant_id, "")

    def in_bulk(self, token_id: str, tenant_id: str) -> AbstractContextManager[None]:
        """A thousand changes in one request, as a block. Raises TooManyRequests.

        It holds its thread for as long as they take, and the others are needed by everybody else.
        """
        return self._bulks.slot(token_id, tenant_id, "")

    def may_record_refusal(self, connection_id: str) -> bool:
        """Whether another sign-in of this connection that came to nothing goes into the trail; the log has all."""
        return self._refused_sign_ins.take(connection_id, self._now()) == 0

    def signalling(self, endpoint: str, address: str) -> None:
        """One statement of an identity provider. Raises TooManyRequests when too many from there were not believed."""
        if wait := self._bad_signals.wait(address, self._now()):
            raise _limited(endpoint, "bad_signals_per_address", wait)

    def bad_signal(self, address: str) -> None:
        """One that was not believed: it cost us a signature, and stays cheap for us from now on."""
        self._bad_signals.take(address, self._now())

    def guess_user_code(self, user: str, address: str) -> None:
        """One code typed by a signed-in person, right or wrong. Raises TooManyRequests (DEV-02).

        A right one is not given back: whoever asks for codes of their own could buy guesses with them.
        """
        self._user_codes.spend("device", user, address, self._now())

    def __len__(self) -> int:
        """How many keys are remembered."""
        work = {id(w): w for w in self._work.values()}.values()
        buckets = {
            id(b): b
            for w in work
            for b in (w.address, w.client, w.public, w.user, w.agent)
            if b is not None
        }
        counted = sum(len(bucket) for bucket in buckets.values())
        counted += len(self._bad_signals)
        counted += len(self._registrations) + len(self._registrations_of_all)
        return counted + len(self._clients) + len(self._user_codes) + len(self._fetches)


class Attempt:
    """A request that presents secrets.

        with limits.attempt("par", address) as attempt:
            ...                                     # read credentials
            attempt.names(tenant_id, client_id)     # before anything is judged
            ...                                     # authenticate
            attempt.authenticated(is_confidential=client.is_confidential)

    `invalid_client` and `invalid_grant` that leave the block are wrong guesses; leaving it without an error is proof.
    """

    __slots__ = (
        "_acts",
        "_address",
        "_endpoint",
        "_guesses",
        "_has_authenticated",
        "_now",
        "_subject",
        "_work",
    )

    def __init__(
        self, guesses: Guesses, work: Work, endpoint: str, address: str, now: float
    ) -> None:
        self._guesses = guesses
        self._work = work
        self._endpoint = endpoint
        self._address = address
        self._now = now
        self._subject: str | None = None
        self._has_authenticated = False
        self._acts = False

    def __enter__(self) -> Self:
        return self

    def names(self, tenant_id: str, client_id: str) -> None:
        """Who the request says it is. Raises TooManyRequests. Said twice, it counts once."""
        if self._subject is None:
            self._subject = f"{tenant_id}\x00{short(client_id)}"
            self._guesses.check(self._endpoint, self._subject, self._address, self._now)

    def asserts(self, tenant_id: str, issuer: str) -> None:
        """Whose assertion it brings, where nobody else says who asks. Raises TooManyRequests. Said twice, it is once.

        What is wrong counts at this address alone: signatures are not guessed, and a budget of all addresses would be
        a way to shut out everybody whom the issuer names.
        """
        self.names(tenant_id, f"{short(issuer)} at {self._address}")

    def authenticated(self, *, is_confidential: bool, name: str | None = None) -> None:
        """It is who it says, as far as that can be known. Raises TooManyRequests. Said twice, it counts once.

        `name` is who it turned out to be, where the request did not say.
        """
        if self._has_authenticated or self._subject is None:
            return
        self._has_authenticated = True
        work = self._work
        if is_confidential:
            if wait := work.client.take(name or self._subject, self._now):
                raise _limited(self._endpoint, f"{work.name}_per_client", wait)
        elif wait := work.public.take("", self._now):
            raise _limited(self._endpoint, f"{work.name}_of_public_clients", wait)

    def acts_for(self, agent_id: str) -> None:
        """Whose client it turned out to be. Raises TooManyRequests (M13). Said twice, it counts once."""
        bucket = self._work.agent
        if bucket is None or self._acts:
            return
        self._acts = True
        if wait := bucket.take(agent_id, self._now):
            raise _limited(self._endpoint, "tokens_per_agent", wait)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._subject is not None:
                self._guesses.proven(self._subject, self._address)
        elif isinstance(error, OAuthError) and error.code in _WRONG_GUESSES:
            if self._subject is not None:
                self._guesses.failed(self._subject, self._address, self._now)
            else:
                self._guesses.failed_unnamed(self._address, self._now)


_WRONG_GUESSES = frozenset({InvalidClient.code, InvalidGrant.code, "invalid_token"})


def short(name: str) -> str:
    """A name to count by: whatever a stranger calls itself takes no more room than this."""
    return name if len(name) <= _LONGEST_NAME else entropy.digest(name)


def _limited(endpoint: str, budget: str, seconds: int) -> TooManyRequests:
    LIMITED.labels(endpoint, budget).inc()
    return TooManyRequests("too many requests, try again later", reason=budget, retry_after=seconds)
