"""All randomness and all hashing of generated secrets.

Codes, tokens and client secrets carry 256 random bits, so one SHA-256 is the right digest for them: a slow
password hash would only help an attacker exhaust the server (ATK-62). Passwords that people choose go to
`authz.passwords` instead.
"""

import base64
import hashlib
import hmac
import secrets

_TOKEN_BYTES = 32
_ID_BYTES = 16
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words, and nothing that is read as something else (RFC 8628 §6.1)."""
USER_CODE_LENGTH = 8


def new_token(prefix: str) -> str:
    """A bearer secret of 256 bits, URL-safe; the prefix lets secret scanners recognise a leak."""
    return f"{prefix}_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def new_id(prefix: str) -> str:
    """A public identifier of 128 random bits. Disjoint prefixes keep kinds of `sub` apart (O21-28)."""
    return f"{prefix}_{secrets.token_urlsafe(_ID_BYTES)}"


def new_ids(*prefixes: str) -> list[str]:
    """Several of them, independent of each other, for one question to the operating system."""
    raw = secrets.token_bytes(_ID_BYTES * len(prefixes))
    parts = (raw[at : at + _ID_BYTES] for at in range(0, len(raw), _ID_BYTES))
    return [f"{prefix}_{_spelled(part)}" for prefix, part in zip(prefixes, parts, strict=True)]


def derived_id(prefix: str, *parts: str) -> str:
    """The public identifier that these parts always have; like those of `new_id`, and never to be guessed as one."""
    if any("\x00" in part for part in parts):
        raise ValueError("a part of an identifier must not contain NUL")
    raw = hashlib.sha256("\x00".join(parts).encode()).digest()[:_ID_BYTES]
    return f"{prefix}_{_spelled(raw)}"


def new_user_code() -> str:
    """A code for a person to type, such as `WDJB-MJHT`: 34 bits, enough for minutes behind a budget of guesses."""
    letters = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(USER_CODE_LENGTH))
    half = USER_CODE_LENGTH // 2
    return f"{letters[:half]}-{letters[half:]}"


def new_number(below: int) -> int:
    """A random number from 0 on."""
    return secrets.randbelow(below)


def new_key(length: int = 32) -> bytes:
    """Random key material."""
    return secrets.token_bytes(length)


def digest(token: str) -> str:
    """What is stored instead of a generated secret (O21-15)."""
    return hashlib.sha256(token.encode()).hexdigest()


def equal(left: str, right: str) -> bool:
    """Compare in constant time; both sides may hold any text."""
    return hmac.compare_digest(left.encode(), right.encode())


def mac(key: bytes, *parts: str) -> str:
    """HMAC-SHA-256 over the parts, base64url without padding (43 characters).

    Parts are joined with a byte that none of them may contain, so no two lists of parts collide.
    """
    if any("\x00" in part for part in parts):
        raise ValueError("a part of a MAC must not contain NUL")
    tag = hmac.digest(key, "\x00".join(parts).encode(), "sha256")
    return _spelled(tag)


def _spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
