"""What is behind the reference of a credential, read for the one request that may have it. Keeps nothing.

Decisions:
- Some threads of its own, and a turn for each: a store that hangs holds up those who ask it, and nobody who wants a
  token. Who waits for a turn longer than a store is given is told to come again.
- A secret that the store does not say is a 503, because the next minute may bring it. One that is not there, or is
  nothing that an answer can carry, is a 500 and a line in the log: somebody has to mend it.
"""

import asyncio
import unicodedata
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from authz.errors import ConfigurationError, SecretUnavailable, ServerError
from authz.keys.threads import AskingThreads, Busy
from authz.secretstores import Secret, SecretStores, StoreUnavailable

MOST_AT_ONCE = 8
PATIENCE = timedelta(seconds=10)
"""For a turn."""
_UNAVAILABLE = "the credential is not available now"
_UNUSABLE = "the credential cannot be released"
_CONTROL = "Cc"

log = structlog.get_logger()


@dataclass(frozen=True)
class UpstreamSecret:
    """The value of a moment ago, what its store calls this version, and where it was read."""

    reference: str
    value: str = field(repr=False)
    version: str | None


class UpstreamSecrets:
    """One per process, on the event loop."""

    def __init__(self, secrets: SecretStores) -> None:
        self._secrets = secrets
        self._threads = AskingThreads(MOST_AT_ONCE, name="upstream")
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def read(self, reference: str) -> UpstreamSecret:
        """The secret as of now, or as of `secrets.cache` ago at most. Raises SecretUnavailable, ServerError."""
        try:
            secret = await self._read(reference)
        except (StoreUnavailable, Busy, TimeoutError) as error:
            log.warning("credential.not_read", reference=reference, because=_because(error))
            raise SecretUnavailable(_UNAVAILABLE, reason="secret_store_unavailable") from None
        except ConfigurationError as error:
            log.warning("credential.not_read", reference=reference, because=str(error))
            raise ServerError(_UNUSABLE, reason="credential_missing") from None
        return UpstreamSecret(reference, _text(reference, secret.value), secret.version)

    async def _read(self, reference: str) -> Secret:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await self._turns.acquire()
        try:
            work = partial(self._secrets.read, reference)
            return await asyncio.wrap_future(self._threads.submit(work))
        finally:
            self._turns.release()

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.close()


def _text(reference: str, value: bytes) -> str:
    """RFC 6749 §A.12 has visible ASCII alone in `access_token`; passwords have more, and nothing that ends a line."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or any(unicodedata.category(it) == _CONTROL for it in text):
        log.warning(
            "credential.not_read",
            reference=reference,
            because="it is not UTF-8 text without control characters; store it encoded, or one member with #KEY",
        )
        raise ServerError(_UNUSABLE, reason="credential_not_text")
    return text


def _because(error: Exception) -> str:
    return str(error) if isinstance(error, StoreUnavailable) else "too many ask"
