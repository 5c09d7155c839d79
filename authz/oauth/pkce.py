"""Proof Key for Code Exchange (RFC 7636): S256 from everyone, and nothing else (MCP-AS-55, O21-02, O21-03)."""

import base64
import hashlib
import re

from authz import entropy

METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_challenge(text: str) -> bool:
    """A SHA-256 in base64url without padding is 43 characters."""
    return _CHALLENGE.fullmatch(text) is not None


def is_verifier(text: str) -> bool:
    """RFC 7636 §4.1."""
    return _VERIFIER.fullmatch(text) is not None


def matches(verifier: str, challenge: str) -> bool:
    """Whether the challenge was made from the verifier; compared in constant time."""
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return entropy.equal(made.decode(), challenge)
