"""The transit secrets engine of HashiCorp Vault and OpenBao. The reference is `NAME:VERSION`.

Vault rotates a transit key by adding versions to it; what signs here is one version, so the reference says which.
"""

import re
from typing import Any

from authz.errors import ConfigurationError
from authz.keys.backends import BackendError, Surroundings
from authz.keys.backends.asking import Store, member
from authz.keys.backends.credentials import vault_token
from authz.keys.backends.formats import digest, from_base64, malformed, of_pem, to_base64

_TYPES = {"ES256": "ecdsa-p256", "RS256": "rsa-2048"}
_MOUNT = re.compile(r"[\w-]+(/[\w-]+)*")
_REFERENCE = re.compile(r"([\w-]{1,128}):([1-9]\d{0,8})")


class VaultTransit:
    """One mount of the engine."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.vault_transit
        if not _MOUNT.fullmatch(settings.mount):
            raise ConfigurationError("vault_transit.mount is a path such as transit")
        self._mount = settings.mount
        if settings.address is None or settings.token is None:
            raise ConfigurationError(
                "vault_transit.address is where Vault is, and vault_transit.token names a token; set both"
            )
        who = vault_token(around, settings.token, settings.namespace)
        self._store = Store(around.network, "Vault", settings.address, who)

    def create(self, label: str, algorithm: str) -> str:
        """A key that Vault will not export."""
        body = {"type": _TYPES[algorithm], "exportable": False, "allow_plaintext_backup": False}
        self._store.ask("POST", f"/v1/{self._mount}/keys/{label}", body)
        return f"{label}:1"

    def public_key(self, reference: str) -> bytes:
        """Vault answers the PEM of every version."""
        name, version = _parts(reference)
        answer = self._store.ask("GET", f"/v1/{self._mount}/keys/{name}")
        return of_pem(member(answer, "data", "keys", version, "public_key"))

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Of the digest, in the form that JWS has."""
        name, version = _parts(reference)
        body: dict[str, Any] = {
            "input": to_base64(digest(data)),
            "prehashed": True,
            "key_version": int(version),
        }
        if algorithm == "ES256":
            body["marshaling_algorithm"] = "jws"
        else:
            body["signature_algorithm"] = "pkcs1v15"
        answer = self._store.ask("POST", f"/v1/{self._mount}/sign/{name}/sha2-256", body)
        kind, _, rest = str(member(answer, "data", "signature")).partition(":")
        signed_by, _, signature = rest.partition(":")
        if kind != "vault" or signed_by != f"v{version}":
            raise malformed()
        return from_base64(signature)

    def close(self) -> None:
        """Nothing is kept open."""


def _parts(reference: str) -> tuple[str, str]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise BackendError("a key of Vault is named by NAME:VERSION", reason="reference")
    return found[1], found[2]
