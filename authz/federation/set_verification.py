"""A security event token (RFC 8417) from the transmitter of one stream: is it that, and what does it say? Pure.

Decisions:
- It can be taken for no other JWT and no other for it: a `typ` of its own, and neither `sub` nor `exp`, which all
  others have (SSF-01, ATK-36).
- One event a token (CAEP interoperability profile).
- What is merely informative may be malformed without the event being lost: a revocation that is refused because of its
  time of day would leave somebody in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from authz import entropy
from authz.clock import numeric_date
from authz.jose import (
    ASYMMETRIC,
    LEEWAY,
    JwtError,
    find_time_claim,
    read_unverified,
    time_claim,
    verify_signature,
)

TYP = "secevent+jwt"
REMEMBERED = timedelta(days=30)
"""How old a token may be, because its sender was down or we were; and for how long it is known again."""
_MAX_NAME_CHARS = 256


class SetRefused(Exception):
    """A token that is not believed; `code` is for the sender (RFC 8935 §2.4), `reason` for log and tests."""

    CODES: ClassVar[Mapping[str, str]] = {
        "invalid_request": "the token is not a security event token that is taken here",
        "invalid_key": "no key of the transmitter verifies the token",
        "invalid_issuer": "the token is from another issuer",
        "invalid_audience": "the token is for another audience",
        "authentication_failed": "the transmitter is not who it says",
        "access_denied": "this stream is switched off",
    }

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} [{reason}]")
        self.code = code
        self.reason = reason

    @property
    def sentence(self) -> str:
        """One for each code, whatever the defect."""
        return self.CODES[self.code]


@dataclass(frozen=True)
class Transmitter:
    """Who may say something, and to whom."""

    stream_id: str
    issuer: str
    audience: str


@dataclass(frozen=True)
class SecurityEvent:
    """What a believed token says."""

    jti: str
    kind: str
    """The URI of the event type."""
    payload: Mapping[str, Any]
    subject: object
    """As it came; None when it names nobody."""
    issued_at: datetime
    occurred_at: datetime | None
    replay_key: str

    def __repr__(self) -> str:
        return f"SecurityEvent({self.kind!r})"


def key_sought(token: str, transmitter: Transmitter) -> Mapping[str, Any]:
    """The header, before any trust. Raises SetRefused for what no key could save."""
    try:
        header, claims = read_unverified(token)
    except JwtError as error:
        raise SetRefused("invalid_request", error.reason) from None
    # Before the key: what another issuer signed is not verified with this one's keys.
    if claims.get("iss") != transmitter.issuer:
        raise SetRefused("invalid_issuer", "set_iss")
    return header


def verify(
    token: str, keys: Sequence[Any], transmitter: Transmitter, now: datetime
) -> SecurityEvent:
    """The event. Raises SetRefused."""
    try:
        claims = verify_signature(token, keys, typ=TYP, algorithms=ASYMMETRIC)
        issued = time_claim(claims, "iat")
    except JwtError as error:
        code = "invalid_key" if error.reason in _ABOUT_THE_KEY else "invalid_request"
        raise SetRefused(code, error.reason) from None
    if claims.get("iss") != transmitter.issuer:
        raise SetRefused("invalid_issuer", "set_iss")
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if audience != transmitter.audience:
        raise SetRefused("invalid_audience", "set_aud")
    for name in ("sub", "exp"):
        if name in claims:
            raise SetRefused("invalid_request", f"set_{name}")
    issued_at = _moment(issued)
    if issued_at > now + LEEWAY:
        raise SetRefused("invalid_request", "set_from_the_future")
    if issued_at < now - REMEMBERED:
        raise SetRefused("invalid_request", "set_too_old")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_NAME_CHARS or not jti.isprintable():
        raise SetRefused("invalid_request", "set_jti")
    kind, payload = _only_event(claims.get("events"))
    return SecurityEvent(
        jti=jti,
        kind=kind,
        payload=payload,
        subject=_subject(claims, payload),
        issued_at=issued_at,
        occurred_at=_occurred(claims, payload, now) or issued_at,
        replay_key=entropy.digest("\x00".join(("set", transmitter.stream_id, jti))),
    )


_ABOUT_THE_KEY = frozenset({"jwt_key_unknown", "jwt_signature"})


def _only_event(events: object) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(events, Mapping) or len(events) != 1:
        raise SetRefused("invalid_request", "set_events")
    [(kind, payload)] = events.items()
    if not isinstance(payload, Mapping) or not 1 <= len(kind) <= _MAX_NAME_CHARS:
        raise SetRefused("invalid_request", "set_events")
    if not kind.isprintable():
        raise SetRefused("invalid_request", "set_events")
    return kind, payload


def _subject(claims: Mapping[str, Any], payload: Mapping[str, Any]) -> object:
    """`sub_id` of the token; before the framework's first version it was in the event."""
    ours, earlier = claims.get("sub_id"), payload.get("subject")
    if ours is not None and earlier is not None and ours != earlier:
        raise SetRefused("invalid_request", "set_two_subjects")
    return earlier if ours is None else ours


def _occurred(
    claims: Mapping[str, Any], payload: Mapping[str, Any], now: datetime
) -> datetime | None:
    for members, name in ((payload, "event_timestamp"), (claims, "toe")):
        try:
            seconds = find_time_claim(members, name)
        except JwtError:
            continue
        if seconds is not None and seconds <= numeric_date(now) + LEEWAY.total_seconds():
            return _moment(seconds)
    return None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
