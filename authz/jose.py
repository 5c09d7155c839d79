"""The one wrapper round joserfc: signing what we issue, verifying every JWT that comes in.

`verify_jwt` takes a `Profile` and is the only way in (architecture D13): compact form only, capped length, an explicit
algorithm list bound to the key's type, `typ`, no header that names or carries a key, no duplicate members, string
`iss` and `sub`, one audience, finite times, bounded lifetime. Every failure is a `JwtError` with a private reason.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from authz.clock import numeric_date
from authz.transactions import forbid_inside_transaction

LEEWAY = timedelta(seconds=60)
"""How far two clocks may differ, when accepting and when remembering (ATK-53)."""

MAX_TOKEN_CHARS = 16 * 1024
ASYMMETRIC = ("ES256", "ES384", "RS256", "PS256")
_MAX_HEADER_CHARS = 4096
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"})
_CURVES = {"ES256": "P-256", "ES384": "P-384"}
_CLAIMS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_LATEST = 253402300799  # the end of year 9999: what a datetime can hold


class JwtError(Exception):
    """A token was refused; `reason` is for logs and tests, never for the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Profile:
    """What one kind of JWT must look like."""

    typ: frozenset[str | None]
    """Accepted `typ` values in lower case, without `application/`; None stands for absence."""
    algorithms: tuple[str, ...]
    issuer: str
    audiences: frozenset[str]
    """Exactly one of these must be the only audience."""
    max_lifetime: timedelta
    required: frozenset[str] = frozenset()


def sign_jwt(
    key: Key, *, algorithm: str, key_id: str, typ: str, claims: Mapping[str, object]
) -> str:
    """A compact JWS with `typ`, `alg` and `kid`. Never inside a transaction: the key may be remote."""
    forbid_inside_transaction("signing")
    # Spelled here and only signed by the library: the header is always the same, and the key is our own.
    payload = _encode(_CLAIMS.encode(claims).encode())
    signed = f"{_header(typ, algorithm, key_id)}.{payload}"
    signature = jws.JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)
    return f"{signed}.{_encode(signature)}"


@lru_cache(maxsize=256)
def _header(typ: str, algorithm: str, key_id: str) -> str:
    members = {"typ": typ, "alg": algorithm, "kid": key_id}
    return _encode(json.dumps(members, separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def verify_jwt(token: str, keys: Sequence[Key], profile: Profile, now: datetime) -> dict[str, Any]:
    """The claims of a token that satisfies the profile under one of the keys. Raises JwtError."""
    header, claims = read_unverified(token)
    _check_header(header, profile.typ, profile.algorithms)
    _check_signature(token, header, keys, profile.algorithms)
    _check_claims(claims, profile, now)
    return claims


def verify_signature(
    token: str, keys: Sequence[Key], *, typ: str, algorithms: tuple[str, ...]
) -> dict[str, Any]:
    """The claims of a statement that is a signed record rather than a credential: no audience, no expiry.

    Raises JwtError.
    """
    header, claims = read_unverified(token)
    _check_header(header, frozenset({typ}), algorithms)
    _check_signature(token, header, keys, algorithms)
    return claims


def read_unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims before any trust, to find out whose key to use. Raises JwtError."""
    if len(token) > MAX_TOKEN_CHARS:
        raise JwtError("jwt_too_long")
    parts = token.split(".")
    if len(parts) != 3:
        raise JwtError("jwt_not_compact")
    if len(parts[0]) > _MAX_HEADER_CHARS:
        raise JwtError("jwt_header_too_long")
    return _object(parts[0]), _object(parts[1])


def import_jwks(document: object, *, algorithms: Sequence[str]) -> tuple[Key, ...]:
    """Public keys of a JWK Set that fit the algorithms; others are passed over, hostile ones refused.

    Raises JwtError: private or symmetric members (CIMD-10), RSA outside 2048 to 8192 bits, an even or tiny
    exponent, unknown curves (ATK-45), more than 20 keys.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= 20:
        raise JwtError("jwks_malformed")
    keys = [_import_key(entry) for entry in entries]
    usable = tuple(key for key in keys if key is not None and _fitting(key, algorithms))
    if not usable:
        raise JwtError("jwks_without_usable_key")
    return usable


def _import_key(entry: object) -> Key | None:
    if not isinstance(entry, dict):
        raise JwtError("jwk_malformed")
    if entry.get("kty") == "oct" or not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}.isdisjoint(
        entry
    ):
        raise JwtError("jwk_not_public")
    if entry.get("use", "sig") != "sig":
        return None
    kty = entry.get("kty")
    if kty not in ("RSA", "EC"):
        return None
    try:
        if kty == "RSA":
            _check_rsa(entry)
        return (RSAKey if kty == "RSA" else ECKey).import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError, binascii.Error):
        raise JwtError("jwk_malformed") from None


