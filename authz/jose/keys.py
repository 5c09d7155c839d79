"""Public keys that others hand us: imported only when sound, used only with algorithms that fit them."""

import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jwk import Key as Key

from authz.jose.compact import JwtError, decode

ASYMMETRIC = ("ES256", "ES384", "PS256", "Ed25519", "EdDSA", "RS256")
"""What an incoming JWT may be signed with. `EdDSA` is the older name of `Ed25519` (JWT-02)."""
_CURVES = {"ES256": "P-256", "ES384": "P-384"}
_EDWARDS = frozenset({"Ed25519", "EdDSA"})
"""Two names of one algorithm."""
_KINDS: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_FIELD = 2**255 - 19
_ORDER_EIGHT = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_EIGHT, _FIELD - _ORDER_EIGHT})
"""The `y` of the eight points of the Edwards curve whose signatures anybody can make."""
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def import_jwks(document: object, *, algorithms: Sequence[str]) -> tuple[Key, ...]:
    """Public keys of a JWK Set that fit the algorithms; others are passed over, hostile ones refused.

    Raises JwtError: private or symmetric members (CIMD-10), RSA outside 2048 to 8192 bits, an even or tiny
    exponent, unknown curves, points of small order (ATK-45), more than 20 keys.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= 20:
        raise JwtError("jwks_malformed")
    keys = [import_key(entry) for entry in entries]
    usable = tuple(key for key in keys if key is not None and fitting(key, algorithms))
    if not usable:
        raise JwtError("jwks_without_usable_key")
    return usable


def import_key(entry: object) -> Key | None:
    """One public key; None for a kind we do not use. Raises JwtError for a private, weak or malformed one."""
    if not isinstance(entry, dict):
        raise JwtError("jwk_malformed")
    if entry.get("kty") == "oct" or not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise JwtError("jwk_not_public")
    if entry.get("use", "sig") != "sig":
        return None
    kty = entry.get("kty")
    if (
        not isinstance(kty, str)
        or kty not in _KINDS
        or (kty == "OKP" and entry.get("crv") != "Ed25519")
    ):
        return None
    try:
        if kty == "RSA":
            _check_rsa(entry)
        elif kty == "OKP":
            _check_edwards(entry)
        return _KINDS[kty].import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError, binascii.Error):
        raise JwtError("jwk_malformed") from None


def _check_rsa(entry: Mapping[str, Any]) -> None:
    """Before any arithmetic: a 64-kilobit modulus or e=1 must not reach the library (ATK-45)."""
    modulus, exponent = entry.get("n"), entry.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        raise JwtError("jwk_malformed")
    if not 340 <= len(modulus) <= 1368 or not 3 <= len(exponent) <= 8:
        raise JwtError("jwk_weak")
    # The number, not its spelling: leading zeros make a small one long.
    product, power = (int.from_bytes(decode(text), "big") for text in (modulus, exponent))
    if not 2048 <= product.bit_length() <= 8192 or product % 2 == 0:
        raise JwtError("jwk_weak")
    if power < 65537 or power % 2 == 0:
        raise JwtError("jwk_weak")


def _check_edwards(entry: Mapping[str, Any]) -> None:
    """A proof made for such a key proves nothing: all of them verify (ATK-45)."""
    encoded = entry.get("x")
    if not isinstance(encoded, str):
        raise JwtError("jwk_malformed")
    # The highest bit is the sign of x; a y beyond the field is another spelling of a small one.
    y = int.from_bytes(decode(encoded), "little") % 2**255
    if y % _FIELD in _SMALL_ORDER:
        raise JwtError("jwk_weak")


def import_private_key(data: bytes) -> Key:
    """A key of ours for signing to others: PEM, or a JWK. Raises JwtError, which never says what it read."""
    try:
        if data.lstrip().startswith(b"{"):
            entry = json.loads(data)
            key = _KINDS[entry["kty"]].import_key(entry)
        else:
            key = _key_of_pem(data)
    except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise JwtError("private_key_malformed") from None
    if not key.is_private or not fitting(key, ASYMMETRIC):
        raise JwtError("private_key_unusable")
    return key


def _key_of_pem(data: bytes) -> RSAKey | ECKey | OKPKey:
    # Read here first: the library would guess what kind of key it is, and take a public one as well.
    private = load_pem_private_key(data, None)
    plain = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(private, RSAPrivateKey):
        return RSAKey.import_key(plain)
    if isinstance(private, EllipticCurvePrivateKey):
        return ECKey.import_key(plain)
    return OKPKey.import_key(plain)


def fitting(key: Key, algorithms: Sequence[str]) -> list[str]:
    """The algorithms of the list that this key may be used with: one key never serves two families."""
    if isinstance(key, RSAKey):
        fits = [a for a in algorithms if a[:2] in ("RS", "PS")]
    elif isinstance(key, ECKey):
        curve = key.curve_name
        fits = [a for a in algorithms if _CURVES.get(a) == curve]
    elif isinstance(key, OKPKey):
        fits = [a for a in algorithms if a in _EDWARDS]
    else:
        fits = []
    declared = key.alg
    if declared is None:
        return fits
    return [a for a in fits if a == declared or {a, declared} == _EDWARDS]
