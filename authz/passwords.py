"""Passwords that people choose: argon2id through passlib, and nothing else (architecture D7)."""

from passlib.hash import argon2

from authz.transactions import forbid_inside_transaction

MAX_BYTES = 1024
"""Longer input is refused before hashing (ATK-62)."""

# OWASP's second profile: 19 MiB, two passes. A login then costs about 20 ms and 19 MiB on one core.
_HASHER = argon2.using(type="ID", memory_cost=19 * 1024, rounds=2, parallelism=1)


def hash_password(password: str) -> str:
    """The encoded argon2id hash. Raises ValueError when the password is empty or too long."""
    if not password or len(password.encode()) > MAX_BYTES:
        raise ValueError(f"a password has 1 to {MAX_BYTES} bytes")
    forbid_inside_transaction("hashing a password")
    return str(_HASHER.hash(password))


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether the password is right. `None` (nobody, or no password) costs the same time and is always wrong."""
    forbid_inside_transaction("verifying a password")
    if len(password.encode()) > MAX_BYTES:
        return False
    return bool(_HASHER.verify(password, hashed or _NOBODY)) and hashed is not None


_NOBODY = hash_password("nobody has this password")
"""Verified when there is no account, so that a stranger cannot time who exists (ATK-64, ATK-65)."""
