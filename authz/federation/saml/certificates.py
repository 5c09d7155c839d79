"""Certificates as what they are here: carriers of a key that an operator pinned, with an end.

Nobody vouches for them and no chain is built. One whose time is over is refused all the same: its key should have been
replaced by then, and metadata announces the next one long before.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from authz.federation.saml.documents import SamlError

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_MAX_CHARS = 16 * 1024
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def read_certificate(text: str) -> x509.Certificate:
    """One certificate, in PEM or as the bare base64 of it. Raises ValueError with a sentence for an operator."""
    text = text.strip()
    found = _PEM.fullmatch(text)
    bare = "".join((found[1] if found else text).split())
    if len(text) > _MAX_CHARS:
        raise ValueError("is too long for one certificate")
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(bare, validate=True))
        key = certificate.public_key()
    except (binascii.Error, ValueError, TypeError, x509.InvalidVersion):
        raise ValueError("is not one X.509 certificate in PEM") from None
    except Exception:  # noqa: BLE001 -- an algorithm it does not know is an error class of the backend's own
        raise ValueError("has a key that is not supported") from None
    if isinstance(key, rsa.RSAPublicKey):
        good = _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS and key.public_numbers().e > 65536
    else:
        good = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)
    if not good:
        raise ValueError("has a weak or unusual key; RSA of 2048 bits or P-256 is the least")
    return certificate


def as_pem(certificate: x509.Certificate) -> str:
    """In the one spelling that is stored."""
    return certificate.public_bytes(Encoding.PEM).decode()


def bare(certificate: x509.Certificate) -> str:
    """As documents carry it."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 in colons, as other consoles show it."""
    return certificate.fingerprint(SHA256()).hex(":").upper()


def current(certificates: Sequence[x509.Certificate], now: datetime) -> list[x509.Certificate]:
    """Those whose time it is. Raises SamlError if it is nobody's."""
    good = [it for it in certificates if it.not_valid_before_utc <= now <= it.not_valid_after_utc]
    if not good:
        raise SamlError("certificate_expired")
    return good


# Checking that a key is one takes a tenth of a second. Kept by its text: a changed secret is another key at once.
@lru_cache(maxsize=64)
def read_private_key(pem: bytes) -> rsa.RSAPrivateKey:
    """A key of our own, behind a reference. Raises SamlError, which never says anything of it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise SamlError("own_key_unusable") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _MIN_RSA_BITS:
        raise SamlError("own_key_unusable")
    return key
