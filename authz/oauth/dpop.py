"""Proofs of possession (RFC 9449): a client shows with each request that it holds a key. Pure.

Owns what a proof must look like and the nonces of this server; whether a proof is needed, and whether its key is the
right one, is for the grant to know. A proof is good for one request: its `jti` is claimed in the transaction that uses
it.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

from authz import entropy
from authz.clock import numeric_date
from authz.errors import InvalidDpopProof, UseDpopNonce
from authz.jose import LEEWAY, JwtError, time_claim, verify_embedded
from authz.oauth.facts import Replay

ALGORITHMS = ("ES256", "ES384", "PS256", "Ed25519", "EdDSA", "RS256")
WINDOW = timedelta(minutes=2)
"""How old a proof may be: less than the five minutes of an MCP server, for a request made at once (DPOP-08)."""
REFUSED = "the DPoP proof is not valid"
"""The one public sentence for every defect of a proof."""
_NONCE_LIFETIME = timedelta(minutes=2)
_MAX_JTI_CHARS = 256


@dataclass(frozen=True)
class Proof:
    """A good proof: the thumbprint of its key, and what may not be presented again."""

    jkt: str
    replay: Replay


@dataclass(frozen=True)
class Nonces:
    """Nonces that need no memory: the current stretch of time under a MAC (RFC 9449 §8).

    A nonce is accepted for one to two stretches, so that a client whose nonce has just been replaced goes on.
    """

    key: bytes

    def current(self, now: datetime) -> str:
        """The one to use now."""
        return self._of(self._stretch(now))

    def accepts(self, nonce: str, now: datetime) -> bool:
        """Whether it was handed out in this stretch or the one before."""
        stretch = self._stretch(now)
        return any(entropy.equal(self._of(it), nonce) for it in (stretch, stretch - 1))

    @staticmethod
    def _stretch(now: datetime) -> int:
        return int(now.timestamp() // _NONCE_LIFETIME.total_seconds())

    def _of(self, stretch: int) -> str:
        return f"{stretch}.{entropy.mac(self.key, 'dpop_nonce', str(stretch))}"


def read_proof(
    headers: Sequence[str],
    *,
    method: str,
    uris: Sequence[str],
    algorithms: tuple[str, ...],
    nonces: Nonces | None,
    tenant_id: str,
    now: datetime,
    access_token: str | None = None,
) -> Proof:
    """Judge the `DPoP` header of a request to an address with these names.

    `nonces` are given when this server demands one, `access_token` when the request presents one (§4.3 step 12).
    Raises InvalidDpopProof, or UseDpopNonce with the nonce to use (RFC 9449 §4.3, DPOP-01, DPOP-04).
    """
    if len(headers) != 1:
        raise InvalidDpopProof("send one DPoP header", reason="dpop_header_twice")
    try:
        jkt, claims = verify_embedded(headers[0], typ="dpop+jwt", algorithms=algorithms)
        issued_at = time_claim(claims, "iat")
    except JwtError as error:
        raise InvalidDpopProof(REFUSED, reason=f"dpop_{error.reason}") from None
    if claims.get("htm") != method:
        raise InvalidDpopProof(REFUSED, reason="dpop_htm")
    if not any(_is_uri(claims.get("htu"), uri) for uri in uris):
        raise InvalidDpopProof(REFUSED, reason="dpop_htu")
    if access_token is not None and claims.get("ath") != _hash_of(access_token):
        raise InvalidDpopProof(REFUSED, reason="dpop_ath")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI_CHARS or not jti.isprintable():
        raise InvalidDpopProof(REFUSED, reason="dpop_jti")
    present = numeric_date(now)
    if not present - WINDOW.total_seconds() <= issued_at <= present + LEEWAY.total_seconds():
        raise InvalidDpopProof(REFUSED, reason="dpop_iat")
    if nonces is not None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not nonces.accepts(nonce, now):
            raise UseDpopNonce(
                "use the nonce of the DPoP-Nonce header",
                reason="dpop_nonce",
                nonce=nonces.current(now),
            )
    key = entropy.digest("\x00".join((tenant_id, "dpop_proof", jkt, jti)))
    # Remembered for as long as it would be accepted, and no fraction of a second less.
    until = now + WINDOW + LEEWAY + timedelta(seconds=1)
    return Proof(jkt, Replay(key, until, InvalidDpopProof(REFUSED, reason="dpop_replayed")))


def _hash_of(access_token: str) -> str:
    digest = sha256(access_token.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_thumbprint(text: str) -> bool:
    """Whether it can be a `dpop_jkt` (RFC 9449 §10): SHA-256 in base64url without padding."""
    return len(text) == 43 and text.isascii() and text.replace("-", "a").replace("_", "a").isalnum()


def _is_uri(claimed: object, uri: str) -> bool:
    """Compared without query and fragment; scheme and host in either case, the default port written or not."""
    if not isinstance(claimed, str) or len(claimed) > 2048 or not claimed.isascii():
        return False
    return _normal(claimed) == _normal(uri)


def _normal(text: str) -> tuple[str, str, int | None, str] | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None:
        return None
    defaults = {"https": 443, "http": 80}
    return parts.scheme, parts.hostname or "", port or defaults.get(parts.scheme), parts.path
