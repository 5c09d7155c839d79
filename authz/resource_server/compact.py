"""Take a compact JWS apart: length, base64url, header; no signature and no claim is judged here (pure)."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from authz.resource_server import strict_json
from authz.resource_server.errors import AccessError, InvalidToken

MAX_TOKEN_LENGTH = 16 * 1024
# RFC 9068 section 2.1; the long form is the same media type (RFC 7515 section 4.1.9).
TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
# A key that travels with the token proves nothing; `crit`, `b64` and `zip` change what is signed.
FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

# What a reason is raised as: InvalidToken for an access token, InvalidProof for a proof.
Refuse = Callable[[str], AccessError]


@dataclass(frozen=True, repr=False)
class Segments:
    """A JWS taken apart: a header that nobody has judged, and bytes that nobody has read."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, repr=False)
class CompactToken:
    """The parts of a token whose signature has yet to be checked."""

    algorithm: str
    key_id: str
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def take_apart(
    token: str,
    *,
    types: frozenset[str] = TOKEN_TYPES,
    max_length: int = MAX_TOKEN_LENGTH,
) -> CompactToken:
    """Split a token of one of these types: an access token, in the one form that RFC 9068 gives it.

    Raises InvalidToken for every other form.
    """
    if len(token) > max_length:
        raise InvalidToken("token_too_long")
    segments = split(token, InvalidToken)
    header = segments.header
    if FORBIDDEN_HEADERS & header.keys():
        raise InvalidToken("header_forbidden")
    kind, algorithm, key_id = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in types:
        raise InvalidToken("typ_wrong")
    if not isinstance(algorithm, str):
        raise InvalidToken("alg_missing")
    if not isinstance(key_id, str) or not key_id:
        raise InvalidToken("kid_missing")
    return CompactToken(
        algorithm=algorithm,
        key_id=key_id,
        payload=segments.payload,
        signing_input=segments.signing_input,
        signature=segments.signature,
    )


def split(compact: str, refuse: Refuse) -> Segments:
    """Split a compact JWS and decode each part; raises `refuse(reason)` for every other form."""
    segments = compact.split(".")
    if len(segments) != 3:
        raise refuse("not_compact")
    header, payload, signature = (_decode(segment, refuse) for segment in segments)
    return Segments(
        header=read_object(header, "header_not_json", refuse),
        payload=payload,
        signing_input=compact.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


def read_object(data: bytes, reason: str, refuse: Refuse) -> dict[str, Any]:
    """Parse a JSON object; raises `refuse(reason)` for anything else."""
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        raise refuse(reason) from error
    if not isinstance(value, dict):
        raise refuse(reason)
    return value


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(segment: str, refuse: Refuse) -> bytes:
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise refuse("segment_malformed")
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    # Unused trailing bits would give one token several spellings.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode("ascii"):
        raise refuse("segment_malformed")
    return data
