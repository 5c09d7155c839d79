"""Read public keys and check signatures with them: asymmetric keys only, one key per `kid` of a set (pure).

A key is bound to its algorithms when it is read, so the header of a token never chooses how a key is
used: an RSA key cannot become an HMAC secret.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry

from authz.resource_server.compact import CompactToken
from authz.resource_server.errors import InvalidToken

# joserfc's "EdDSA" admits Ed448 and warns at each use; both wire names mean Ed25519 here (RFC 9864).
ALGORITHMS = {
    "ES256": JWSRegistry.algorithms["ES256"],
    "RS256": JWSRegistry.algorithms["RS256"],
    "EdDSA": JWSRegistry.algorithms["Ed25519"],
    "Ed25519": JWSRegistry.algorithms["Ed25519"],
}
# Kind of key -> its public members and what it may verify.
Kinds = Mapping[tuple[str, str | None], tuple[tuple[str, ...], frozenset[str]]]
_KINDS: Kinds = {
    ("EC", "P-256"): (("crv", "x", "y"), frozenset({"ES256"})),
    ("RSA", None): (("n", "e"), frozenset({"RS256"})),
    ("OKP", "Ed25519"): (("crv", "x"), frozenset({"EdDSA", "Ed25519"})),
}
_RSA_BITS = range(2048, 8193)
_MAX_KEYS = 100


@dataclass(frozen=True)
class VerificationKey:
    """A public key and the only algorithms it verifies."""

    key: Key
    algorithms: frozenset[str]


def read_keys(document: Mapping[str, Any]) -> dict[str, VerificationKey]:
    """Return the keys of a JWK Set by `kid`, leaving out those of no use here.

    Raises ValueError for a document that is no JWK Set or names one `kid` twice.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise ValueError("not a JWK Set")
    keys: dict[str, VerificationKey] = {}
    for entry in entries:
        key = read_key(entry, _KINDS)
        kid = entry["kid"] if key is not None and "kid" in entry else None
        if key is None or not isinstance(kid, str) or not kid:
            continue
        if kid in keys:
            raise ValueError("two keys share a kid")
        keys[kid] = key
    return keys


def verify_signature(token: CompactToken, key: VerificationKey) -> None:
    """Raise InvalidToken unless `key` signed `token`."""
    if token.algorithm not in key.algorithms:
        raise InvalidToken("alg_not_of_key")
    algorithm = ALGORITHMS[token.algorithm]
    if not algorithm.verify(token.signing_input, token.signature, key.key):
        raise InvalidToken("signature_wrong")


def read_key(entry: Any, kinds: Kinds) -> VerificationKey | None:
    """The public key in a JWK, or None if it is none of `kinds`, malformed, or not for signatures."""
    if not isinstance(entry, dict):
        return None
    kty, crv = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or (crv is not None and not isinstance(crv, str)):
        return None
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list):
        return None
    if "verify" not in operations:
        return None
    members, algorithms = kinds.get((kty, crv), ((), frozenset[str]()))
    if "alg" in entry:
        algorithms &= {entry["alg"]} if isinstance(entry["alg"], str) else frozenset()
    if not algorithms:
        return None
    if kty == "RSA" and _modulus_bits(entry.get("n")) not in _RSA_BITS:
        return None
    # Only public members are handed on: a published private key is not needed to verify.
    public = {"kty": kty, **{name: entry.get(name) for name in members}}
    try:
        key = JWKRegistry.import_key(public)  # type: ignore[arg-type]  # its TypedDict has no literal here
        key.public_key  # noqa: B018 - the numbers are read here, so that a bad key fails now
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return VerificationKey(key=key, algorithms=algorithms)


def _modulus_bits(modulus: Any) -> int:
    if not isinstance(modulus, str):
        return 0
    try:
        data = base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))
    except (binascii.Error, ValueError):
        return 0
    return int.from_bytes(data, "big").bit_length()
