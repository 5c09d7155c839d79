"""Keys of this installation itself: made here, sealed at rest, and in memory while they sign."""

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey, Key, KeyParameters, RSAKey

from authz.envelope import Envelope
from authz.errors import ConfigurationError
from authz.keys.purposes import ALGORITHMS

SEALED_AS = "signing_key"
"""The first part of the context that a private key is sealed with."""


def generate(algorithm: str) -> Key:
    """A fresh private key."""
    if algorithm == "ES256":
        return ECKey.generate_key("P-256")
    if algorithm == "RS256":
        return RSAKey.generate_key(2048)
    raise ConfigurationError(f"{algorithm!r} is not one of {', '.join(ALGORITHMS)}")


def seal(key: Key, envelope: Envelope, tenant_id: str, kid: str) -> bytes:
    """The private part for storage."""
    if not isinstance(key, (ECKey, RSAKey)) or key.private_key is None:
        raise ConfigurationError("only local EC and RSA private keys can be sealed")
    der = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return envelope.seal(der, SEALED_AS, tenant_id, kid)


def opened(
    sealed: bytes, envelope: Envelope, tenant_id: str, kid: str, *, kty: str, alg: str
) -> Key:
    """A stored key, prepared to sign."""
    named: KeyParameters = {"kid": kid, "alg": alg, "use": "sig"}
    der = envelope.open(sealed, SEALED_AS, tenant_id, kid)
    if kty != "RSA":
        return ECKey.import_key(der, named)
    # Whether its factors are prime takes long to say, and whoever could have put others there has our key.
    private = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return RSAKey(private, private, named)  # type: ignore[arg-type]
