"""What key stores answer, in the form that JWS and JWK have it."""

import base64
import binascii
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from authz.keys.backends import BackendError

_FIELD_BYTES = 32


def digest(data: bytes) -> bytes:
    """What both algorithms sign."""
    return hashlib.sha256(data).digest()


def raw_signature(algorithm: str, signature: bytes) -> bytes:
    """Of stores that answer ECDSA in DER: the two numbers side by side (RFC 7518 §3.4). RSA is what it is."""
    if algorithm != "ES256":
        return signature
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(_FIELD_BYTES, "big") + s.to_bytes(_FIELD_BYTES, "big")
    except (ValueError, OverflowError):
        raise BackendError(
            "the key store answered no signature", reason="signature_malformed"
        ) from None


def from_base64(text: object) -> bytes:
    """Standard or URL-safe, padded or not. Raises BackendError."""
    if not isinstance(text, str):
        raise malformed()
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise malformed() from None


def to_base64(data: bytes) -> str:
    """Standard, padded."""
    return base64.b64encode(data).decode()


def to_base64url(data: bytes) -> str:
    """URL-safe, not padded."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def of_pem(pem: object) -> bytes:
    """SubjectPublicKeyInfo of a PEM. Raises BackendError."""
    if not isinstance(pem, str):
        raise malformed()
    try:
        return _der(load_pem_public_key(pem.encode()))
    except (ValueError, UnsupportedAlgorithm):
        raise malformed() from None


def of_point(x: bytes, y: bytes) -> bytes:
    """SubjectPublicKeyInfo of a point of P-256. Raises BackendError."""
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()
    )
    try:
        return _der(numbers.public_key())
    except ValueError:
        raise malformed() from None


def of_modulus(n: bytes, e: bytes) -> bytes:
    """SubjectPublicKeyInfo of an RSA key. Raises BackendError."""
    numbers = RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big"))
    try:
        return _der(numbers.public_key())
    except ValueError:
        raise malformed() from None


def check(der: bytes, algorithm: str) -> bytes:
    """The same, if it is a key that we use with this algorithm. Raises BackendError."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise malformed() from None
    if algorithm == "ES256":
        fits = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    else:
        fits = isinstance(key, RSAPublicKey) and 2048 <= key.key_size <= 4096
    if not fits:
        raise BackendError(f"the key is of another kind than {algorithm} takes", reason="key_kind")
    return der


def malformed() -> BackendError:
    """The answer is not what the store's interface says."""
    return BackendError("the key store's answer is malformed", reason="answer_malformed")


def _der(key: object) -> bytes:
    if not isinstance(key, EllipticCurvePublicKey | RSAPublicKey):
        raise malformed()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
