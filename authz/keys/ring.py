"""The keys of one tenant at one version of its configuration: who signs now, and what is published."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from joserfc.jwk import ECKey, Key, KeyParameters, RSAKey

from authz.envelope import Envelope
from authz.errors import ConfigurationError
from authz.jose import sign_jwt, sign_jwt_with, verify_signature
from authz.keys.backends import LOCAL
from authz.keys.backends.local import opened
from authz.keys.custody import Custody, RemoteKey
from authz.keys.rotation import KeyLife, KeyState
from authz.telemetry import tracing

_SOON = timedelta(minutes=1)
"""Who signs is asked again when it is signed, a little later than it was planned for."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredKey:
    """A key as its row has it."""

    life: KeyLife
    public_jwk: Mapping[str, Any]
    sealed: bytes | None
    backend: str = LOCAL
    reference: str | None = None


@dataclass(frozen=True)
class RingKey:
    """A key with its moments."""

    life: KeyLife
    public_jwk: Mapping[str, Any]
    key: Key
    """Prepared: with its private part where it is local, public alone where it is not."""
    remote: RemoteKey | None = None


@dataclass(frozen=True)
class KeyRing:
    """All keys of one tenant."""

    keys: tuple[RingKey, ...]
    custody: Custody | None = field(default=None, repr=False, compare=False)

    def is_remote(self, purposes: Collection[str], now: datetime) -> bool:
        """Whether a signature for one of these may take a question to somebody else, now or in a moment.

        Then `sign` blocks, and is called `aside`. Keys of other purposes do not count, nor do those that only verify.
        """
        return any(
            key.remote is not None
            and key.life.purpose in purposes
            and key.life.activate_at <= now + _SOON
            and (key.life.retire_at is None or now - _SOON < key.life.retire_at)
            for key in self.keys
        )

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
        """A signed JWT of this tenant. Blocks where it `is_remote`. Raises SignerUnavailable."""
        key = self.signer(purpose, algorithm, now)
        with tracing.span("sign", authz__algorithm=algorithm, authz__purpose=purpose):
            return self._sign(key, algorithm, typ, claims)

    def _sign(self, key: RingKey, algorithm: str, typ: str, claims: Mapping[str, object]) -> str:
        remote, custody = key.remote, self.custody
        if remote is None:
            return sign_jwt(
                key.key, algorithm=algorithm, key_id=key.life.key_id, typ=typ, claims=claims
            )
        if custody is None:
            raise ConfigurationError("this ring was read to verify, not to sign")
        return sign_jwt_with(
            lambda data: custody.sign(remote, data),
            algorithm=algorithm,
            key_id=key.life.key_id,
            typ=typ,
            claims=claims,
        )

    async def aside(self, purposes: Collection[str], now: datetime, work: Callable[[], _T]) -> _T:
        """Do what signs for these: here where that is arithmetic, off the event loop where it is a question."""
        if self.custody is None or not self.is_remote(purposes, now):
            return work()
        return await self.custody.aside(work)

    def is_published(self, key_id: str, now: datetime) -> bool:
        """Whether what this key signed still counts."""
        return any(k.life.key_id == key_id and k.life.is_published(now) for k in self.keys)

    def verify(
        self, token: str, *, purpose: str, typ: str, algorithms: tuple[str, ...], now: datetime
    ) -> dict[str, Any]:
        """The claims of a JWT that a published key of this purpose signed. Raises JwtError."""
        keys = [
            key.key
            for key in self.keys
            if key.life.purpose == purpose and key.life.is_published(now)
        ]
        return verify_signature(token, keys, typ=typ, algorithms=algorithms)

    def jwks(self, now: datetime) -> bytes:
        """The JWK Set document (RFC 7517 §5): published keys of every purpose, public members only."""
        keys = [dict(key.public_jwk) for key in self.keys if key.life.is_published(now)]
        return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def unseal(
    stored: Iterable[StoredKey],
    envelope: Envelope,
    tenant_id: str,
    custody: Custody | None = None,
) -> KeyRing:
    """The key ring from stored rows; local keys whose private part was wiped are gone."""
    keys = []
    for it in stored:
        life, kty = it.life, str(it.public_jwk["kty"])
        if it.reference is not None:
            public = _public(it.public_jwk, life)
            remote = RemoteKey(it.backend, it.reference, life.algorithm, public)
            keys.append(RingKey(life, it.public_jwk, public, remote))
        elif it.sealed is not None:
            private = opened(
                it.sealed, envelope, tenant_id, life.key_id, kty=kty, alg=life.algorithm
            )
            keys.append(RingKey(life, it.public_jwk, private))
    return KeyRing(tuple(keys), custody)


def describe(key: Key, algorithm: str) -> tuple[str, dict[str, Any]]:
    """The `kid` (RFC 7638 thumbprint) and the public JWK as published."""
    kid = key.thumbprint()
    return kid, {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}


def _public(jwk: Mapping[str, Any], life: KeyLife) -> Key:
    kind = RSAKey if jwk["kty"] == "RSA" else ECKey
    named: KeyParameters = {"kid": life.key_id, "alg": life.algorithm, "use": "sig"}
    return kind.import_key(dict(jwk), named)
