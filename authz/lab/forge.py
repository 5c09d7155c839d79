"""Signatures of every kind, also such that make no sense: what a library would rightly refuse to sign."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key

from authz import entropy
from authz.clock import numeric_date
from authz.jose.compact import encode

ALGORITHM = "ES256"
Members = Mapping[str, Any]


def new_key(kid: str) -> Key:
    """A private key for ES256."""
    return ECKey.generate_key("P-256", {"kid": kid, "alg": ALGORITHM, "use": "sig"})


def public_jwk(key: Key) -> dict[str, Any]:
    """What may be published of it."""
    return dict(key.as_dict(private=False))


def sign(key: Key, header: Members, claims: Members) -> str:
    """A compact JWS by this key, whatever algorithm and key the header names."""
    signed = _signed_part(header, claims)
    signature = jws.JWSRegistry.algorithms[ALGORITHM].sign(signed.encode(), key)
    return f"{signed}.{encode(signature)}"


def sign_with_secret(secret: bytes, header: Members, claims: Members) -> str:
    """An HMAC over the same: a public key is no secret, and some libraries take it for one (RFC 8725 §2.1)."""
    signed = _signed_part(header, claims)
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


def unsigned(header: Members, claims: Members) -> str:
    """No signature at all."""
    return f"{_signed_part(header, claims)}."


def flattened(key: Key, header: Members, claims: Members) -> str:
    """The JSON form of the same JWS, which RFC 7523 does not allow."""
    protected, payload, signature = sign(key, header, claims).split(".")
    return json.dumps({"protected": protected, "payload": payload, "signature": signature})


def with_other_claims(token: str, claims: Members) -> str:
    """The same signature over something else."""
    header, _, signature = token.split(".")
    return f"{header}.{_part(claims)}.{signature}"


def proof(
    key: Key, *, method: str, url: str, now: datetime, nonce: str | None = None, **changed: Any
) -> str:
    """A proof of possession (RFC 9449 §4.2)."""
    claims = {
        "htm": method,
        "htu": url,
        "jti": entropy.new_id("pop"),
        "iat": numeric_date(now),
        **({} if nonce is None else {"nonce": nonce}),
        **changed,
    }
    jwk = {name: public_jwk(key)[name] for name in ("kty", "crv", "x", "y")}
    return sign(key, {"alg": ALGORITHM, "typ": "dpop+jwt", "jwk": jwk}, claims)


def _signed_part(header: Members, claims: Members) -> str:
    return f"{_part(header)}.{_part(claims)}"


def _part(members: Members) -> str:
    return encode(json.dumps(members, separators=(",", ":")).encode())
