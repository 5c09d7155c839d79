"""Key stores that are asked over HTTP with JSON, by the session that also reads secrets there: who we are is said once.

One question, one bounded answer, one kind of error.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from authz.keys.backends import BackendError
from authz.keys.backends.formats import malformed
from authz.secretstores import SecretMissing, StoreUnavailable
from authz.secretstores.calls import Answer

_REASONS = {401: "store_denied", 403: "store_denied", 404: "key_unknown"}


class Session(Protocol):
    """Whoever is signed in there."""

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """See `Calls.run`."""


def answer_of(name: str, session: Session, work: Coroutine[Any, Any, Answer]) -> Mapping[str, Any]:
    """The members of what the store says to one question; none where there is no body. Raises BackendError."""
    try:
        answer = session.run(work)
    except StoreUnavailable as error:
        raise BackendError(str(error), reason="store_unavailable") from None
    except SecretMissing as error:
        raise BackendError(str(error), reason="credentials") from None
    if answer.status not in (200, 201, 204):
        # Its text is not quoted: it may repeat what was sent.
        raise BackendError(
            f"{name} answered {answer.status}", reason=_REASONS.get(answer.status, "refused")
        )
    return answer.members


def member(answer: Mapping[str, Any], *path: str) -> Any:
    """What is at this path of an answer. Raises BackendError."""
    found: Any = answer
    for name in path:
        if not isinstance(found, dict) or name not in found:
            raise malformed()
        found = found[name]
    return found
