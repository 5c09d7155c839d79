"""How an answer is judged, and what a scenario says when it ends: a sentence, or one of two exceptions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from authz.jose import JwtError, read_unverified
from authz.net.strict_json import NotStrict, read_object

GRANT = frozenset({"invalid_grant"})
"""What every defect of an assertion is answered with (RFC 7521 §4.1.1)."""
REQUEST = frozenset({"invalid_request"})
TARGET = frozenset({"invalid_target", "invalid_grant"})
"""A resource that is not ours: the draft says `invalid_grant`, RFC 8707 `invalid_target`."""
SCOPE = frozenset({"invalid_scope", "access_denied", "invalid_grant"})
_REFUSING = frozenset({400, 401, 403})
_SHOWN_CHARS = 80


class Outcome(StrEnum):
    """How one scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    SHORT = "falls short"
    """It failed, and is recommended rather than demanded."""
    NOT_OFFERED = "not offered"


class Failed(Exception):
    """The server did what it must not, or did not do what it must."""


class NotOffered(Exception):
    """The question does not arise at this server, or the lab was not told what it takes to ask."""


@dataclass(frozen=True)
class Answer:
    """What one request got. `status` is None when nothing came back."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    problem: str | None = None

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The JSON object in it; empty when there is none."""
        try:
            return read_object(self.body)
        except NotStrict:
            return {}

    @property
    def is_granted(self) -> bool:
        """It holds a token."""
        return self.status == 200 and "access_token" in self.document

    @property
    def access_token(self) -> str:
        """The token, whatever it is."""
        return str(self.document.get("access_token", ""))

    @property
    def error(self) -> str | None:
        """The error code."""
        found = self.document.get("error")
        return found if isinstance(found, str) else None

    @property
    def scopes(self) -> frozenset[str] | None:
        """What it says it grants; None when it does not say."""
        found = self.document.get("scope")
        return frozenset(found.split()) if isinstance(found, str) else None

    def told(self) -> str:
        """What happened, without anything that opens a door."""
        if self.status is None:
            return f"no answer ({self.problem})"
        if self.is_granted:
            return "a token"
        return f"{self.status} {shown(self.error)}" if self.error else f"{self.status}"


def shown(value: object) -> str:
    """A value that somebody else chose: escaped and short."""
    text = ascii(value)[1:-1] if isinstance(value, str) else ascii(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def granted(answer: Answer, what: str = "it") -> Answer:
    """A token came. Raises Failed."""
    if not answer.is_granted:
        raise Failed(f"{what} is refused: {answer.told()}")
    return answer


def refused(answer: Answer, codes: frozenset[str] = GRANT) -> str:
    """No token came, and the error is one of those that are due. Raises Failed."""
    if answer.is_granted or answer.access_token:
        raise Failed("it is redeemed for a token")
    if answer.status not in _REFUSING:
        raise Failed(f"it is answered with {answer.told()}, which is no refusal")
    if answer.error not in codes:
        raise Failed(f"it is refused with {answer.told()}, where {_listed(codes)} is due")
    return f"refused with {answer.told()}"


def not_granted(answer: Answer) -> str:
    """No token came; how that was said is not prescribed. Raises Failed."""
    if answer.is_granted or answer.access_token:
        raise Failed("it is answered with a token")
    if answer.status is None or answer.status >= 500:
        raise Failed(f"it is answered with {answer.told()}")
    return f"answered with {answer.told()}"


def claims_of(answer: Answer) -> Mapping[str, Any]:
    """What the access token says, unverified. Raises Failed, or NotOffered for one that only its issuer reads."""
    return _parts(granted(answer))[1]


def header_of(answer: Answer) -> Mapping[str, Any]:
    """The header of the access token, likewise."""
    return _parts(granted(answer))[0]


def _parts(answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return read_unverified(answer.access_token)
    except JwtError:
        raise NotOffered(
            "access tokens are no JWTs here, so nobody but the server reads them"
        ) from None


def _listed(codes: frozenset[str]) -> str:
    return " or ".join(sorted(codes))
