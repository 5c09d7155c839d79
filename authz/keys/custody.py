"""Which store keeps which key: makes keys where they are to stay, and has them sign without anybody waiting for ever.

Decisions:
- Never a fallback: a key that cannot sign is an outage (`SignerUnavailable`, 503 with Retry-After), not a reason to
  sign with another one.
- Every remote signature is verified with the public half before it leaves: a store that answers with another key's
  signature, or with rubbish, would hand out tokens that nobody accepts.
- A store is asked in threads of its own, so many at a time and no more, whoever asks: when it hangs, who comes next is
  told at once, the event loop never waits, a job fails at its deadline, and the process ends all the same.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc.jwk import ECKey, Key, RSAKey

from authz import entropy
from authz.errors import ConfigurationError, SignerUnavailable
from authz.jose import is_signed_by
from authz.keys.backends import (
    DEADLINE,
    LOCAL,
    Backend,
    BackendError,
    Surroundings,
    open_backend,
)
from authz.keys.backends.formats import check
from authz.keys.backends.local import generate
from authz.keys.threads import AskingThreads, Busy
from authz.telemetry.metrics import REMOTE_SIGNATURES
from authz.transactions import forbid_inside_transaction, mark_done

AT_ONCE = 32
"""Signatures under way; a store of 20 ms makes 1,600 a second of them."""
SIGNING = 2 * DEADLINE
"""Two signatures at most, and what waits before them."""
MAKING = timedelta(seconds=20)
"""Of a key: a module may search for primes that long."""
UNAVAILABLE = "signing is not possible right now, try again shortly"

log = structlog.get_logger()
_T = TypeVar("_T")


@dataclass(frozen=True)
class NewKey:
    """A key that is made and not stored yet: making it is slow and happens before the transaction."""

    purpose: str
    algorithm: str
    key: Key
    """With its private part where it is local, public alone where it is not."""
    backend: str = LOCAL
    reference: str | None = None


@dataclass(frozen=True)
class RemoteKey:
    """What this process has of a key that is elsewhere."""

    backend: str
    reference: str
    algorithm: str
    public: Key

    def __repr__(self) -> str:
        return f"RemoteKey({self.backend!r}, {self.algorithm!r})"


class Custody:
    """One per process. Backends are opened when they are first needed, and stay open."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._open: dict[str, Backend] = {}
        self._lock = threading.Lock()
        self._threads = AskingThreads(AT_ONCE)

    def backend(self, name: str) -> Backend:
        """The opened one. Raises ConfigurationError."""
        with self._lock:
            if name not in self._open:
                self._open[name] = open_backend(name, self._around)
            return self._open[name]

    def place_of(self, purpose: str) -> str:
        """Where new keys of this purpose are made."""
        keys = self._around.settings.keys
        return LOCAL if purpose in keys.local_purposes else keys.backend

    def make(self, purpose: str, algorithm: str) -> NewKey:
        """A new key where this installation keeps them. Raises BackendError, ConfigurationError."""
        if self.place_of(purpose) == LOCAL:
            return NewKey(purpose, algorithm, generate(algorithm))
        return self._within(MAKING, partial(self._made, purpose, algorithm))

    def _made(self, purpose: str, algorithm: str) -> NewKey:
        # A name is never used twice, and says what it is for to whoever looks into the store.
        label = f"authz-{purpose}-{entropy.new_id('k')}".replace("_", "-")
        created = self.backend(self.place_of(purpose)).create(label, algorithm)
        return self._adopted(purpose, algorithm, created)

    def adopt(self, purpose: str, algorithm: str, reference: str) -> NewKey:
        """A key that somebody made in the store already. Raises BackendError, ConfigurationError."""
        if self.place_of(purpose) == LOCAL:
            raise ConfigurationError(
                "keys.backend is local; a reference names a key of another backend"
            )
        return self._within(MAKING, partial(self._adopted, purpose, algorithm, reference))

    def _adopted(self, purpose: str, algorithm: str, reference: str) -> NewKey:
        name = self.place_of(purpose)
        der = check(self.backend(name).public_key(reference), algorithm)
        kind = RSAKey if algorithm == "RS256" else ECKey
        public = kind.import_key(load_der_public_key(der))  # type: ignore[arg-type]
        made = NewKey(purpose, algorithm, public, name, reference)
        # It is asked for a signature now, and not first by somebody who wants a token.
        self._signature(RemoteKey(name, reference, algorithm, public), b"authz: this key signs")
        return made

    def sign(self, key: RemoteKey, data: bytes) -> bytes:
        """A signature that the public half verifies. Blocks. Raises SignerUnavailable."""
        try:
            signature = self._within(SIGNING, partial(self._signature, key, data))
        except (BackendError, ConfigurationError) as error:
            reason = error.reason if isinstance(error, BackendError) else "not_configured"
            REMOTE_SIGNATURES.labels(key.backend, "failed").inc()
            log.warning(
                "keys.signing_failed",
                backend=key.backend,
                key=key.reference,
                reason=reason,
                error=str(error),
            )
            raise SignerUnavailable(UNAVAILABLE, reason="signer_unavailable") from error
        REMOTE_SIGNATURES.labels(key.backend, "signed").inc()
        return signature

    def _signature(self, key: RemoteKey, data: bytes) -> bytes:
        signature = self.backend(key.backend).sign(key.reference, key.algorithm, data)
        if not is_signed_by(key.public, algorithm=key.algorithm, data=data, signature=signature):
            raise BackendError(
                f"what {key.backend} answered is no signature of its key {key.reference}",
                reason="signature_of_other_key",
            )
        return signature

    async def aside(self, work: Callable[[], _T]) -> _T:
        """`work` that signs, off the event loop and within the deadline. Raises SignerUnavailable."""
        try:
            running = asyncio.wrap_future(self._threads.submit(work))
        except Busy:
            log.warning("keys.signing_failed", reason="busy")
            raise SignerUnavailable(UNAVAILABLE, reason="signer_unavailable") from None
        running.add_done_callback(_forget)
        try:
            return await asyncio.wait_for(asyncio.shield(running), SIGNING.total_seconds())
        except TimeoutError:
            log.warning("keys.signing_failed", reason="deadline")
            raise SignerUnavailable(UNAVAILABLE, reason="signer_unavailable") from None

    def _within(self, limit: timedelta, work: Callable[[], _T]) -> _T:
        """The same for whoever may block: jobs, the console, the command line. Raises BackendError besides."""
        if self._threads.is_here:
            return work()
        forbid_inside_transaction("asking a key store")
        # A second run of the caller would make a second key.
        mark_done()
        try:
            return self._threads.submit(work).result(limit.total_seconds())
        except Busy:
            raise BackendError("the key store is asked by too many", reason="busy") from None
        except TimeoutError:
            raise BackendError("the key store did not answer in time", reason="deadline") from None

    def close(self) -> None:
        """Let go of threads and backends."""
        self._threads.close()
        with self._lock:
            for name, backend in self._open.items():
                _close(name, backend)
            self._open.clear()


def _forget(running: "asyncio.Future[_T]") -> None:
    """Of work that nobody waits for any more."""
    if not running.cancelled():
        running.exception()


def _close(name: str, backend: Backend) -> None:
    try:
        backend.close()
    except BackendError as error:
        log.warning("keys.not_closed", backend=name, reason=error.reason)
