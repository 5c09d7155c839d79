"""Certificates of clients, and the authorities that issue them, made by hand."""

import base64
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey

HEADER = "Client-Cert"


@dataclass
class Issued:
    """A certificate and how a proxy hands it over."""

    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """Its bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def rfc9440(self) -> str:
        """`Client-Cert: :base64:`."""
        return f":{base64.b64encode(self.der).decode()}:"

    @property
    def nginx(self) -> str:
        """`$ssl_client_escaped_cert`."""
        return quote(self.certificate.public_bytes(Encoding.PEM).decode(), safe="")

    @property
    def headers(self) -> dict[str, str]:
        """As the proxy of the tests sends it."""
        return {HEADER: self.rfc9440}

    @property
    def thumbprint(self) -> str:
        """`x5t#S256`, by an independent call."""
        tag = self.certificate.fingerprint(hashes.SHA256())
        return base64.urlsafe_b64encode(tag).rstrip(b"=").decode()

    @property
    def jwks(self) -> dict[str, Any]:
        """A key set that publishes it."""
        pem = self.certificate.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        key = ECKey.import_key(pem.decode()).as_dict(private=False)
        return {"keys": [{**key, "x5c": [base64.b64encode(self.der).decode()]}]}


@dataclass
class Authority:
    """Issues certificates; a second one of the same name has another key."""

    now: datetime
    name: str = "Test Authority"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def certificate(self) -> x509.Certificate:
        """Its own, good for ten years."""
        builder = _builder(f"CN={self.name}", f"CN={self.name}", self.key.public_key(), self.now)
        builder = builder.not_valid_after(self.now + timedelta(days=3650))
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def write(self, path: Path) -> Path:
        """The file of the operator."""
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def issue(self, subject: str = "CN=app,O=Acme,C=DE", **more: Any) -> Issued:
        """One for a client; see `_issue`."""
        return _issue(subject, f"CN={self.name}", self.key, now=self.now, **more)


def self_signed(now: datetime, subject: str = "CN=app,O=Acme,C=DE", **more: Any) -> Issued:
    """One that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _issue(subject, subject, key, now=now, key=key, **more)


def _issue(
    subject: str,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    key: Any = None,
    names: tuple[x509.GeneralName, ...] = (),
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=365),
    is_for: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    is_authority: bool = False,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, issuer, key.public_key(), now + begins).not_valid_after(now + ends)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if is_for is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([is_for]), critical=False)
    if is_authority:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    return Issued(builder.sign(signer, hashes.SHA256()))


def weak_key() -> rsa.RSAPrivateKey:
    """An RSA key that nobody should use."""
    return rsa.generate_private_key(65537, 1024)


def dns(name: str) -> x509.GeneralName:
    """A dNSName."""
    return x509.DNSName(name)


def uri(name: str) -> x509.GeneralName:
    """A uniformResourceIdentifier."""
    return x509.UniformResourceIdentifier(name)


def ip(address: str) -> x509.GeneralName:
    """An iPAddress."""
    return x509.IPAddress(ipaddress.ip_address(address))


def email(address: str) -> x509.GeneralName:
    """An rfc822Name."""
    return x509.RFC822Name(address)


def _builder(subject: str, issuer: str, key: Any, begins: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(x509.Name.from_rfc4514_string(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
    )
