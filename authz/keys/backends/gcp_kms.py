"""Google Cloud KMS, by its REST interface (v1). The reference is the resource name of a CryptoKeyVersion.

A key is a CryptoKey of its own with one version: versions of one CryptoKey would be told apart by their number alone.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from authz.errors import ConfigurationError
from authz.keys.backends import DEADLINE, BackendError, Surroundings
from authz.keys.backends.asking import answer_of, member
from authz.keys.backends.formats import (
    digest,
    from_base64,
    malformed,
    of_pem,
    raw_signature,
    to_base64,
)
from authz.secretstores.gcp import GcpSession

_ALGORITHMS = {"ES256": "EC_SIGN_P256_SHA256", "RS256": "RSA_SIGN_PKCS1_2048_SHA256"}
_RING = re.compile(r"projects/[\w:.-]+/locations/[\w-]+/keyRings/[\w-]+")
_REFERENCE = re.compile(rf"{_RING.pattern}/cryptoKeys/[\w-]+/cryptoKeyVersions/\d+")
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 30
"""A key in an HSM takes some seconds to be made."""


class GcpKms:
    """One key ring."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.gcp_kms
        if settings.key_ring is None or not _RING.fullmatch(settings.key_ring):
            raise ConfigurationError(
                "gcp_kms.key_ring is projects/…/locations/…/keyRings/…; set it"
            )
        self._ring = settings.key_ring
        self._level = settings.protection.upper()
        self._base = settings.endpoint
        self._session = GcpSession(around.settings.secret_setup, limit=DEADLINE)

    def create(self, label: str, algorithm: str) -> str:
        """A CryptoKey and its first version, once that can be used."""
        template = {"algorithm": _ALGORITHMS[algorithm], "protectionLevel": self._level}
        body = {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": template}
        made = self._ask("POST", f"/v1/{self._ring}/cryptoKeys?cryptoKeyId={label}", body)
        reference = f"{member(made, 'name')}/cryptoKeyVersions/1"
        until = time.monotonic() + _PATIENCE_SECONDS
        while member(self._ask("GET", _path(reference)), "state") != "ENABLED":
            if time.monotonic() > until:
                raise BackendError("Cloud KMS did not make the key in time", reason="timeout")
            time.sleep(_PAUSE_SECONDS)
        return reference

    def public_key(self, reference: str) -> bytes:
        """Cloud KMS answers PEM."""
        return of_pem(member(self._ask("GET", f"{_path(reference)}/publicKey"), "pem"))

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Of the digest; ECDSA comes in DER."""
        body = {"digest": {"sha256": to_base64(digest(data))}}
        answer = self._ask("POST", f"{_path(reference)}:asymmetricSign", body)
        # Which version signed is told as well: another one's signature would not be this key's.
        if answer.get("name", reference) != reference:
            raise malformed()
        return raw_signature(algorithm, from_base64(member(answer, "signature")))

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        asked = self._session.ask(f"{self._base}{path}", method=method, body=body)
        return answer_of("Cloud KMS", self._session, asked)


def _path(reference: str) -> str:
    if not _REFERENCE.fullmatch(reference):
        raise BackendError(
            "a key of Cloud KMS is named by its CryptoKeyVersion", reason="reference"
        )
    return f"/v1/{reference}"
