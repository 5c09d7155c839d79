"""The keys behind a `jwks_uri` that an operator configured, or that a configured provider named.

A key that nobody knows makes the set be fetched again, at most once per interval (ATK-49); a withdrawn one is believed
for an hour at most (ATK-50). Which algorithm a key may verify is the key's own affair (`authz.jose`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authz.jose import ASYMMETRIC, JwtError, import_jwks
from authz.net import Documents, NetworkError, Profile

FLOOR = timedelta(minutes=5)
CEILING = timedelta(hours=1)
_MAX_BYTES = 128 * 1024

Keys = tuple[Any, ...]


class KeysUnavailable(Exception):
    """They cannot be had right now, whoever's fault it is; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def keys_for(documents: Documents, jwks_uri: str, header: Mapping[str, Any]) -> Keys:
    """The set, with the key that the header names if it is there by now. Raises KeysUnavailable."""
    terms: dict[str, Any] = {
        "profile": Profile.OPERATOR,
        "max_bytes": _MAX_BYTES,
        "floor": FLOOR,
        "ceiling": CEILING,
        "parse": read_keys,
    }
    try:
        keys: Keys = (await documents.load(jwks_uri, **terms)).value
        key_id = header.get("kid")
        if isinstance(key_id, str) and all(key.kid != key_id for key in keys):
            keys = (await documents.refresh(jwks_uri, **terms)).value
    except NetworkError as error:
        raise KeysUnavailable(f"keys_{error.reason}") from error
    except JwtError as error:
        raise KeysUnavailable(f"keys_{error.reason}") from error
    return keys


def read_keys(document: object) -> Keys:
    """A JWK set as it is kept. Raises JwtError."""
    return import_jwks(document, algorithms=ASYMMETRIC)
