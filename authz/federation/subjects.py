"""Whom a security event is about, as its sender says it (RFC 9493, Shared Signals Framework); pure.

Decisions:
- What cannot be read is not guessed: a format or a member that nobody here understands makes the event be about nobody,
  because it may narrow down, or exchange, whom the rest names (SSF-02).
- A device is no narrowing: no device of anybody is known here, so what is said of a person on one of them holds for the
  person. An application, a unit or a group beside a person is none either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_CHARS = 512
_BESIDE_A_PERSON = frozenset({"device", "application", "org_unit", "group"})
_READ = frozenset({"user", "session", "tenant"})


class SubjectRefused(Exception):
    """Nobody can be told from this; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Identifier:
    """One name of one thing."""

    format: str
    """`email`, `iss_sub` or `opaque`."""
    value: str
    issuer: str | None = None
    """Of `iss_sub`."""

    def __repr__(self) -> str:
        return f"Identifier({self.format!r})"


@dataclass(frozen=True)
class Subject:
    """A person, a session, or both; within a customer of the sender, where it says which one."""

    user: Identifier | None = None
    session: Identifier | None = None
    tenant: Identifier | None = None
    either: Identifier | None = None
    """An opaque name that stands alone: of a person or of a session, as the events of both kinds have it."""


def read_subject(value: object) -> Subject:
    """The subject of an event. Raises SubjectRefused."""
    if not isinstance(value, Mapping):
        raise SubjectRefused("subject_malformed")
    kind = value.get("format")
    if kind == "complex" or (kind is None and not _READ.isdisjoint(value)):
        # Before the framework's first version complex ones had no format.
        return _complex({name: member for name, member in value.items() if name != "format"})
    one = _identifier(value)
    return Subject(either=one) if one.format == "opaque" else Subject(user=one)


def _complex(members: Mapping[str, Any]) -> Subject:
    if members.keys() - _READ - _BESIDE_A_PERSON:
        raise SubjectRefused("subject_member_unknown")
    read = {name: _identifier(members[name]) for name in _READ if name in members}
    if "user" not in read and "session" not in read:
        raise SubjectRefused("subject_not_a_person")
    session = read.get("session")
    if session is not None and session.format == "email":
        raise SubjectRefused("subject_malformed")
    return Subject(**read)


def _identifier(value: object) -> Identifier:
    if not isinstance(value, Mapping):
        raise SubjectRefused("subject_malformed")
    match value.get("format"):
        case "email":
            return Identifier("email", _text(value, "email"))
        case "iss_sub":
            return Identifier("iss_sub", _text(value, "sub"), _text(value, "iss"))
        case "opaque":
            return Identifier("opaque", _text(value, "id"))
    raise SubjectRefused("subject_format_unknown")


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    # Printable: neither NUL nor half a surrogate pair, which no database stores.
    if not isinstance(text, str) or not 1 <= len(text) <= _MAX_CHARS or not text.isprintable():
        raise SubjectRefused("subject_malformed")
    return text
