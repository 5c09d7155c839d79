"""What became of one call of a tool, in the form in which it is reported; never what it was called with (pure)."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.resource_server.access_token import AccessToken

OK, ERROR, DENIED = "ok", "error", "denied"
_MAX_TOOL_CHARS = 256
_MAX_DURATION_MS = 2**31 - 1
# What an authorization server of ours calls its tokens and grants, and how this package calls its reasons.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REASON = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True)
class Began:
    """When a call began, by the clock on the wall and by one that nobody sets."""

    at: float
    ticks: float


@dataclass(frozen=True)
class Outcome:
    """One call: when, with which token, which tool, and how it ended."""

    at: float
    token: AccessToken
    tool: str
    outcome: str
    reason: str | None = None
    seconds: float | None = None
    traceparent: str | None = None
    arguments_digest: str | None = None


def spell(outcome: Outcome) -> str | None:
    """The outcome as JSON, or None for a token that the authorization server could not have minted."""
    token = outcome.token
    if not _NAME.fullmatch(token.jti):
        return None
    members: dict[str, Any] = {
        "at": round(outcome.at, 3),
        "jti": token.jti,
        "tool": _sayable(outcome.tool),
        "outcome": outcome.outcome,
    }
    if token.grant_id is not None and _NAME.fullmatch(token.grant_id):
        members["grant_id"] = token.grant_id
    if outcome.reason is not None:
        members["reason"] = outcome.reason if _REASON.fullmatch(outcome.reason) else "other"
    if outcome.seconds is not None:
        members["duration_ms"] = min(max(0, math.ceil(outcome.seconds * 1000)), _MAX_DURATION_MS)
    if outcome.traceparent is not None:
        members["traceparent"] = outcome.traceparent
    if outcome.arguments_digest is not None:
        members["arguments_sha256"] = outcome.arguments_digest
    return json.dumps(members, separators=(",", ":"))


def digest_arguments(arguments: Mapping[str, Any]) -> str:
    """SHA-256 of the arguments as JSON with sorted keys: equal for equal arguments, in whatever order they came."""
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sayable(tool: str) -> str:
    """A caller may ask for a tool of any name; what is refused here would spoil the batch that names it."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in tool)
    return shown[:_MAX_TOOL_CHARS] or "\N{REPLACEMENT CHARACTER}"
