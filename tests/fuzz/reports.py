"""Targets: what MCP servers report. Every token gets a good signature, so that what it says is what is tried."""

import json
from datetime import timedelta

from authz.jose import LEEWAY, read_unverified
from authz.oauth.outcomes import batches
from authz.telemetry.traceparent import read_traceparent
from tests.fuzz.front import KEY, SEPARATOR, in_header, token_of
from tests.support.configured import ISSUER, NOW, RESOURCE

_CLIENT = "cli_server"


def outcome_batch(data: bytes) -> None:
    """ATK-36, ATK-44: what passes is nothing else, can be stored as it is, and holds nothing but what is listed."""
    statement = token_of(data)
    batches.read_key_name(statement)
    batch = batches.verify(statement, [KEY], client_id=_CLIENT, issuer=ISSUER, now=NOW)
    header, claims = read_unverified(statement, max_chars=batches.MAX_CHARS)
    assert header["typ"].lower().removeprefix("application/") == batches.TYP
    assert not {"sub", "exp"} & claims.keys()
    assert batch.sequence >= 1
    assert batch.lost >= 0
    assert 1 <= len(batch.outcomes) <= batches.MAX_OUTCOMES
    for outcome, told in zip(batch.outcomes, claims["outcomes"], strict=True):
        assert NOW - batches.MAX_AGE <= outcome.at <= NOW + LEEWAY
        assert outcome.outcome in batches.OUTCOMES
        assert (outcome.outcome == "denied") <= (outcome.reason is not None)
        names = [outcome.jti, outcome.grant_id, outcome.tool, outcome.reason]
        for text in filter(None, names):
            assert text.isprintable()
            assert len(text.encode()) <= 1024
        assert outcome.duration_ms is None or 0 <= outcome.duration_ms < 2**31
        assert (outcome.trace is None) == ("traceparent" not in told)
        assert not {"arguments", "result"} & told.keys()


def traceparent(data: bytes) -> None:
    """What is read is spelled in one way."""
    found = read_traceparent(in_header(data))
    if found is not None:
        again = f"00-{found.trace_id}-{found.span_id}-00"
        assert read_traceparent(again) == found
        assert found.trace_id == found.trace_id.lower()


def _signed(claims: dict[str, object], typ: str = batches.TYP) -> bytes:
    header = {"alg": "ES256", "typ": typ}
    return json.dumps(header).encode() + SEPARATOR + json.dumps(claims).encode()


_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_AT = (NOW - timedelta(minutes=1)).timestamp()
_OUTCOME = {"at": _AT, "jti": "at_1", "tool": "read_logs", "outcome": "ok"}
_FULL = {
    **_OUTCOME,
    "outcome": "denied",
    "reason": "scope_missing",
    "grant_id": "grt_1",
    "duration_ms": 12,
    "traceparent": _TRACEPARENT,
    "arguments_sha256": "ab" * 32,
}
_BATCH: dict[str, object] = {
    "iss": _CLIENT,
    "aud": ISSUER,
    "iat": int(NOW.timestamp()),
    "jti": "bat_1",
    "resource": RESOURCE.identifier,
    "reporter": "rep_1",
    "sequence": 1,
    "lost": 0,
    "outcomes": [_OUTCOME],
}
BATCHES = (
    _signed(_BATCH),
    _signed({**_BATCH, "outcomes": [_OUTCOME, _FULL, {**_OUTCOME, "outcome": "error"}]}),
    _signed({**_BATCH, "exp": int(NOW.timestamp()) + 60}),
    _signed(_BATCH, typ="at+jwt"),
)
TRACEPARENTS = (_TRACEPARENT.encode(), b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"01-x")
