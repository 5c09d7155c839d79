"""Signing what we issue."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from authz.jose.compact import encode
from authz.transactions import forbid_inside_transaction

_CLAIMS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def sign_jwt(
    key: Key, *, algorithm: str, key_id: str, typ: str, claims: Mapping[str, object]
) -> str:
    """A compact JWS with `typ`, `alg` and `kid`. Never inside a transaction: the key may be remote."""
    forbid_inside_transaction("signing")
    # Spelled here and only signed by the library: the header is always the same, and the key is our own.
    signed = _signing_input(typ, algorithm, key_id, claims)
    signature = jws.JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)
    return f"{signed}.{encode(signature)}"


def sign_jwt_with(
    sign: Callable[[bytes], bytes],
    *,
    algorithm: str,
    key_id: str,
    typ: str,
    claims: Mapping[str, object],
) -> str:
    """The same, of a key that is elsewhere: `sign` answers the signature as JWS has it."""
    forbid_inside_transaction("signing")
    signed = _signing_input(typ, algorithm, key_id, claims)
    return f"{signed}.{encode(sign(signed.encode()))}"


def is_signed_by(key: Key, *, algorithm: str, data: bytes, signature: bytes) -> bool:
    """Whether this is the signature of `data` by this key; whatever is no signature at all is not."""
    try:
        return bool(jws.JWSRegistry.algorithms[algorithm].verify(data, signature, key))
    except (JoseError, ValueError):
        return False


def _signing_input(typ: str, algorithm: str, key_id: str, claims: Mapping[str, object]) -> str:
    return f"{_header(typ, algorithm, key_id)}.{encode(_CLAIMS.encode(claims).encode())}"


@lru_cache(maxsize=256)
def _header(typ: str, algorithm: str, key_id: str) -> str:
    members = {"typ": typ, "alg": algorithm, "kid": key_id}
    return encode(json.dumps(members, separators=(",", ":")).encode())
