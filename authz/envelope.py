"""Encryption at rest under key-encryption keys, which come by reference and never touch the database.

AES-256-GCM with a random nonce; the context (tenant, purpose, row) is authenticated, so a ciphertext that is moved to
another row does not open. The first byte is the format:

    1  nonce, ciphertext: of the first versions, which knew one key-encryption key
    2  name of the key-encryption key, nonce, ciphertext

One key-encryption key seals; further ones open what it did not seal. So a new one is first made known to every node as
a further key, then seals, and once `authz keys rewrap` has been through, the one before is not needed any more.
"""

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz import entropy
from authz.errors import ConfigurationError

_UNNAMED, _NAMED = b"\x01", b"\x02"
_NAME_BYTES, _NONCE_BYTES = 6, 12
UNNAMED = "unnamed"
"""What a sealed secret of the first format says of its key: nothing."""
_DOES_NOT_OPEN = (
    "the key-encryption key does not open this database's secrets; "
    "keys.encryption_key must name the key this installation was made with"
)


class Envelope:
    """Seals and opens small secrets."""

    def __init__(self, encoded_key: bytes, *, further: Sequence[bytes] = ()) -> None:
        own = _decoded(encoded_key)
        self.name = _name_of(own).hex()
        """Of the key that seals; it tells nothing of the key."""
        self._own = _name_of(own)
        # What seals comes first: an unnamed secret is tried with each.
        self._ciphers = {_name_of(key): AESGCM(key) for key in (own, *map(_decoded, further))}

    def __repr__(self) -> str:
        return f"Envelope({self.name!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Of every key that opens; what seals comes first."""
        return tuple(name.hex() for name in self._ciphers)

    def seal(self, secret: bytes, *context: str) -> bytes:
        """Encrypt for this context."""
        nonce = entropy.new_key(_NONCE_BYTES)
        body = self._ciphers[self._own].encrypt(nonce, secret, _bound(context))
        return _NAMED + self._own + nonce + body

    def open(self, sealed: bytes, *context: str) -> bytes:
        """Decrypt. Raises ConfigurationError when the key or the context is another one."""
        if sealed[:1] == _NAMED:
            name, rest = sealed[1 : 1 + _NAME_BYTES], sealed[1 + _NAME_BYTES :]
            cipher = self._ciphers.get(name)
            if cipher is None:
                raise ConfigurationError(unknown_key("a stored secret is", name.hex()))
            opened = _opened(cipher, rest, context)
        elif sealed[:1] == _UNNAMED:
            tried = (_opened(cipher, sealed[1:], context) for cipher in self._ciphers.values())
            opened = next((it for it in tried if it is not None), None)
        else:
            raise ConfigurationError(f"the sealed secret of {context} has an unknown format")
        if opened is None:
            raise ConfigurationError(_DOES_NOT_OPEN)
        return opened

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is under the key that seals, and says so."""
        return sealed.startswith(_NAMED + self._own)


def used_keys(sealed: Iterable[bytes]) -> Counter[str]:
    """How many of these secrets are under which key-encryption key, by name."""
    return Counter(it[1 : 1 + _NAME_BYTES].hex() if it[:1] == _NAMED else UNNAMED for it in sealed)


def unknown_key(what: str, name: str) -> str:
    """What to tell the operator; `what` is sealed with it."""
    return (
        f"{what} sealed with the key-encryption key {name}, which is not configured: "
        f"{_DOES_NOT_OPEN}, or keys.further_encryption_keys until `authz keys rewrap` is through"
    )


def new_encoded_key() -> bytes:
    """A fresh key-encryption key, as it is written to a file."""
    return base64.b64encode(entropy.new_key())


def _decoded(encoded: bytes) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise ConfigurationError(
            "the key-encryption key is not 32 bytes in base64; `authz init` makes one"
        )
    return key


def _name_of(key: bytes) -> bytes:
    """A digest of a random key of 256 bits says nothing about it."""
    return hashlib.sha256(b"authz key-encryption key" + key).digest()[:_NAME_BYTES]


def _opened(cipher: AESGCM, rest: bytes, context: tuple[str, ...]) -> bytes | None:
    try:
        return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(context))
    except (InvalidTag, ValueError):
        return None


def _bound(context: tuple[str, ...]) -> bytes:
    return "\x00".join(context).encode()
