"""A compact JWS taken apart, strictly, before any trust."""

import base64
import json
from typing import Any

MAX_TOKEN_CHARS = 16 * 1024
MAX_HEADER_CHARS = 4096


class JwtError(Exception):
    """A token was refused; `reason` is for logs and tests, never for the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_unverified(
    token: str, *, max_chars: int = MAX_TOKEN_CHARS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims before any trust, to find out whose key to use. Raises JwtError."""
    if len(token) > max_chars:
        raise JwtError("jwt_too_long")
    parts = token.split(".")
    if len(parts) != 3:
        raise JwtError("jwt_not_compact")
    if len(parts[0]) > MAX_HEADER_CHARS:
        raise JwtError("jwt_header_too_long")
    return _object(parts[0]), _object(parts[1])


def encode(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    """Strict base64url without padding: two spellings of one value must not both pass."""
    if not part.isascii() or "=" in part or "+" in part or "/" in part:
        raise ValueError("not base64url")
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if encode(raw) != part:
        raise ValueError("not base64url")
    return raw


def _object(part: str) -> dict[str, Any]:
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32, and skip a byte order mark.
        text = decode(part).decode()
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise JwtError("jwt_not_json") from None
    if not isinstance(value, dict):
        raise JwtError("jwt_not_json")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


# `json.loads` would make a decoder for every token.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
