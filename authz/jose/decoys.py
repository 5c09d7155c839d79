"""Public keys that are nobody's: what a refusal costs must not say how far a token came (IDJAG-82)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, OKPKey

from authz.jose.compact import encode
from authz.jose.keys import Key, import_key

_MODULUS = 2**2048 - 159
"""Odd and of the right length is all that arithmetic asks of it."""


@cache
def decoy(algorithm: str) -> Key:
    """A key of the kind this asymmetric algorithm takes, imported like those of others: they are used alike."""
    imported = import_key({**_public(algorithm), "alg": algorithm, "kid": "decoy"})
    assert imported is not None  # of a kind that we use  # noqa: S101
    return imported


def _public(algorithm: str) -> Mapping[str, Any]:
    if algorithm in ("RS256", "PS256"):
        return {"kty": "RSA", "n": encode(_MODULUS.to_bytes(256, "big")), "e": "AQAB"}
    if algorithm in ("Ed25519", "EdDSA"):
        return OKPKey.generate_key("Ed25519", private=False).as_dict(private=False)
    curve = "P-256" if algorithm == "ES256" else "P-384"
    return ECKey.generate_key(curve, private=False).as_dict(private=False)
