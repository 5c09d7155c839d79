"""One process's way to secrets: read when asked for, kept for a while, read again when they may have changed."""

import asyncio
import importlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from authz.clock import Clock
from authz.errors import ConfigurationError
from authz.secretstores.errors import SecretMissing, StoreUnavailable
from authz.secretstores.registry import STORES
from authz.secretstores.store import Secret, Setup, Store
from authz.telemetry.metrics import SECRET_READINGS
from authz.transactions import forbid_inside_transaction

MOST_KEPT = 1024
"""References; the one that was longest out of use goes first."""
COOL_DOWN = timedelta(seconds=10)
"""After a reading that failed: a store in trouble is not asked by everybody who comes by."""
_MOST_UNTOLD = 1000

_T = TypeVar("_T")

log = structlog.get_logger()


@dataclass(frozen=True)
class Reading:
    """One real reading of a secret: which, in which version, when, or why it failed. Never what."""

    reference: str
    version: str | None
    at: datetime
    failure: str | None = None


Listener = Callable[[Sequence[Reading]], None]


@dataclass(frozen=True)
class _Kept:
    secret: Secret
    read_at: datetime


@dataclass(frozen=True)
class _Failure:
    error: type[ConfigurationError]
    sentence: str
    at: datetime

    def again(self) -> ConfigurationError:
        """The same for the next one who asks; no two threads share an exception."""
        return self.error(self.sentence)