def _check_rsa(entry: Mapping[str, Any]) -> None:
    """Before any arithmetic: a 64-kilobit modulus or e=1 must not reach the library (ATK-45)."""
    modulus, exponent = entry.get("n"), entry.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        raise JwtError("jwk_malformed")
    if not 340 <= len(modulus) <= 1368 or not 3 <= len(exponent) <= 8:
        raise JwtError("jwk_weak")
    value = int.from_bytes(_decode(exponent), "big")
    if value < 65537 or value % 2 == 0:
        raise JwtError("jwk_weak")


def _fitting(key: Key, algorithms: Sequence[str]) -> list[str]:
    """The algorithms of the list that this key may be used with: one key never serves two families."""
    declared = key.as_dict(private=False).get("alg")
    if isinstance(key, RSAKey):
        fits = [a for a in algorithms if a[:2] in ("RS", "PS")]
    elif isinstance(key, ECKey):
        fits = [a for a in algorithms if _CURVES.get(a) == key.curve_name]
    else:
        fits = []
    return [a for a in fits if declared in (None, a)]


def _check_header(
    header: Mapping[str, Any], typs: frozenset[str | None], algorithms: tuple[str, ...]
) -> None:
    if not _FORBIDDEN_HEADERS.isdisjoint(header):
        raise JwtError("jwt_header_forbidden")
    if header.get("alg") not in algorithms:
        raise JwtError("jwt_alg")
    typ = header.get("typ")
    if typ is not None and not isinstance(typ, str):
        raise JwtError("jwt_typ")
    if (None if typ is None else typ.lower().removeprefix("application/")) not in typs:
        raise JwtError("jwt_typ")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > 256):
        raise JwtError("jwt_kid")


def _check_signature(
    token: str, header: Mapping[str, Any], keys: Sequence[Key], algorithms: tuple[str, ...]
) -> None:
    algorithm, kid = header["alg"], header.get("kid")
    fitting = [key for key in keys if algorithm in _fitting(key, algorithms)]
    named = [key for key in fitting if kid is None or key.kid == kid]
    if not named:
        raise JwtError("jwt_key_unknown")
    # Without a `kid` a few keys are tried; more would be a way to make us work (STK-07).
    for key in named[:5]:
        try:
            jws.deserialize_compact(token, key, registry=_registry(algorithm))
        except (JoseError, ValueError):
            continue
        return
    raise JwtError("jwt_signature")


def _registry(algorithm: str) -> jws.JWSRegistry:
    # The default registry refuses unknown header members and headers over 512 bytes, which real issuers send
    # (STK-01, STK-06); what is dangerous has been refused by `_check_header`.
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = _MAX_HEADER_CHARS
    return registry


def _check_claims(claims: Mapping[str, Any], profile: Profile, now: datetime) -> None:
    if claims.get("iss") != profile.issuer:
        raise JwtError("jwt_iss")
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in profile.audiences:
        raise JwtError("jwt_aud")
    for name in profile.required | {"sub"}:
        value = claims.get(name)
        # Printable: neither NUL nor half a surrogate pair, which no database stores.
        if not isinstance(value, str) or not 1 <= len(value) <= 2048 or not value.isprintable():
            raise JwtError(f"jwt_{name}")
    present, leeway = numeric_date(now), LEEWAY.total_seconds()
    expires, issued = _time(claims, "exp"), _time(claims, "iat", optional=True)
    if expires is None or expires <= present - leeway:
        raise JwtError("jwt_expired")
    if issued is not None and issued > present + leeway:
        raise JwtError("jwt_from_the_future")
    not_before = _time(claims, "nbf", optional=True)
    if not_before is not None and not_before > present + leeway:
        raise JwtError("jwt_from_the_future")
    begins = present if issued is None else issued
    if expires - begins > profile.max_lifetime.total_seconds() + leeway or (
        expires - present > profile.max_lifetime.total_seconds() + leeway
    ):
        raise JwtError("jwt_lifetime")


def _time(claims: Mapping[str, Any], name: str, *, optional: bool = False) -> float | None:
    value = claims.get(name)
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JwtError(f"jwt_{name}")
    # False for NaN too, and never a conversion: an integer may be larger than any float.
    if not 0 <= value <= _LATEST:
        raise JwtError(f"jwt_{name}")
    return float(value)


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(
            _decode(part), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise JwtError("jwt_not_json") from None
    if not isinstance(value, dict):
        raise JwtError("jwt_not_json")
    return value


def _decode(part: str) -> bytes:
    """Strict base64url without padding: two spellings of one value must not both pass."""
    if not part.isascii() or "=" in part or "+" in part or "/" in part:
        raise ValueError("not base64url")
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if _encode(raw) != part:
        raise ValueError("not base64url")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
