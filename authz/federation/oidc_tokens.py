"""The ID token of a sign-in: whose it is, for whom, of which sign-in, and how fresh (pure).

Two opinions, and both have to be good. Ours comes first, because libraries take tokens that we do not: several
audiences of which one is right, no `exp`, times that no clock can show, the `typ` of another kind of token. Authlib's
follows with what OpenID Connect adds to a JWT.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from authz import entropy
from authz.clock import numeric_date
from authz.federation.connector import SignInRefused, Wish
from authz.federation.keys_of import Keys
from authz.federation.oidc_requests import MAX_ANSWER_BYTES
from authz.jose import (
    LEEWAY,
    JwtError,
    Profile,
    find_time_claim,
    read_unverified,
    time_claim,
    verify_jwt,
)

MAX_LIFETIME = timedelta(days=1)
"""Auth0 signs for ten hours; what binds a token to this sign-in is its nonce."""
MAX_BACKDATING = timedelta(minutes=10)
"""Entra ID dates tokens five minutes back, for clocks that are slow."""
KEY_REASONS = frozenset({"id_token_key_unknown", "id_token_signature"})
"""With other keys the token may be good after all: they were rotated."""
NOT_FRESH = "You have to prove anew who you are. Sign in again at your identity provider."


@dataclass(frozen=True)
class Expected:
    """What the token is held against."""

    issuer: str
    client_id: str
    nonce: str
    algorithms: tuple[str, ...]
    access_token: str | None
    started_at: datetime
    kind: str | None = None
    """The claim `typ` of a provider whose other tokens are signed by the same keys."""

    def __repr__(self) -> str:
        return f"Expected({self.issuer!r})"


def verify_id_token(token: str, keys: Keys, expected: Expected, now: datetime) -> dict[str, Any]:
    """The claims of the token. Raises SignInRefused with `id_token_...`."""
    profile = Profile(
        # OpenID Connect names no `typ`; what has another explicit one is no ID token (`at+jwt`, `logout+jwt`).
        typ=frozenset({None, "jwt"}),
        algorithms=expected.algorithms,
        issuer=expected.issuer,
        audiences=frozenset({expected.client_id}),
        max_lifetime=MAX_LIFETIME,
        required=frozenset({"nonce"}),
        max_chars=MAX_ANSWER_BYTES,
    )
    try:
        claims = verify_jwt(token, keys, profile, now)
        issued_at = time_claim(claims, "iat")
    except JwtError as error:
        raise SignInRefused(f"id_token_{error.reason.removeprefix('jwt_')}") from error
    if not entropy.equal(claims["nonce"], expected.nonce):
        raise SignInRefused("id_token_nonce")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise SignInRefused("id_token_azp")
    if expected.kind is not None and claims.get("typ", expected.kind) != expected.kind:
        raise SignInRefused("id_token_kind")
    # Made for this sign-in, so not before it began (OpenID Connect Core §3.1.3.7 step 10).
    if issued_at < (expected.started_at - MAX_BACKDATING).timestamp():
        raise SignInRefused("id_token_stale")
    _ask_authlib(token, claims, expected, now)
    return claims


def auth_time_of(
    claims: Mapping[str, Any], wish: Wish, started_at: datetime, now: datetime
) -> datetime | None:
    """When they last proved who they are; demanded and judged where the wish minds (SUA-04). Raises SignInRefused.

    A provider that keeps its session and says nothing, or that answers with an old proof, has not done as asked.
    """
    try:
        value = find_time_claim(claims, "auth_time")
    except JwtError as error:
        raise SignInRefused("id_token_auth_time") from error
    minds = wish.is_fresh or wish.max_age is not None
    if value is None:
        if minds:
            raise SignInRefused("auth_time_missing", NOT_FRESH)
        return None
    proved_at = datetime.fromtimestamp(value, tz=UTC)
    if proved_at > now + LEEWAY:
        raise SignInRefused("auth_time_future")
    is_old = wish.is_fresh and proved_at < started_at - LEEWAY
    if wish.max_age is not None:
        is_old = is_old or (now - proved_at).total_seconds() > wish.max_age + LEEWAY.total_seconds()
    if is_old:
        raise SignInRefused("auth_time_stale", NOT_FRESH)
    return min(proved_at, now)


def _ask_authlib(token: str, claims: Mapping[str, Any], expected: Expected, now: datetime) -> None:
    """Once more by a reader of OpenID Connect that others wrote, with nothing left to its defaults; and `at_hash`."""
    if not isinstance(claims.get("at_hash", "-"), str) or claims.get("at_hash") == "":
        # The library would not look at an empty one.
        raise SignInRefused("id_token_at_hash")
    header, _ = read_unverified(token, max_chars=MAX_ANSWER_BYTES)
    # It knows Ed25519 by its older name alone, and would find no hash for the newer (JWT-02).
    algorithm = "EdDSA" if header["alg"] == "Ed25519" else header["alg"]
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": expected.issuer},
        "sub": {"essential": True},
        "aud": {"essential": True, "value": expected.client_id},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "nonce": {"essential": True, "value": expected.nonce},
    }
    params = {
        "client_id": expected.client_id,
        "nonce": expected.nonce,
        "access_token": expected.access_token,
    }
    token_claims = CodeIDToken(dict(claims), {"alg": algorithm}, options, params)
    try:
        token_claims.validate(now=numeric_date(now), leeway=int(LEEWAY.total_seconds()))
    except JoseError as error:
        claim = getattr(error, "claim", "")
        known = claim if claim in {"amr", "at_hash", "auth_time"} else "claims"
        raise SignInRefused(f"id_token_{known}") from error
