"""The transit secrets engine of HashiCorp Vault and OpenBao. The reference is `NAME:VERSION`.

Vault rotates a transit key by adding versions to it; what signs here is one version, so the reference says which.
"""

import re
from collections.abc import Mapping
from typing import Any

from authz.errors import ConfigurationError
from authz.keys.backends import DEADLINE, BackendError, Surroundings
from authz.keys.backends.asking import answer_of, member
from authz.keys.backends.formats import digest, from_base64, malformed, of_pem, to_base64
from authz.secretstores.vault import VaultSession

_TYPES = {"ES256": "ecdsa-p256", "RS256": "rsa-2048"}
_MOUNT = re.compile(r"[\w-]+(/[\w-]+)*")
_REFERENCE = re.compile(r"([\w-]{1,128}):([1-9]\d{0,8})")


class VaultTransit:
    """One mount of the engine."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings
        if not _MOUNT.fullmatch(settings.vault_transit.mount):
            raise ConfigurationError("vault_transit.mount is a path such as transit")
        self._mount = settings.vault_transit.mount
        self._session = VaultSession(settings.secret_setup, limit=DEADLINE)

    def create(self, label: str, algorithm: str) -> str:
        """A key that Vault will not export."""
        body = {"type": _TYPES[algorithm], "exportable": False, "allow_plaintext_backup": False}
        self._ask("POST", f"keys/{label}", body)
        return f"{label}:1"

    def public_key(self, reference: str) -> bytes:
        """Vault answers the PEM of every version."""
        name, version = _parts(reference)
        answer = self._ask("GET", f"keys/{name}")
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
        answer = self._ask("POST", f"sign/{name}/sha2-256", body)
        kind, _, rest = str(member(answer, "data", "signature")).partition(":")
        signed_by, _, signature = rest.partition(":")
        if kind != "vault" or signed_by != f"v{version}":
            raise malformed()
        return from_base64(signature)

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        asked = self._session.ask(f"{self._mount}/{path}", method=method, body=body)
        return answer_of("Vault", self._session, asked)


def _parts(reference: str) -> tuple[str, str]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise BackendError("a key of Vault is named by NAME:VERSION", reason="reference")
    return found[1], found[2]
