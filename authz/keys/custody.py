"""Which store keeps which key: makes keys where they are to stay, and has them sign without anybody waiting for ever.

Decisions:
- Never a fallback: a key that cannot sign is an outage (`SignerUnavailable`, 503 with Retry-After), not a reason to
  sign with another one.
- Every remote signature is verified with the public half before it leaves: a store that answers with another key's
  signature, or with rubbish, would hand out tokens that nobody accepts.
- Remote signing happens in threads of its own, so many at a time and no more: when a store hangs, who comes next is
  told at once, and the event loop never waits.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
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
from authz.telemetry.metrics import REMOTE_SIGNATURES

AT_ONCE = 32
"""Signatures under way; a store of 20 ms makes 1,600 a second of them."""
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
        self._under_way = 0

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="signing")

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
        name = self.place_of(purpose)
        if name == LOCAL:
            return NewKey(purpose, algorithm, generate(algorithm))
        # A name is never used twice, and says what it is for to whoever looks into the store.
        label = f"authz-{purpose}-{entropy.new_id('k')}".replace("_", "-")
        return self.adopt(purpose, algorithm, self.backend(name).create(label, algorithm))

    def adopt(self, purpose: str, algorithm: str, reference: str) -> NewKey:
        """A key that somebody made in the store already. Raises BackendError, ConfigurationError."""
        name = self.place_of(purpose)
        if name == LOCAL:
            raise ConfigurationError(
                "keys.backend is local; a reference names a key of another backend"
            )
        der = check(self.backend(name).public_key(reference), algorithm)
        kind = RSAKey if algorithm == "RS256" else ECKey
        public = kind.import_key(load_der_public_key(der))  # type: ignore[arg-type]
        made = NewKey(purpose, algorithm, public, name, reference)
        # It is asked for a signature now, and not first by somebody who wants a token.
        self.prove(RemoteKey(name, reference, algorithm, public))
        return made

    def prove(self, key: RemoteKey) -> None:
        """Whether the store signs with it. Raises BackendError, ConfigurationError."""
        self._signature(key, b"authz: this key signs")

    def sign(self, key: RemoteKey, data: bytes) -> bytes:
        """A signature that the public half verifies. Blocks. Raises SignerUnavailable."""
        try:
            signature = self._signature(key, data)
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
        if self._under_way >= AT_ONCE:
            log.warning("keys.signing_failed", reason="busy")
            raise SignerUnavailable(UNAVAILABLE, reason="signer_unavailable")
        self._under_way += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._done)
        try:
            # Two signatures at most, and what waits before them.
            return await asyncio.wait_for(asyncio.shield(running), 2 * DEADLINE.total_seconds())
        except TimeoutError:
            log.warning("keys.signing_failed", reason="deadline")
            raise SignerUnavailable(UNAVAILABLE, reason="signer_unavailable") from None

    def _done(self, running: "asyncio.Future[_T]") -> None:
        self._under_way -= 1
        if not running.cancelled():
            running.exception()  # of work that nobody waits for any more

    def close(self) -> None:
        """Let go of threads and backends."""
        if "_threads" in self.__dict__:
            self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for backend in self._open.values():
                backend.close()
            self._open.clear()
