"""Take a compact JWS apart: length, base64url, header; no signature and no claim is judged here (pure)."""

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from authz.resource_server import strict_json
from authz.resource_server.errors import InvalidToken

MAX_TOKEN_LENGTH = 16 * 1024
# RFC 9068 section 2.1; the long form is the same media type (RFC 7515 section 4.1.9).
TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
# A key that travels with the token proves nothing; `crit`, `b64` and `zip` change what is signed.
FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, repr=False)
class CompactToken:
    """The parts of a token whose signature has yet to be checked."""

    algorithm: str
    key_id: str
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def take_apart(token: str) -> CompactToken:
    """Split an access token; raises InvalidToken for every form but the one that RFC 9068 gives it."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken("token_too_long")
    segments = token.split(".")
    if len(segments) != 3:
        raise InvalidToken("not_compact")
    header_segment, payload_segment, signature_segment = segments
    header = read_object(_decode(header_segment), "header_not_json")
    if FORBIDDEN_HEADERS & header.keys():
        raise InvalidToken("header_forbidden")
    kind, algorithm, key_id = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in TOKEN_TYPES:
        raise InvalidToken("typ_wrong")
    if not isinstance(algorithm, str):
        raise InvalidToken("alg_missing")
    if not isinstance(key_id, str) or not key_id:
        raise InvalidToken("kid_missing")
    return CompactToken(
        algorithm=algorithm,
        key_id=key_id,
        payload=_decode(payload_segment),
        signing_input=f"{header_segment}.{payload_segment}".encode("ascii"),
        signature=_decode(signature_segment),
    )


def read_object(data: bytes, reason: str) -> dict[str, Any]:
    """Parse a JSON object; raises InvalidToken(reason) for anything else."""
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        raise InvalidToken(reason) from error
    if not isinstance(value, dict):
        raise InvalidToken(reason)
    return value


def _decode(segment: str) -> bytes:
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise InvalidToken("segment_malformed")
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    # Unused trailing bits would give one token several spellings.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode("ascii"):
        raise InvalidToken("segment_malformed")
    return data
