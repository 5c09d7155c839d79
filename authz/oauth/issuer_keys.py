"""The published keys of issuers whose assertions are taken: cached, and asked for anew when a name is unknown."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from authz.jose import ASYMMETRIC, Key, import_jwks
from authz.net import Documents, Profile

_BYTES = 256 * 1024
_FLOOR, _CEILING = timedelta(minutes=5), timedelta(hours=1)
"""A key that was withdrawn is good for an hour at most (ATK-50)."""


async def load_keys(documents: Documents, jwks_uri: str, key_id: object) -> Sequence[Key]:
    """From where the entry says, never the assertion; one unknown name asks at most once per interval (ATK-49).

    Raises NetworkError.
    """
    terms: dict[str, Any] = {
        "profile": Profile.OPERATOR,
        "max_bytes": _BYTES,
        "floor": _FLOOR,
        "ceiling": _CEILING,
        "parse": _import,
    }
    keys: Sequence[Key] = (await documents.load(jwks_uri, **terms)).value
    if isinstance(key_id, str) and all(key.kid != key_id for key in keys):
        keys = (await documents.refresh(jwks_uri, **terms)).value
    return keys


def _import(document: object) -> Sequence[Key]:
    return import_jwks(document, algorithms=ASYMMETRIC)
