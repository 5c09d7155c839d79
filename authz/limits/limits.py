"""Which budgets each kind of work has."""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

from authz.clock import Clock, ticks_of
from authz.limits.attempt import Attempt, Work
from authz.limits.bucket import Bucket
from authz.limits.guesses import Guesses
from authz.limits.refusal import limited
from authz.limits.waiting import Waiting
from authz.settings import LimitSettings


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
        self._waiting = Waiting("fetch", "fetches_at_once", (3, 8, 20))
        self._at_providers = Waiting("fetch", "fetches_at_once", (8, 12, 24))
        self._bulks = Waiting("scim", "bulk_at_once", (2, 4, 8))

    def attempt(self, endpoint: str, address: str) -> Attempt:
        """One request that presents secrets, as a block: how it ends decides what it costs. Event loop only.

        Raises TooManyRequests when the address asks too often.
        """
        now = self._now()
        work = self._work[endpoint]
        if wait := work.address.take(address, now):
            raise limited(endpoint, f"{work.name}_per_address", wait)
        return Attempt(self._clients, work, endpoint, address, now)

    def admit(self, endpoint: str, *, address: str | None = None, user: str | None = None) -> None:
        """One request of a browser or a person. Raises TooManyRequests."""
        now = self._now()
        work = self._work[endpoint]
        if address is not None and (wait := work.address.take(address, now)):
            raise limited(endpoint, f"{work.name}_per_address", wait)
        if user is not None and (wait := work.user.take(user, now)):
            raise limited(endpoint, f"{work.name}_per_user", wait)

    def fetching(self, tenant_id: str, user: str) -> AbstractContextManager[None]:
        """A request to another server because of this person, as a block that waits for it in a thread.

        Raises TooManyRequests. The few threads that make pages must not all wait for hosts of one stranger, who would
        need no more than a slow web server to stop them (ATK-48).
        """
        if wait := self._fetches.take(user, self._now()):
            raise limited("fetch", "fetches_per_user", wait)
        return self._waiting.slot(f"{tenant_id}/{user}", tenant_id, "")

    def registering(self, tenant: str, address: str) -> None:
        """One request about a client's registration, right or wrong. Raises TooManyRequests."""
        now = self._now()
        if wait := self._registrations.take(f"{tenant}\x00{address}", now):
            raise limited("register", "registrations_per_address", wait)
        if wait := self._registrations_of_all.take(tenant, now):
            raise limited("register", "registrations_of_all", wait)

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
            raise limited(endpoint, "bad_signals_per_address", wait)

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
