"""From an entry of the feed to a security event token (RFC 8417, CAEP 1.0). Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authz.clock import numeric_date
from authz.revocations.entries import GRANT, TOKEN
from authz.revocations.numbering import Entry

TYP = "secevent+jwt"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
TOKEN_REVOKED = "https://schemas.openid.net/secevent/oauth/event-type/token-revoked"  # noqa: S105 -- a URI
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
SUPPORTED = (SESSION_REVOKED, TOKEN_REVOKED)
_KINDS = {GRANT: SESSION_REVOKED, TOKEN: TOKEN_REVOKED}

Claims = dict[str, Any]


def type_of(entry: Entry) -> str | None:
    """What kind of event it is; None for what is about nobody in particular."""
    return _KINDS.get(entry.kind)


def name_of(stream_id: str, entry: Entry) -> str:
    """The `jti`: the same each time it is told."""
    return f"{stream_id}.{entry.position}"


def position_of(stream_id: str, jti: str) -> int | None:
    """The place of the entry that was told under this name; None for any other name."""
    prefix, dot, number = jti.rpartition(".")
    if prefix != stream_id or not dot or not number.isascii() or not number.isdecimal():
        return None
    return int(number) if len(number) < 20 and number[0] != "0" else None


def claims_of(entry: Entry, *, issuer: str, audience: str, stream_id: str, now: datetime) -> Claims:
    """Neither `sub` nor `exp`, so that nothing takes it for another kind of token (SSF-01)."""
    happened = {"event_timestamp": numeric_date(entry.created_at)}
    if entry.kind == GRANT:
        subject: Mapping[str, Any] = {
            "format": "complex",
            "user": {"format": "iss_sub", "iss": issuer, "sub": entry.subject},
            # The session as the receiver knows it: the grant that its tokens name.
            "session": {"format": "opaque", "id": entry.value},
        }
    else:
        subject = {"format": "jwt_id", "iss": issuer, "jti": entry.value}
    return {
        "iss": issuer,
        "aud": audience,
        "iat": numeric_date(now),
        "jti": name_of(stream_id, entry),
        "sub_id": subject,
        "events": {_KINDS[entry.kind]: happened},
    }


def verification_claims(
    jti: str, state: str | None, *, issuer: str, audience: str, stream_id: str, now: datetime
) -> Claims:
    """SSF §8.1.4."""
    return {
        "iss": issuer,
        "aud": audience,
        "iat": numeric_date(now),
        "jti": jti,
        "sub_id": {"format": "opaque", "id": stream_id},
        "events": {VERIFICATION: {} if state is None else {"state": state}},
    }
