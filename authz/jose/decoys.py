"""Verifying under keys that nobody has: what a refusal costs must not say how far the token came (IDJAG-82)."""

from functools import cache

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from authz.jose.compact import JwtError, decode, encode, read_unverified
from authz.jose.keys import ASYMMETRIC, Key

_MODULUS = 2**2048 - 159
"""Odd and of the right length is all that arithmetic asks of it."""


def verify_in_vain(token: str) -> None:
    """The work of one signature check by the algorithm the token names, whatever the outcome."""
    try:
        header, _ = read_unverified(token)
        signed, _, encoded = token.rpartition(".")
        signature = decode(encoded)
    except (JwtError, ValueError):
        return
    algorithm = header.get("alg")
    if algorithm not in ASYMMETRIC:
        return
    try:
        jws.JWSRegistry.algorithms[algorithm].verify(signed.encode(), signature, _decoy(algorithm))
    except (JoseError, ValueError):
        return


@cache
def _decoy(algorithm: str) -> Key:
    if algorithm in ("RS256", "PS256"):
        modulus = encode(_MODULUS.to_bytes(256, "big"))
        return RSAKey.import_key({"kty": "RSA", "n": modulus, "e": "AQAB"})
    if algorithm in ("Ed25519", "EdDSA"):
        return OKPKey.generate_key("Ed25519", private=False)
    return ECKey.generate_key("P-256" if algorithm == "ES256" else "P-384", private=False)
