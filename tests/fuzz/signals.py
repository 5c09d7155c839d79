"""Targets: what identity providers, and whoever pretends to be one, say of people who leave.

Everything is signed, by whoever fuzzes too: so what the claims may be is tried, not only how a token is spelled.
"""

import json

from authz.federation import logout_tokens, set_verification
from authz.federation.logout_tokens import EVENT, RelyingParty
from authz.federation.polling import read_page
from authz.federation.security_events import CAEP, RISC, Action, react
from authz.federation.set_verification import Transmitter, key_sought
from authz.federation.subjects import SubjectRefused, read_subject
from authz.jose import ASYMMETRIC, read_unverified
from tests.fuzz.front import KEY, SEPARATOR, token_of
from tests.support.configured import ISSUER, NOW

_PROVIDER = "https://idp.example"
_PARTY = RelyingParty("con_1", _PROVIDER, "client-1", ASYMMETRIC)
_TRANSMITTER = Transmitter("sgs_1", _PROVIDER, ISSUER)


def logout_token(data: bytes) -> None:
    """BCL-01, ATK-36: what passes is no ID token, and names somebody that a database can be asked for."""
    token = token_of(data)
    said = logout_tokens.verify(token, [KEY], _PARTY, NOW)
    _, claims = read_unverified(token)
    assert "nonce" not in claims
    assert EVENT in claims["events"]
    assert said.subject is not None
    named = [it for it in (said.subject.user, said.subject.session) if it is not None]
    assert named
    for name in named:
        assert name.value.isprintable()
        assert len(name.value) <= 512
    assert said.remembered_until > NOW


def security_event(data: bytes) -> None:
    """SSF-01, SSF-02, ATK-36: what passes is nothing else, and has one consequence."""
    token = token_of(data)
    key_sought(token, _TRANSMITTER)
    event = set_verification.verify(token, [KEY], _TRANSMITTER, NOW)
    header, claims = read_unverified(token)
    assert header["typ"].lower().removeprefix("application/") == "secevent+jwt"
    assert not {"sub", "exp"} & claims.keys()
    assert len(claims["events"]) == 1
    assert isinstance(react(event.kind, event.payload).action, Action)
    assert event.jti.isprintable()
    try:
        subject = read_subject(event.subject)
    except SubjectRefused:
        return
    assert subject.user or subject.session or subject.either


def page(data: bytes) -> None:
    """RFC 8936: an answer is names and texts."""
    for jti, token in read_page(data).tokens.items():
        assert 1 <= len(jti) <= 256
        assert isinstance(token, str)


def _signed(typ: str, claims: dict[str, object]) -> bytes:
    header = {"alg": "ES256", "typ": typ}
    return json.dumps(header).encode() + SEPARATOR + json.dumps(claims).encode()


_AT = int(NOW.timestamp())
_LOGOUT = {"iss": _PROVIDER, "aud": "client-1", "iat": _AT, "exp": _AT + 120, "jti": "l1"}
_SET = {"iss": _PROVIDER, "aud": ISSUER, "iat": _AT, "jti": "s1"}
_ADA = {"format": "iss_sub", "iss": _PROVIDER, "sub": "ada"}
LOGOUT_TOKENS = (
    _signed("logout+jwt", {**_LOGOUT, "events": {EVENT: {}}, "sub": "ada", "sid": "s1"}),
    _signed("JWT", {**_LOGOUT, "events": {EVENT: {}}, "sid": "s1"}),
    _signed("JWT", {**_LOGOUT, "sub": "ada", "nonce": "n"}),
)
SECURITY_EVENTS = (
    _signed(
        "secevent+jwt",
        {
            **_SET,
            "sub_id": {
                "format": "complex",
                "user": _ADA,
                "session": {"format": "opaque", "id": "s1"},
                "tenant": {"format": "opaque", "id": "t"},
            },
            "events": {f"{CAEP}session-revoked": {"event_timestamp": _AT - 5}},
        },
    ),
    _signed(
        "secevent+jwt",
        {**_SET, "events": {f"{RISC}account-disabled": {"subject": _ADA, "reason": "hijacking"}}},
    ),
    _signed("secevent+jwt", {**_SET, "exp": _AT + 60, "events": {f"{CAEP}session-revoked": {}}}),
)
PAGES = (
    json.dumps({"sets": {"a": "x.y.z", "b": "x.y.z"}, "moreAvailable": True}).encode(),
    b'{"sets": {}}',
    b"{}",
)
