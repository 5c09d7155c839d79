"""Encryption at rest under the key-encryption key, which comes by reference and never touches the database.

AES-256-GCM with a random nonce; the context (tenant, purpose, row) is authenticated, so a ciphertext that is moved to
another row does not open. The first byte is the format, for a later change of algorithm.
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz import entropy
from authz.errors import ConfigurationError

_FORMAT = b"\x01"
_NONCE_BYTES = 12


class Envelope:
    """Seals and opens small secrets."""

    def __init__(self, encoded_key: bytes) -> None:
        try:
            key = base64.b64decode(encoded_key, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 32:
            raise ConfigurationError(
                "the key-encryption key is not 32 bytes in base64; `authz init` makes one"
            )
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Envelope(***)"

    def seal(self, secret: bytes, *context: str) -> bytes:
        """Encrypt for this context."""
        nonce = entropy.new_key(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, _bound(context))

    def open(self, sealed: bytes, *context: str) -> bytes:
        """Decrypt. Raises ConfigurationError when the key or the context is another one."""
        if sealed[:1] != _FORMAT:
            raise ConfigurationError(f"the sealed secret of {context} has an unknown format")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, _bound(context))
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                "the key-encryption key does not open this database's secrets; "
                "keys.encryption_key must name the key this installation was made with"
            ) from None


def new_encoded_key() -> bytes:
    """A fresh key-encryption key, as it is written to a file."""
    return base64.b64encode(entropy.new_key())


def _bound(context: tuple[str, ...]) -> bytes:
    return "\x00".join(context).encode()
