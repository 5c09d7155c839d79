"""Secrets by reference: configuration names a secret, this package fetches it.

A reference is `scheme:rest`. Literal secrets are refused everywhere a reference is expected, and the value of a
secret is never part of an error or a log line. `SecretStores` is the one way to a value: whoever needs one asks when it
needs it, and never keeps it, so a rotated secret is in use everywhere within `secrets.cache`.

Decisions:
- What a store says counts at once, what it cannot say does not: a deleted or denied secret is gone with the next
  reading, a store that is down is answered for by the last value, up to `secrets.stale`.
- Remote stores are talked to on an event loop of their own. The server's loop and its slots for strangers' documents
  never wait for them, and a secret can be read before the server's loop runs.
- Files and variables are read at every use: that costs less than to know whether they changed.
- The registry holds import strings: a store nobody names costs nothing at start, and needs no package.
"""

from authz.secretstores.errors import SecretMissing, StoreUnavailable
from authz.secretstores.registry import HINT, LOCAL_HINT, STORES
from authz.secretstores.store import Secret, Setup, Store
from authz.secretstores.stores import Reading, SecretStores, is_reference

__all__ = [
    "HINT",
    "LOCAL_HINT",
    "STORES",
    "Reading",
    "Secret",
    "SecretMissing",
    "SecretStores",
    "Setup",
    "Store",
    "StoreUnavailable",
    "is_reference",
]