class SecretStores:
    """Made once per process, used from any thread. Values are handed out as bytes, and nobody else keeps them."""

    def __init__(self, setup: Setup, clock: Clock) -> None:
        self._setup = setup
        self._clock = clock
        # Nobody waits longer for somebody else's reading. A store gives up before.
        self._longest = 3 * setup.secrets.timeout.total_seconds()
        self._lock = threading.Lock()
        self._stores: dict[str, Store] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._flights: dict[str, Future[Secret]] = {}
        self._untold: queue.Queue[Reading | None] = queue.Queue(_MOST_UNTOLD)
        self._teller: threading.Thread | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return "SecretStores(***)"

    def resolve(self, reference: str) -> bytes:
        """The secret as of now, or as of `secrets.cache` ago at most. Blocks: from a thread, outside transactions.

        Raises SecretMissing, or StoreUnavailable when the last value is too old to stand in for the store.
        """
        return self.read(reference).value

    def read(self, reference: str) -> Secret:
        """As `resolve`, with what its store calls this version."""
        forbid_inside_transaction("reading a secret")
        _forbid_on_event_loop()
        return self._current(reference)

    def require(self, setting: str, reference: str) -> bytes:
        """The same for start-up: the sentence names the setting too."""
        try:
            return self.resolve(reference)
        except ConfigurationError as error:
            raise type(error)(f"{setting}: {error}") from None

    def latest(self, reference: str) -> bytes:
        """What was last read, without waiting; an older one is read again behind the caller's back.

        For where connections are opened, on the event loop or within a transaction. `require` it at start.
        """
        if not self._store_of(reference)[0].is_remote:
            return self._read_local(reference).value
        now = self._clock()
        with self._lock:
            kept = self._kept.get(reference)
            is_due = (
                not self._is_fresh(kept, now)
                and reference not in self._flights
                and not self._is_cooling_down(reference, now)
            )
        if is_due:
            threading.Thread(target=self._renew_quietly, args=(reference,), daemon=True).start()
        if kept is None or not self._may_stand_in(kept, now):
            raise StoreUnavailable(
                f"the secret {reference} was not read lately; its store is asked"
            )
        return kept.secret.value

    def renewed(self, reference: str) -> bytes:
        """Read anew, unless it was a moment ago: for a password that was just refused. Blocks, holding no locks."""
        if not self._store_of(reference)[0].is_remote:
            return self._read_local(reference).value
        with self._lock:
            kept = self._kept.get(reference)
        if kept is not None and kept.read_at <= self._clock() < kept.read_at + COOL_DOWN:
            return kept.secret.value
        return self._read(reference).value

    def report_to(self, listener: Listener) -> None:
        """Tell somebody what was read, from the beginning on, in a thread of its own; `close` waits for it."""
        self._teller = threading.Thread(
            target=self._tell, args=(listener,), name="secret-readings", daemon=True
        )
        self._teller.start()

    def close(self) -> None:
        """Tell the rest, forget everything."""
        teller, self._teller = self._teller, None
        if teller is not None:
            self._untold.put(None)
            teller.join(self._longest)
        with self._lock:
            self._is_closed = True
            stores, self._stores = list(self._stores.values()), {}
            self._kept.clear()
        for store in stores:
            store.close()

    def _current(self, reference: str) -> Secret:
        if not self._store_of(reference)[0].is_remote:
            return self._read_local(reference)
        now = self._clock()
        with self._lock:
            kept = self._kept.get(reference)
            if kept is not None and self._is_fresh(kept, now):
                self._kept.move_to_end(reference)
                return kept.secret
        return self._read(reference)

    def _is_fresh(self, kept: _Kept | None, now: datetime) -> bool:
        return kept is not None and kept.read_at <= now < kept.read_at + self._setup.secrets.cache

    def _is_cooling_down(self, reference: str, now: datetime) -> bool:
        """With the lock held."""
        failure = self._failures.get(reference)
        return failure is not None and failure.at <= now < failure.at + COOL_DOWN

    def _read(self, reference: str) -> Secret:
        """Ask the store, or wait for who is asking it already."""
        now = self._clock()
        with self._lock:
            if self._is_cooling_down(reference, now):
                return self._instead(reference, self._failures[reference], now)
            flight = self._flights.get(reference)
            is_leader = flight is None
            if flight is None:
                flight = self._flights[reference] = Future()
        if is_leader:
            self._fly(reference, flight)
        try:
            return flight.result(self._longest)
        except TookTooLong:
            raise StoreUnavailable(f"the store of {reference} does not answer") from None
        except ConfigurationError as error:
            raise type(error)(str(error)) from None

    def _fly(self, reference: str, flight: "Future[Secret]") -> None:
        try:
            secret = self._from_store(reference)
        except BaseException as error:  # noqa: BLE001 -- whoever waits for this reading must hear of its end
            self._land(reference, flight, error)
            return
        now = self._clock()
        with self._lock:
            del self._flights[reference]
            self._failures.pop(reference, None)
            _put(self._kept, reference, _Kept(secret, now))
        flight.set_result(secret)
        SECRET_READINGS.labels(reference.partition(":")[0], "read").inc()
        self._note(Reading(reference, secret.version, now))

    def _land(self, reference: str, flight: "Future[Secret]", error: BaseException) -> None:
        """The end of a reading that failed: the last value, where it may stand in."""
        scheme = reference.partition(":")[0]
        now = self._clock()
        with self._lock:
            del self._flights[reference]
            if isinstance(error, ConfigurationError):
                failure = _Failure(type(error), str(error), now)
                _put(self._failures, reference, failure)
                try:
                    flight.set_result(self._instead(reference, failure, now))
                except ConfigurationError as final:
                    flight.set_exception(final)
            else:
                flight.set_exception(error)
        is_down = isinstance(error, StoreUnavailable)
        SECRET_READINGS.labels(scheme, "unavailable" if is_down else "refused").inc()
        because = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
        self._note(Reading(reference, None, now, because))

    def _instead(self, reference: str, failure: _Failure, now: datetime) -> Secret:
        """With the lock held: the last value while its store is down, not for ever; else the failure."""
        if failure.error is not StoreUnavailable:
            self._kept.pop(reference, None)
            raise failure.again()
        kept = self._kept.get(reference)
        if kept is None or not self._may_stand_in(kept, now):
            raise failure.again()
        return kept.secret

    def _may_stand_in(self, kept: _Kept, now: datetime) -> bool:
        secrets = self._setup.secrets
        return kept.read_at <= now < kept.read_at + max(secrets.stale, secrets.cache)

    def _from_store(self, reference: str) -> Secret:
        store, name = self._store_of(reference)
        secret = store.read(name)
        if not secret.value:
            raise SecretMissing(f"the secret {reference} is empty; store a value")
        return secret

    def _read_local(self, reference: str) -> Secret:
        """Told of when it is another version than the last time, or has not failed a moment ago, too."""
        now = self._clock()
        try:
            secret = self._from_store(reference)
        except ConfigurationError as error:
            SECRET_READINGS.labels(reference.partition(":")[0], "refused").inc()
            with self._lock:
                is_known = self._is_cooling_down(reference, now)
                if not is_known:
                    _put(self._failures, reference, _Failure(type(error), str(error), now))
            if not is_known:
                self._note(Reading(reference, None, now, str(error)))
            raise
        with self._lock:
            self._failures.pop(reference, None)
            kept = self._kept.get(reference)
            is_known = kept is not None and kept.secret.version == secret.version
            if not is_known:
                # Without the value: it is read again anyhow.
                _put(self._kept, reference, _Kept(Secret(b"", secret.version), now))
        if not is_known:
            SECRET_READINGS.labels(reference.partition(":")[0], "read").inc()
            self._note(Reading(reference, secret.version, now))
        return secret

    def _renew_quietly(self, reference: str) -> None:
        try:
            self._read(reference)
        except ConfigurationError:
            return  # logged where it failed

    def _store_of(self, reference: str) -> tuple[Store, str]:
        scheme, _, name = reference.partition(":")
        if not is_reference(reference):
            # What stands there instead may be the secret itself.
            known = ", ".join(f"{name}:" for name in STORES)
            shown = repr(reference) if scheme in STORES else "what was given"
            raise SecretMissing(f"{shown} is not a secret reference; use one of {known}")
        with self._lock:
            if scheme not in self._stores:
                module, _, made = STORES[scheme].partition(":")
                kind = getattr(importlib.import_module(module), made)
                if self._is_closed and kind.is_remote:
                    raise StoreUnavailable(f"{scheme}: is asked no longer; this process ends")
                self._stores[scheme] = kind(self._setup)
            return self._stores[scheme], name

    def _note(self, reading: Reading) -> None:
        try:
            self._untold.put_nowait(reading)
        except queue.Full:
            if self._teller is not None:  # else nobody is there to hear it
                log.warning("secret.reading_untold", reference=reading.reference)

    def _tell(self, listener: Listener) -> None:
        while (reading := self._untold.get()) is not None:
            try:
                listener([reading])
            except Exception:
                log.exception("secret.reading_untold", reference=reading.reference)


def is_reference(text: str) -> bool:
    """Whether it has the form of one; what is behind it is another question."""
    scheme, _, name = text.partition(":")
    return scheme in STORES and bool(name) and text.isprintable()


def _put(shelf: OrderedDict[str, _T], key: str, value: _T) -> None:
    shelf[key] = value
    shelf.move_to_end(key)
    while len(shelf) > MOST_KEPT:
        shelf.popitem(last=False)


def _forbid_on_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("reading a secret on the event loop")
