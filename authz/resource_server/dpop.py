"""Proofs of possession at an MCP server (RFC 9449 section 7, SEP-1932): one proof for one request (pure).

Decisions
- `htu` is compared with the configured resource, never with the Host header or the path received: a
  proxy may rewrite both, and a stranger chooses the first.
- The key is compared with the one that the token names before the signature is checked, so that only
  keys which the authorization server has seen cost a signature.
- No nonces: a proof is good for WINDOW either side of now, and once (`proof_memory`).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc.jws import JWSRegistry

from authz.resource_server.compact import FORBIDDEN_HEADERS, Segments, read_object, split
from authz.resource_server.errors import InvalidProof, InvalidToken
from authz.resource_server.jwks import ALGORITHMS as TOKEN_ALGORITHMS
from authz.resource_server.jwks import Kinds, VerificationKey, read_key

# How far the `iat` of a proof may be from now, in seconds (SEP-1932).
WINDOW = 300
ALGORITHMS = {
    "ES256": TOKEN_ALGORITHMS["ES256"],
    "ES384": JWSRegistry.algorithms["ES384"],
    "PS256": JWSRegistry.algorithms["PS256"],
    "Ed25519": TOKEN_ALGORITHMS["Ed25519"],
    "EdDSA": TOKEN_ALGORITHMS["EdDSA"],
    "RS256": TOKEN_ALGORITHMS["RS256"],
}
# An RSA key of 8192 bits takes 1,900 characters of header (DPOP-07).
MAX_HEADER_LENGTH = 4096
MAX_PROOF_LENGTH = 8192

_KINDS: Kinds = {
    ("EC", "P-256"): (("crv", "x", "y"), frozenset({"ES256"})),
    ("EC", "P-384"): (("crv", "x", "y"), frozenset({"ES384"})),
    ("RSA", None): (("n", "e"), frozenset({"PS256", "RS256"})),
    ("OKP", "Ed25519"): (("crv", "x"), frozenset({"EdDSA", "Ed25519"})),
}
_TYPES = frozenset({"dpop+jwt", "application/dpop+jwt"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_JTI_LENGTH = 256
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Proof:
    """A good proof: whose, from when, and the digest by which it is remembered."""

    key_thumbprint: str
    issued_at: float
    digest: bytes


def read_proof(
    headers: Sequence[str],
    *,
    token: str,
    key_thumbprint: str,
    method: str,
    resource: str,
    now: float,
) -> Proof:
    """Judge the `DPoP` headers of a request that presents `token`, bound to `key_thumbprint`.

    Raises InvalidProof, or InvalidToken if the proof is of another key (RFC 9449 sections 4.3 and 7.1).
    """
    if len(headers) != 1:
        raise InvalidProof("proof_missing" if not headers else "two_proofs")
    if len(headers[0]) > MAX_PROOF_LENGTH or headers[0].find(".") > MAX_HEADER_LENGTH:
        raise InvalidProof("proof_too_long")
    segments = split(headers[0], InvalidProof)
    algorithm, key = _read_header(segments.header)
    if key.key.thumbprint() != key_thumbprint:
        raise InvalidToken("key_not_bound")
    if not ALGORITHMS[algorithm].verify(segments.signing_input, segments.signature, key.key):
        raise InvalidProof("signature_wrong")
    return _read_claims(segments, key_thumbprint, token, method, resource, now)


def _read_header(header: dict[str, Any]) -> tuple[str, VerificationKey]:
    if (FORBIDDEN_HEADERS - {"jwk"}) & header.keys():
        raise InvalidProof("header_forbidden")
    kind, algorithm, jwk = header.get("typ"), header.get("alg"), header.get("jwk")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidProof("typ_wrong")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidProof("alg_not_allowed")
    if not isinstance(jwk, dict):
        raise InvalidProof("jwk_missing")
    if _PRIVATE_MEMBERS & jwk.keys():
        raise InvalidProof("jwk_private")
    key = read_key(jwk, _KINDS)
    if key is None:
        raise InvalidProof("jwk_unsupported")
    if algorithm not in key.algorithms:
        raise InvalidProof("alg_not_of_key")
    return algorithm, key


def _read_claims(
    segments: Segments, key_thumbprint: str, token: str, method: str, resource: str, now: float
) -> Proof:
    claims = read_object(segments.payload, "claims_not_json", InvalidProof)
    if claims.get("htm") != method:
        raise InvalidProof("htm_wrong")
    if not _is_resource(claims.get("htu"), resource):
        raise InvalidProof("htu_wrong")
    issued_at, jti = claims.get("iat"), claims.get("jti")
    # True is an int in Python.
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise InvalidProof("iat_malformed")
    if not now - WINDOW <= issued_at <= now + WINDOW:
        raise InvalidProof("iat_outside_window")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI_LENGTH:
        raise InvalidProof("jti_malformed")
    if claims.get("ath") != access_token_hash(token):
        raise InvalidProof("ath_wrong")
    digest = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
    return Proof(key_thumbprint=key_thumbprint, issued_at=issued_at, digest=digest)


def access_token_hash(token: str) -> str:
    """The `ath` of a token (RFC 9449 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def _is_resource(claimed: Any, resource: str) -> bool:
    if not isinstance(claimed, str) or not claimed.isascii():
        return False
    try:
        return _normal(claimed) == _normal(resource)
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, str | None, int | None, str]:
    """What RFC 9449 section 4.3 compares: without query and fragment, spelled as RFC 3986 section 6.2 has it."""
    # urlsplit would drop these and so repair a URL that no request was made to.
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL with credentials")
    path = _PERCENT.sub(lambda found: found.group().upper(), parts.path)
    port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, path or "/"
