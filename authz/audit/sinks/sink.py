"""What every sink is, and what sinks are handed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from authz.audit.formats.told import Told
from authz.clock import Clock
from authz.errors import ConfigurationError
from authz.net import Fetched, Network, NetworkError, Profile

_MAX_BYTES = 64 * 1024


class NotTaken(Exception):
    """The other side did not take it; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sink(Protocol):
    """One place."""

    def send(self, page: Sequence[Told]) -> None:
        """Hand over some events of one strand, in order; blocks until they are taken. Raises NotTaken."""


@dataclass(frozen=True)
class Way:
    """How sinks get out."""

    network: Network
    resolve_secret: Callable[[str], bytes]
    clock: Clock

    def secret(self, reference: str) -> bytes:
        """Read at every delivery, so that a new one counts without a restart. Raises NotTaken."""
        try:
            return self.resolve_secret(reference)
        except ConfigurationError:
            raise NotTaken("secret") from None

    def post(self, url: str, content: bytes, headers: dict[str, str]) -> Fetched:
        """Raises NotTaken for everything but an answer 2xx."""
        asked = self.network.fetch(
            url,
            profile=Profile.OPERATOR,
            max_bytes=_MAX_BYTES,
            method="POST",
            headers=headers,
            content=content,
        )
        try:
            answer = self.network.run_blocking(asked)
        except NetworkError as error:
            raise NotTaken(error.reason) from error
        if not 200 <= answer.status < 300:
            raise NotTaken(f"status_{answer.status}")
        return answer
