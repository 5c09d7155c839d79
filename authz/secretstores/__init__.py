"""Secrets by reference: configuration names a secret, this package fetches it.

A reference is `scheme:rest`. Literal secrets are refused everywhere a reference is expected, and the value of a
secret is never part of an error or a log line.
"""

from collections.abc import Callable

from authz.errors import ConfigurationError
from authz.secretstores import env, file

STORES: dict[str, Callable[[str], bytes]] = {
    "env": env.read,
    "file": file.read,
}


def resolve(reference: str) -> bytes:
    """The secret behind a reference such as `env:AUTHZ_KEK` or `file:/run/secrets/kek`.

    Raises ConfigurationError with one sentence that names the reference, never the value.
    """
    scheme, _, rest = reference.partition(":")
    if scheme not in STORES or not rest:
        known = ", ".join(f"{name}:" for name in STORES)
        raise ConfigurationError(f"{reference!r} is not a secret reference; use one of {known}")
    value = STORES[scheme](rest)
    if not value:
        raise ConfigurationError(f"the secret {reference} is empty")
    return value
