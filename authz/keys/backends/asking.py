"""Key stores that are asked over HTTP with JSON: one question, one bounded answer, one kind of error."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from authz.keys.backends import DEADLINE, BackendError
from authz.keys.backends.formats import malformed
from authz.net import Network, NetworkError, Profile

_MAX_BYTES = 64 * 1024
_REASONS = {401: "store_denied", 403: "store_denied", 404: "key_unknown", 429: "busy"}


class Store:
    """One base URL; `headers` says who asks, anew with each question, since what it says may expire."""

    def __init__(
        self, network: Network, name: str, base: str, headers: Callable[[], Mapping[str, str]]
    ) -> None:
        self._network = network
        self._name = name
        self._base = base.rstrip("/")
        self._headers = headers

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """The answer's JSON object; an empty one where there is no body. Raises BackendError."""
        headers = {**self._headers(), "Content-Type": "application/json"}
        work = self._network.fetch(
            f"{self._base}{path}",
            profile=Profile.OPERATOR,
            max_bytes=_MAX_BYTES,
            timeout=DEADLINE,
            method=method,
            headers=headers,
            content=None if body is None else json.dumps(body).encode(),
        )
        try:
            answer = self._network.run_blocking(work)
        except NetworkError as error:
            raise BackendError(f"{self._name}: {error}", reason=error.reason) from error
        if answer.status not in (200, 201, 204):
            # Its text is not quoted: it may repeat what was sent.
            raise BackendError(
                f"{self._name} answered {answer.status}",
                reason=_REASONS.get(answer.status, "refused"),
            )
        if not answer.body:
            return {}
        try:
            found = json.loads(answer.body)
        except ValueError:
            raise malformed() from None
        if not isinstance(found, dict):
            raise malformed()
        return found


def member(answer: Mapping[str, Any], *path: str) -> Any:
    """What is at this path of an answer. Raises BackendError."""
    found: Any = answer
    for name in path:
        if not isinstance(found, dict) or name not in found:
            raise malformed()
        found = found[name]
    return found
