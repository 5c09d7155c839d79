"""Every JWT that comes in, against the profile of its kind."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from authz.clock import numeric_date
from authz.jose.compact import MAX_TOKEN_CHARS, JwtError, decode, read_unverified
from authz.jose.decoys import decoy
from authz.jose.keys import ASYMMETRIC, fitting, import_key

LEEWAY = timedelta(seconds=60)
"""How far two clocks may differ, when accepting and when remembering (ATK-53)."""

BEFORE_SIGNATURE = frozenset(
    {"jwt_header_forbidden", "jwt_alg", "jwt_typ", "jwt_kid", "jwt_key_unknown"}
)
"""Reasons of `verify_jwt` that come before any signature is looked at, for a token that can be read."""
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"})
_LATEST = 253402300799  # the end of year 9999: what a datetime can hold


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
    has_subject: bool = True
    """`sub` has to be there, as text."""
    audience_is_text: bool = False
    """A list is refused, even of one (FAPI 2.0 §5.3.2.1)."""
    max_chars: int = MAX_TOKEN_CHARS
    """More only where the sender is configured and says much of somebody: an ID token names all their groups."""


def verify_jwt(
    token: str,
    keys: Sequence[Key],
    profile: Profile,
    now: datetime,
    *,
    read: tuple[dict[str, Any], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The claims of a token that satisfies the profile under one of the keys. Raises JwtError.

    `read` is what `read_unverified` made of this token, where the caller had to look into it to find the keys.
    """
    header, claims = read or read_unverified(token, max_chars=profile.max_chars)
    _check_header(header, profile.typ, profile.algorithms)
    _check_signature(token, header, keys, profile.algorithms)
    _check_claims(claims, profile, now)
    return claims


def verify_in_vain(token: str, header: Mapping[str, Any] | None = None) -> None:
    """The work of `verify_jwt` up to a wrong signature, by the algorithm the token names; never says anything.

    With the header of a token that `verify_jwt` has read already, what is left of that work.
    """
    with suppress(JwtError):
        header = read_unverified(token)[0] if header is None else header
        algorithm = header.get("alg")
        if algorithm not in ASYMMETRIC:
            return
        _check_signature(token, {**header, "kid": None}, [decoy(algorithm)], ASYMMETRIC)


def verify_signature(
    token: str,
    keys: Sequence[Key],
    *,
    typ: str,
    algorithms: tuple[str, ...],
    max_chars: int = MAX_TOKEN_CHARS,
) -> dict[str, Any]:
    """The claims of a statement that is a signed record rather than a credential: no audience, no expiry.

    Raises JwtError.
    """
    header, claims = read_unverified(token, max_chars=max_chars)
    _check_header(header, frozenset({typ}), algorithms)
    _check_signature(token, header, keys, algorithms)
    return claims


def verify_embedded(
    token: str, *, typ: str, algorithms: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    """The RFC 7638 thumbprint of the public key in the header, and the claims it signed (RFC 9449 §4.3).

    For proofs of possession alone: that the key is the right one is for the caller to know. Raises JwtError.
    """
    header, claims = read_unverified(token)
    embedded = header.pop("jwk", None)
    _check_header(header, frozenset({typ}), algorithms)
    key = import_key(embedded)
    if key is None:
        raise JwtError("jwk_unsupported")
    _check_signature(token, {**header, "kid": None}, [key], algorithms)
    return key.thumbprint(), claims


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
    named = [key for key in keys if kid is None or key.kid == kid]
    usable = [key for key in named if algorithm in algorithms and fitting(key, (algorithm,))]
    if not usable:
        raise JwtError("jwt_key_unknown")
    signed, _, encoded = token.rpartition(".")
    try:
        signature = decode(encoded)
    except ValueError:
        raise JwtError("jwt_signature") from None
    verifier = jws.JWSRegistry.algorithms[algorithm]
    # Without a `kid` a few keys are tried; more would be a way to make us work (STK-07).
    for key in usable[:5]:
        try:
            if verifier.verify(signed.encode(), signature, key):
                return
        except (JoseError, ValueError):
            continue
    raise JwtError("jwt_signature")


def _check_claims(claims: Mapping[str, Any], profile: Profile, now: datetime) -> None:
    if claims.get("iss") != profile.issuer:
        raise JwtError("jwt_iss")
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1 and not profile.audience_is_text:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in profile.audiences:
        raise JwtError("jwt_aud")
    for name in profile.required | ({"sub"} if profile.has_subject else set()):
        value = claims.get(name)
        # Printable: neither NUL nor half a surrogate pair, which no database stores.
        if not isinstance(value, str) or not 1 <= len(value) <= 2048 or not value.isprintable():
            raise JwtError(f"jwt_{name}")
    present, leeway = numeric_date(now), LEEWAY.total_seconds()
    expires, issued = time_claim(claims, "exp"), find_time_claim(claims, "iat")
    if expires <= present - leeway:
        raise JwtError("jwt_expired")
    if issued is not None and issued > present + leeway:
        raise JwtError("jwt_from_the_future")
    not_before = find_time_claim(claims, "nbf")
    if not_before is not None and not_before > present + leeway:
        raise JwtError("jwt_from_the_future")
    begins = present if issued is None else issued
    if expires - begins > profile.max_lifetime.total_seconds() + leeway or (
        expires - present > profile.max_lifetime.total_seconds() + leeway
    ):
        raise JwtError("jwt_lifetime")


def time_claim(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate that a datetime can hold. Raises JwtError."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JwtError(f"jwt_{name}")
    # False for NaN too, and never a conversion: an integer may be larger than any float.
    if not 0 <= value <= _LATEST:
        raise JwtError(f"jwt_{name}")
    return float(value)


def find_time_claim(claims: Mapping[str, Any], name: str) -> float | None:
    """The same, where there is one. Raises JwtError."""
    return None if claims.get(name) is None else time_claim(claims, name)
