"""Signing keys: one key, one algorithm, one purpose; private parts sealed at rest, or never here at all.

Owns making keys, the key ring of a tenant and the JWKS document; `keys.rotation` says when which key signs,
`keys.custody` where keys are, `keys.backends` how each store is asked. Never sees why something is signed: callers
hand over finished claims.

Decisions:
- A local key signs in place, with a prepared key object. A key elsewhere is a public key here, with a reference.
- What signs remotely is called outside transactions and off the event loop (`KeyRing.aside`).
"""

from authz.keys.backends import BACKENDS, LOCAL, BackendError
from authz.keys.backends.local import generate, seal
from authz.keys.custody import Custody, NewKey, RemoteKey
from authz.keys.purposes import (
    ACCESS_TOKEN,
    ALGORITHMS,
    AUDIT,
    ID_JAG,
    ID_TOKEN,
    INTROSPECTION,
    PURPOSES,
)
from authz.keys.ring import KeyRing, RingKey, StoredKey, describe, unseal

__all__ = [
    "ACCESS_TOKEN",
    "ALGORITHMS",
    "AUDIT",
    "BACKENDS",
    "ID_JAG",
    "ID_TOKEN",
    "INTROSPECTION",
    "LOCAL",
    "PURPOSES",
    "BackendError",
    "Custody",
    "KeyRing",
    "NewKey",
    "RemoteKey",
    "RingKey",
    "StoredKey",
    "describe",
    "generate",
    "seal",
    "unseal",
]
