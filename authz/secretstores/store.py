"""What a store is asked and what it is made from."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from authz.secretstores.errors import SecretMissing

if TYPE_CHECKING:
    from authz.secretstores.sections import Aws, Azure, Gcp, Secrets, Vault


@dataclass(frozen=True)
class Secret:
    """A value, and what its store calls this version of it."""

    value: bytes = field(repr=False)
    version: str | None = None


@dataclass(frozen=True)
class Setup:
    """What the operator configured; a store without its section is not in use."""

    secrets: "Secrets"
    vault: "Vault | None" = None
    aws: "Aws | None" = None
    gcp: "Gcp | None" = None
    azure: "Azure | None" = None
    proxy: str | None = field(default=None, repr=False)
    proxy_password: str | None = None
    """A local reference."""


class Store(Protocol):
    """One kind of place. Made when the first reference to it is read."""

    is_remote: ClassVar[bool]
    """Whether reading takes longer than opening a file."""

    def read(self, name: str) -> Secret:
        """The secret. Blocks, for some seconds at most. Raises SecretMissing, StoreUnavailable."""

    def close(self) -> None:
        """Let go of what it holds open."""


def member_of(reference: str, value: bytes, key: str | None) -> bytes:
    """The member `key` of a secret that is a JSON object of texts; all of it without a key. Raises SecretMissing."""
    if key is None:
        return value
    try:
        found = json.loads(value)
    except ValueError:
        # Not chained: the original quotes the secret.
        raise SecretMissing(
            f"the secret {reference} is not JSON; leave out #{key}, or store an object with that member"
        ) from None
    text = found.get(key) if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise SecretMissing(f"the secret {reference} has no member {key!r} that is a text; add it")
    return text.encode()
