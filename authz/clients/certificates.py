"""Certificates of clients, as a TLS proxy hands them over (RFC 8705): parsed strictly, judged by what was registered.

Decisions:
- The proxy proves that the client holds the key; everything else is proved here. A proxy that lets self-signed
  certificates through (it has to, for `self_signed_tls_client_auth`) vouches for no name in any of them, so a
  certificate counts for `tls_client_auth` only if an authority of the operator's own file signed it.
- An authority signs directly: an intermediate that issues for clients stands in that file itself.
- Names are compared whole and in order (RFC 4514 §2), alternative names as strings: nothing is folded or searched.
"""

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz.errors import ConfigurationError

MAX_HEADER_CHARS = 16 * 1024
MIN_RSA_BITS = 2048
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----\s*"
)

_MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class CertificateError(Exception):
    """A certificate was refused; `reason` is for logs and tests."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Certificate:
    """A well-formed certificate that is valid now; who vouches for it is another question."""

    der: bytes
    parsed: x509.Certificate

    @cached_property
    def thumbprint(self) -> str:
        """`x5t#S256` (RFC 8705 §3.1)."""
        return base64.urlsafe_b64encode(sha256(self.der).digest()).rstrip(b"=").decode()

    def __repr__(self) -> str:
        return f"Certificate({self.thumbprint!r})"


def read_certificate(header: str, now: datetime) -> Certificate:
    """From `Client-Cert: :base64:` (RFC 9440) or a URL-encoded PEM, as nginx writes it. Raises CertificateError."""
    if len(header) > MAX_HEADER_CHARS:
        raise CertificateError("certificate_too_long")
    try:
        der = _der(header.strip())
        parsed = x509.load_der_x509_certificate(der)
        key = parsed.public_key()
        # Read now, because malformed ones raise late.
        parsed.subject, parsed.issuer, parsed.extensions  # noqa: B018
        is_valid = parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc
    except _MALFORMED:
        raise CertificateError("certificate_malformed") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise CertificateError("certificate_weak")
    if not is_valid:
        raise CertificateError("certificate_not_valid_now")
    return Certificate(der, parsed)


@dataclass(frozen=True)
class Authorities:
    """Who may issue certificates to clients."""

    certificates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Authorities":
        """From a file of PEM certificates. Raises ConfigurationError."""
        try:
            found = tuple(x509.load_pem_x509_certificates(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"server.client_certificate_authorities: {path} holds no PEM certificates: {error}"
            ) from None
        for certificate in found:
            if not _is_authority(certificate):
                raise ConfigurationError(
                    f"server.client_certificate_authorities: {certificate.subject.rfc4514_string()!r} "
                    "is not the certificate of an authority"
                )
        return cls(found)

    def issued(self, certificate: Certificate, now: datetime) -> bool:
        """Whether one of them signed it, for use by a client."""
        return _is_for_clients(certificate.parsed) and any(
            authority.not_valid_before_utc <= now <= authority.not_valid_after_utc
            and _signed(authority, certificate.parsed)
            for authority in self.certificates
        )


def matches(certificate: Certificate, metadata: Mapping[str, object]) -> bool:
    """Whether it has the one name the client registered (RFC 8705 §2.1.2, MTLS-01)."""
    rules = [(name, metadata[name]) for name in NAMES if name in metadata]
    if len(rules) != 1:
        return False
    [(name, expected)] = rules
    return isinstance(expected, str) and expected in NAMES[name](certificate.parsed, expected)


def is_published(certificate: Certificate, keys: Sequence[object]) -> bool:
    """Whether one of the client's keys carries exactly this certificate in `x5c` (RFC 8705 §2.2.2)."""
    return any(carries(key, certificate) for key in keys)


def carries(key: object, certificate: Certificate) -> bool:
    """Whether this JWK does: compared whole, so that two certificates of one key are two."""
    chain = key.as_dict(private=False).get("x5c")  # type: ignore[attr-defined]
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return False
    try:
        return hmac.compare_digest(base64.b64decode(chain[0], validate=True), certificate.der)
    except (binascii.Error, ValueError):
        return False


def check_name(name: str, value: str) -> None:
    """Whether a client can be registered with it. Raises ValueError saying what is wrong."""
    if not value or not value.isprintable() or len(value) > 1024:
        raise ValueError("it has 1 to 1024 printable characters")
    if name == "tls_client_auth_subject_dn":
        try:
            x509.Name.from_rfc4514_string(value)
        except ValueError:
            raise ValueError("write it CN=app,O=Acme,C=DE (RFC 4514)") from None
    if name == "tls_client_auth_san_ip" and str(ipaddress.ip_address(value)) != value:
        raise ValueError(f"write it {ipaddress.ip_address(value)}")


def _subject(certificate: x509.Certificate, expected: str) -> Sequence[str]:
    try:
        same = certificate.subject == x509.Name.from_rfc4514_string(expected)
    except ValueError:
        return ()
    return [expected] if same else ()


def _alternative(kind: type[x509.GeneralName]) -> Callable[[x509.Certificate, str], Sequence[str]]:
    def found(certificate: x509.Certificate, _: str) -> Sequence[str]:
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return ()
        return [str(name.value) for name in names.value if isinstance(name, kind)]

    return found


NAMES: Mapping[str, Callable[[x509.Certificate, str], Sequence[str]]] = {
    "tls_client_auth_subject_dn": _subject,
    "tls_client_auth_san_dns": _alternative(x509.DNSName),
    "tls_client_auth_san_uri": _alternative(x509.UniformResourceIdentifier),
    "tls_client_auth_san_ip": _alternative(x509.IPAddress),
    "tls_client_auth_san_email": _alternative(x509.RFC822Name),
}
"""The members of which a client registers one, and how each is read from a certificate."""


def _der(text: str) -> bytes:
    """Raises ValueError for what is not ASCII, or not base64. Where there is none it is empty, and no certificate."""
    if text.startswith(":"):
        encoded = text[1:-1] if text.endswith(":") else ""
    else:
        found = _PEM.fullmatch(unquote(text))
        encoded = "".join(found[1].split()) if found else ""
    return base64.b64decode(encoded, validate=True)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """An authority is no client, and a certificate that lists its uses has to list this one (RFC 5280 §4.2.1.12)."""
    if _is_authority(certificate):
        return False
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in uses.value


def _signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
