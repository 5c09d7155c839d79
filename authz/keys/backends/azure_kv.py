"""Azure Key Vault and Managed HSM, by their REST interface. The reference is the key's identifier with its version."""

import re

from authz.errors import ConfigurationError
from authz.keys.backends import BackendError, Surroundings
from authz.keys.backends.asking import Store, member
from authz.keys.backends.credentials import bearer
from authz.keys.backends.formats import (
    digest,
    from_base64,
    malformed,
    of_modulus,
    of_point,
    to_base64url,
)

_VERSION = "api-version=7.4"
_REFERENCE = re.compile(r"/keys/[0-9A-Za-z-]{1,127}/[0-9a-f]{1,64}")


class AzureKeyVault:
    """One vault."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.azure_kv
        if settings.vault is None or settings.token is None:
            raise ConfigurationError(
                "azure_kv.vault is https://NAME.vault.azure.net, and azure_kv.token names an access token; set both"
            )
        self._vault = settings.vault.rstrip("/")
        self._suffix = "-HSM" if settings.hardware else ""
        self._store = Store(
            around.network, "Key Vault", self._vault, bearer(around, settings.token)
        )

    def create(self, label: str, algorithm: str) -> str:
        """A key that signs and does nothing else."""
        kind = (
            {"kty": f"EC{self._suffix}", "crv": "P-256"}
            if algorithm == "ES256"
            else {"kty": f"RSA{self._suffix}", "key_size": 2048}
        )
        body = {**kind, "key_ops": ["sign", "verify"]}
        made = self._store.ask("POST", f"/keys/{label}/create?{_VERSION}", body)
        reference = str(member(made, "key", "kid"))
        self._path(reference)
        return reference

    def public_key(self, reference: str) -> bytes:
        """Key Vault answers a JWK."""
        key = member(self._store.ask("GET", f"{self._path(reference)}?{_VERSION}"), "key")
        kind = str(member(key, "kty")).removesuffix("-HSM")
        if kind == "RSA":
            return of_modulus(from_base64(member(key, "n")), from_base64(member(key, "e")))
        if kind == "EC" and member(key, "crv") == "P-256":
            return of_point(from_base64(member(key, "x")), from_base64(member(key, "y")))
        raise malformed()

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Of the digest; the answer is as JWS has it."""
        body = {"alg": algorithm, "value": to_base64url(digest(data))}
        answer = self._store.ask("POST", f"{self._path(reference)}/sign?{_VERSION}", body)
        # Which version signed is told as well: another one's signature would not be this key's.
        if answer.get("kid") != reference:
            raise malformed()
        return from_base64(member(answer, "value"))

    def close(self) -> None:
        """Nothing is kept open."""

    def _path(self, reference: str) -> str:
        path = reference.removeprefix(self._vault)
        if path == reference or not _REFERENCE.fullmatch(path):
            raise BackendError(
                "a key of Key Vault is named by its identifier with a version, in the vault of azure_kv.vault",
                reason="reference",
            )
        return path
