"""Where private keys are, and who signs with them: one file per backend, one line in `BACKENDS`.

A backend makes keys, tells their public half and signs. It never hands out a private part, so neither the database nor
this process ever has one; what it answers is judged by the caller (`keys.custody`). Local keys are no entry here: they
are in the ring, ready to sign, and pay for no layer.

A backend is asked from threads, several at a time, and is opened when it is first needed. Whatever goes wrong in it is
a `BackendError` with a slug for the log; nothing of a credential is ever part of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Protocol, cast

from authz.errors import ConfigurationError, Conflict
from authz.settings import Settings

LOCAL = "local"
BACKENDS: Mapping[str, str] = {
    "aws-kms": "authz.keys.backends.aws_kms:AwsKms",
    "azure-kv": "authz.keys.backends.azure_kv:AzureKeyVault",
    "gcp-kms": "authz.keys.backends.gcp_kms:GcpKms",
    "pkcs11": "authz.keys.backends.pkcs11:Pkcs11",
    "vault-transit": "authz.keys.backends.vault_transit:VaultTransit",
}
EXTRAS: Mapping[str, str] = {"aws-kms": "aws", "pkcs11": "pkcs11"}
DEADLINE = timedelta(seconds=3)
"""Of one signature, with everything it takes."""


class BackendError(Conflict):
    """The backend did not do it. The text is for an operator; `reason` is for the log."""

    def __init__(self, sentence: str, *, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Surroundings:
    """What a backend may use."""

    settings: Settings
    resolve: Callable[[str], bytes]
    """Of secret references."""


class Backend(Protocol):
    """One key store. Every method blocks; none is called inside a transaction or on the event loop."""

    def create(self, label: str, algorithm: str) -> str:
        """A new key pair that never leaves the store; answers its reference, which names this very version."""

    def public_key(self, reference: str) -> bytes:
        """The public half: SubjectPublicKeyInfo in DER."""

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """A signature as JWS has it (RFC 7518 §3)."""

    def close(self) -> None:
        """Let go of connections."""


def open_backend(name: str, around: Surroundings) -> Backend:
    """The backend of this name. Raises ConfigurationError for an unknown one, or one that is not configured."""
    if name not in BACKENDS:
        known = ", ".join((LOCAL, *BACKENDS))
        raise ConfigurationError(f"{name!r} is no key backend; use one of {known}")
    module, _, member = BACKENDS[name].partition(":")
    try:
        made = getattr(import_module(module), member)
    except ImportError as error:
        raise ConfigurationError(
            f"the key backend {name} needs the extra {EXTRAS.get(name, name)}: "
            f"pip install 'mcp-authz[{EXTRAS.get(name, name)}]' ({error.name} is missing)"
        ) from None
    return cast("Callable[[Surroundings], Backend]", made)(around)
