"""Signing keys: one key, one algorithm, one purpose; private parts sealed at rest.

Owns key generation, the key ring of a tenant and the JWKS document. Never decides when to rotate (an operator does)
and never sees a claim: callers hand over finished claims.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from joserfc.jwk import ECKey, Key, KeyParameters, RSAKey

from authz.envelope import Envelope
from authz.errors import ConfigurationError
from authz.jose import sign_jwt, verify_signature
from authz.keys.rotation import KeyLife, KeyState
from authz.telemetry import tracing

ALGORITHMS = ("ES256", "RS256")
ACCESS_TOKEN = "access_token"  # noqa: S105 -- a purpose, not a secret
AUDIT = "audit"
ID_TOKEN = "id_token"  # noqa: S105 -- a purpose, not a secret
ID_JAG = "id_jag"
INTROSPECTION = "introspection"
PURPOSES: Mapping[str, tuple[str, ...]] = {
    ACCESS_TOKEN: ALGORITHMS,
    AUDIT: ("ES256",),
    ID_TOKEN: ALGORITHMS,
    ID_JAG: ("ES256",),
    INTROSPECTION: ("ES256",),
}


@dataclass(frozen=True)
class NewKey:
    """A generated key that is not stored yet: generation is slow and happens before the transaction."""

    purpose: str
    algorithm: str
    key: Key


@dataclass(frozen=True)
class RingKey:
    """A key with its moments."""

    life: KeyLife
    public_jwk: Mapping[str, Any]
    private: Key


@dataclass(frozen=True)
class KeyRing:
    """All keys of one tenant."""

    keys: tuple[RingKey, ...]

    def signer(self, purpose: str, algorithm: str, now: datetime) -> RingKey:
        """The active key. Two may overlap for an instant on skewed clocks; the newest signs."""
        active = [
            key
            for key in self.keys
            if key.life.purpose == purpose
            and key.life.algorithm == algorithm
            and key.life.state(now) is KeyState.ACTIVE
        ]
        if not active:
            raise ConfigurationError(
                f"no active {algorithm} key for {purpose}; run `authz keys rotate --now`"
            )
        return max(active, key=lambda key: key.life.activate_at)

    def sign(
        self, purpose: str, algorithm: str, typ: str, claims: Mapping[str, object], now: datetime
    ) -> str:
        """A signed JWT of this tenant."""
        key = self.signer(purpose, algorithm, now)
        with tracing.span("sign", authz__algorithm=algorithm, authz__purpose=purpose):
            return sign_jwt(
                key.private, algorithm=algorithm, key_id=key.life.key_id, typ=typ, claims=claims
            )

    def is_published(self, key_id: str, now: datetime) -> bool:
        """Whether what this key signed still counts."""
        return any(k.life.key_id == key_id and k.life.is_published(now) for k in self.keys)

    def verify(
        self, token: str, *, purpose: str, typ: str, algorithms: tuple[str, ...], now: datetime
    ) -> dict[str, Any]:
        """The claims of a JWT that a published key of this purpose signed. Raises JwtError."""
        keys = [
            key.private
            for key in self.keys
            if key.life.purpose == purpose and key.life.is_published(now)
        ]
        return verify_signature(token, keys, typ=typ, algorithms=algorithms)

    def jwks(self, now: datetime) -> bytes:
        """The JWK Set document (RFC 7517 §5): published keys of every purpose, public members only."""
        keys = [dict(key.public_jwk) for key in self.keys if key.life.is_published(now)]
        return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def generate(algorithm: str) -> Key:
    """A fresh private key."""
    if algorithm == "ES256":
        return ECKey.generate_key("P-256")
    if algorithm == "RS256":
        return RSAKey.generate_key(2048)
    raise ConfigurationError(f"{algorithm!r} is not one of {', '.join(ALGORITHMS)}")


def describe(key: Key, algorithm: str) -> tuple[str, dict[str, Any]]:
    """The `kid` (RFC 7638 thumbprint) and the public JWK as published."""
    kid = key.thumbprint()
    return kid, {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}


def seal(key: Key, envelope: Envelope, tenant_id: str, kid: str) -> bytes:
    """The private part for storage."""
    if not isinstance(key, (ECKey, RSAKey)) or key.private_key is None:
        raise ConfigurationError("only local EC and RSA private keys can be sealed")
    der = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return envelope.seal(der, "signing_key", tenant_id, kid)


def unseal(
    rows: Iterable[tuple[KeyLife, Mapping[str, Any], bytes | None]],
    envelope: Envelope,
    tenant_id: str,
) -> KeyRing:
    """The key ring from stored rows; keys whose private part was wiped are gone."""
    keys = []
    for life, public_jwk, sealed in rows:
        if sealed is None:
            continue
        kind = RSAKey if public_jwk["kty"] == "RSA" else ECKey
        der = envelope.open(sealed, "signing_key", tenant_id, life.key_id)
        named: KeyParameters = {"kid": life.key_id, "alg": life.algorithm, "use": "sig"}
        keys.append(RingKey(life, public_jwk, kind.import_key(der, named)))
    return KeyRing(tuple(keys))
