"""Signing what we issue."""

import json
from collections.abc import Mapping
from functools import lru_cache

from joserfc import jws
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
    payload = encode(_CLAIMS.encode(claims).encode())
    signed = f"{_header(typ, algorithm, key_id)}.{payload}"
    signature = jws.JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)
    return f"{signed}.{encode(signature)}"


@lru_cache(maxsize=256)
def _header(typ: str, algorithm: str, key_id: str) -> str:
    members = {"typ": typ, "alg": algorithm, "kid": key_id}
    return encode(json.dumps(members, separators=(",", ":")).encode())
