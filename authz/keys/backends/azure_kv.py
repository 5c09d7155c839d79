"""Azure Key Vault and Managed HSM, by their REST interface. The reference is the key's identifier with its version."""

import re
from collections.abc import Mapping
from typing import Any

from authz.keys.backends import DEADLINE, BackendError, Surroundings
from authz.keys.backends.asking import answer_of, member
from authz.keys.backends.formats import (
    digest,
    from_base64,
    malformed,
    of_modulus,
    of_point,
    to_base64url,
)
from authz.secretstores.azure import AzureSession

_REFERENCE = re.compile(r"keys/[0-9A-Za-z-]{1,127}/[0-9a-f]{1,64}")


class AzureKeyVault:
    """One vault."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.azure_kv
        self._suffix = "-HSM" if settings.hardware else ""
        self._session = AzureSession(
            around.settings.secret_setup, vault=settings.vault, limit=DEADLINE
        )

    def create(self, label: str, algorithm: str) -> str:
        """A key that signs and does nothing else."""
        kind = (
            {"kty": f"EC{self._suffix}", "crv": "P-256"}
            if algorithm == "ES256"
            else {"kty": f"RSA{self._suffix}", "key_size": 2048}
        )
        body = {**kind, "key_ops": ["sign", "verify"]}
        made = self._ask("POST", f"keys/{label}/create", body)
        reference = str(member(made, "key", "kid"))
        self._path(reference)
        return reference

    def public_key(self, reference: str) -> bytes:
        """Key Vault answers a JWK."""
        key = member(self._ask("GET", self._path(reference)), "key")
        kind = str(member(key, "kty")).removesuffix("-HSM")
        if kind == "RSA":
            return of_modulus(from_base64(member(key, "n")), from_base64(member(key, "e")))
        if kind == "EC" and member(key, "crv") == "P-256":
            return of_point(from_base64(member(key, "x")), from_base64(member(key, "y")))
        raise malformed()

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Of the digest; the answer is as JWS has it."""
        body = {"alg": algorithm, "value": to_base64url(digest(data))}
        answer = self._ask("POST", f"{self._path(reference)}/sign", body)
        # Which version signed is told as well: another one's signature would not be this key's.
        if answer.get("kid") != reference:
            raise malformed()
        return from_base64(member(answer, "value"))

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        asked = self._session.ask(path, method=method, body=body)
        return answer_of("Key Vault", self._session, asked)

    def _path(self, reference: str) -> str:
        path = reference.removeprefix(f"{self._session.vault}/")
        if path == reference or not _REFERENCE.fullmatch(path):
            raise BackendError(
                f"a key of Key Vault is named by its identifier with a version, in {self._session.vault}",
                reason="reference",
            )
        return path
