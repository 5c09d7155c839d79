"""A logout token of an OpenID provider (Back-Channel Logout 1.0 §2.6): is it that, and whom does it sign out? Pure.

Decisions:
- It is signed with the keys, and for the audience, of an ID token, so what tells the two apart is asked for on both
  sides: here an `events` member and no `nonce`, there a `nonce` that was drawn for one sign-in (BCL-01, ATK-36).
- With `sid` the named session ends, with `sub` alone everything the person has through this connection (BCL-02).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authz import entropy
from authz.federation.subjects import Identifier, Subject
from authz.jose import LEEWAY, JwtError, Profile, time_claim, verify_jwt

EVENT = "http://schemas.openid.net/event/backchannel-logout"
PUBLIC_SENTENCE = "the logout token is not accepted"
"""The one sentence for every defect; the reason is for log and tests."""
MAX_LIFETIME = timedelta(minutes=10)
_MAX_NAME_CHARS = 256
_MAX_SUBJECT_CHARS = 512


class LogoutRefused(Exception):
    """A logout token that is not believed; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class RelyingParty:
    """What we are at the provider of one connection."""

    connection_id: str
    issuer: str
    client_id: str
    algorithms: tuple[str, ...]
    subject_claim: str = "sub"
    """By which its people are known here; where it is another than `sub`, `sub` names nobody."""


@dataclass(frozen=True)
class LogoutToken:
    """What a believed one says."""

    jti: str
    subject: Subject | None
    """None: a person whom this connection knows by another name, and no session."""
    issued_at: datetime
    replay_key: str
    remembered_until: datetime

    def __repr__(self) -> str:
        return "LogoutToken(***)"


def verify(token: str, keys: Sequence[Any], party: RelyingParty, now: datetime) -> LogoutToken:
    """The token, all of it checked but whether it came before. Raises LogoutRefused."""
    profile = Profile(
        typ=frozenset({"logout+jwt", "jwt", None}),
        algorithms=party.algorithms,
        issuer=party.issuer,
        audiences=frozenset({party.client_id}),
        max_lifetime=MAX_LIFETIME,
        required=frozenset({"jti"}),
        has_subject=False,
    )
    try:
        claims = verify_jwt(token, keys, profile, now)
        issued_at, expires_at = _moment(claims, "iat"), _moment(claims, "exp")
    except JwtError as error:
        raise LogoutRefused(error.reason) from None
    if len(claims["jti"]) > _MAX_NAME_CHARS:
        raise LogoutRefused("logout_malformed")
    if issued_at < now - MAX_LIFETIME - LEEWAY:
        raise LogoutRefused("logout_too_old")
    if "nonce" in claims:
        raise LogoutRefused("logout_nonce")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(EVENT), Mapping):
        raise LogoutRefused("logout_events")
    return LogoutToken(
        jti=claims["jti"],
        subject=_subject(claims, party),
        issued_at=issued_at,
        replay_key=entropy.digest("\x00".join(("logout", party.connection_id, claims["jti"]))),
        remembered_until=expires_at + LEEWAY,
    )


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromtimestamp(time_claim(claims, name), UTC)


def _subject(claims: Mapping[str, Any], party: RelyingParty) -> Subject | None:
    user = _name(claims, "sub", _MAX_SUBJECT_CHARS)
    session = _name(claims, "sid", _MAX_NAME_CHARS)
    if user is None and session is None:
        raise LogoutRefused("logout_of_nobody")
    if party.subject_claim != "sub":
        user = None
    return None if user is None and session is None else Subject(user=user, session=session)


def _name(claims: Mapping[str, Any], name: str, most: int) -> Identifier | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise LogoutRefused(f"logout_{name}")
    return Identifier("opaque", value)
