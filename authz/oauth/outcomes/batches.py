"""A batch of outcomes (`typ` `tool-outcomes+jwt`): is it that, and what does it say? Pure.

Decisions:
- It can be taken for no other JWT and no other for it: a `typ` of its own, and neither `sub` nor `exp` (ATK-36).
- No member is optional that a reporter can know, and none is unknown: what nobody reads cannot hide anything, and
  nobody can put arguments or results into a member of their own.
- One public sentence for every defect: who may send a batch has its library's log for the rest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authz import entropy
from authz.errors import InvalidRequest
from authz.jose import (
    ASYMMETRIC,
    LEEWAY,
    JwtError,
    Key,
    read_unverified,
    time_claim,
    verify_signature,
)
from authz.telemetry.traceparent import TraceParent, read_traceparent

TYP = "tool-outcomes+jwt"
PARAMETER = "batch"
MAX_CHARS = 128 * 1024
MAX_OUTCOMES = 256
MAX_AGE = timedelta(days=30)
"""How long an outcome may have been on its way: a spool is bounded, and so is how long it makes sense to wait."""
OUTCOMES = ("ok", "error", "denied")
_SENTENCE = "the batch is none that is taken here"
_LARGEST = 2**53 - 1
_MAX_DURATION_MS = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Of batches, reporters, tokens and grants; every one of ours is of these characters."""
_REASON = re.compile(r"[a-z0-9_]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TOOL_CHARS = 256
_MEMBERS = frozenset(
    {"iss", "aud", "iat", "jti", "resource", "reporter", "sequence", "lost", "outcomes"}
)
_NEEDED = frozenset({"at", "jti", "tool", "outcome"})
_ALLOWED = _NEEDED | {"grant_id", "reason", "duration_ms", "traceparent", "arguments_sha256"}


@dataclass(frozen=True)
class CallOutcome:
    """What became of one call."""

    at: datetime
    jti: str
    grant_id: str | None
    tool: str
    outcome: str
    reason: str | None
    duration_ms: int | None
    trace: TraceParent | None
    arguments_digest: str | None


@dataclass(frozen=True)
class Batch:
    """A believed batch."""

    name: str
    resource: str
    """The audience of the tokens, as the reporter spells it."""
    reporter: str
    sequence: int
    lost: int
    outcomes: tuple[CallOutcome, ...]
    content: str
    """Digest of what was signed."""
    statement: str

    def __repr__(self) -> str:
        return f"Batch({self.name!r})"


def batch_row_id(tenant_id: str, client_id: str, name: str) -> str:
    """Of its row: the same for the same batch, and for no other client's."""
    return entropy.digest("\x00".join((tenant_id, client_id, name)))


def refused(reason: str) -> InvalidRequest:
    """The one answer to every defect."""
    return InvalidRequest(_SENTENCE, reason=reason)


def read_key_name(statement: str) -> object:
    """The `kid` that the header names, before any trust. Raises InvalidRequest."""
    try:
        header, _ = read_unverified(statement, max_chars=MAX_CHARS)
    except JwtError as error:
        raise refused(error.reason) from None
    return header.get("kid")


def verify(
    statement: str, keys: Sequence[Key], *, client_id: str, issuer: str, now: datetime
) -> Batch:
    """The batch. Raises InvalidRequest."""
    try:
        claims = verify_signature(
            statement, keys, typ=TYP, algorithms=ASYMMETRIC, max_chars=MAX_CHARS
        )
        issued = time_claim(claims, "iat")
    except JwtError as error:
        raise refused(error.reason) from None
    if claims.keys() != _MEMBERS:
        raise refused("batch_members")
    if claims["iss"] != client_id:
        raise refused("batch_iss")
    # A list of one is another spelling, and nobody needs two.
    if claims["aud"] != issuer:
        raise refused("batch_aud")
    if _moment(issued) > now + LEEWAY:
        raise refused("batch_from_the_future")
    return Batch(
        name=_name(claims, "jti"),
        resource=_resource(claims["resource"]),
        reporter=_name(claims, "reporter"),
        sequence=_count(claims["sequence"], "sequence", least=1),
        lost=_count(claims["lost"], "lost"),
        outcomes=_outcomes(claims["outcomes"], _moment(issued), now),
        content=entropy.digest(statement.split(".")[1]),
        statement=statement,
    )


def _outcomes(value: object, issued_at: datetime, now: datetime) -> tuple[CallOutcome, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_OUTCOMES:
        raise refused("batch_outcomes")
    latest = min(now, issued_at) + LEEWAY
    return tuple(_outcome(entry, now - MAX_AGE, latest) for entry in value)


def _outcome(entry: object, earliest: datetime, latest: datetime) -> CallOutcome:
    if not isinstance(entry, dict) or not _NEEDED <= entry.keys() <= _ALLOWED:
        raise refused("outcome_members")
    try:
        seconds = time_claim(entry, "at")
    except JwtError:
        raise refused("outcome_at") from None
    at = _moment(seconds)
    if not earliest <= at <= latest:
        raise refused("outcome_at")
    outcome, reason = entry["outcome"], entry.get("reason")
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        raise refused("outcome_unknown")
    # Why not is what a refusal is about; a success has no reason.
    if (outcome == "denied" and reason is None) or (outcome == "ok" and "reason" in entry):
        raise refused("outcome_reason")
    return CallOutcome(
        at=at,
        jti=_name(entry, "jti"),
        grant_id=_name(entry, "grant_id") if "grant_id" in entry else None,
        tool=_tool(entry["tool"]),
        outcome=outcome,
        reason=_matching(entry, "reason", _REASON) if "reason" in entry else None,
        duration_ms=(
            _count(entry["duration_ms"], "duration", most=_MAX_DURATION_MS)
            if "duration_ms" in entry
            else None
        ),
        trace=_trace(entry["traceparent"]) if "traceparent" in entry else None,
        arguments_digest=(
            _matching(entry, "arguments_sha256", _DIGEST) if "arguments_sha256" in entry else None
        ),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _name(members: Mapping[str, Any], name: str) -> str:
    return _matching(members, name, _NAME)


def _matching(members: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = members[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise refused(f"{name}_malformed")
    return value


def _resource(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 2048:
        raise refused("resource_malformed")
    return value


def _tool(value: object) -> str:
    # Printable: neither a line break for a log nor what no database stores.
    if not isinstance(value, str) or not 1 <= len(value) <= _TOOL_CHARS or not value.isprintable():
        raise refused("tool_malformed")
    return value


def _count(value: object, name: str, *, least: int = 0, most: int = _LARGEST) -> int:
    # True is an int in Python, and 1.0 is another spelling of 1.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(f"{name}_malformed")
    return value


def _trace(value: object) -> TraceParent:
    found = read_traceparent(value) if isinstance(value, str) else None
    if found is None:
        raise refused("traceparent_malformed")
    return found
