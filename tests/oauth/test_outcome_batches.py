"""What is a batch of outcomes, and what it says (pure): one defect at a time, at each bound (ATK-36, ATK-42)."""

import hashlib
from dataclasses import astuple, fields
from datetime import timedelta

import pytest

from authz.errors import InvalidRequest
from authz.jose import LEEWAY, import_jwks
from authz.oauth.outcomes.batches import (
    MAX_AGE,
    MAX_CHARS,
    MAX_OUTCOMES,
    TYP,
    CallOutcome,
    batch_row_id,
    read_key_name,
    verify,
)
from authz.telemetry.traceparent import TraceParent
from tests.support.client_keys import ClientKey
from tests.support.configured import ISSUER, NOW
from tests.support.jwt_entries import spell

KEY = ClientKey()
KEYS = import_jwks(KEY.jwks, algorithms=["ES256"])
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OUTCOME = {"at": NOW.timestamp(), "jti": "at_1", "tool": "read_logs", "outcome": "ok"}
FULL = {
    **OUTCOME,
    "outcome": "denied",
    "reason": "scope_missing",
    "grant_id": "grt_1",
    "duration_ms": 12,
    "traceparent": f"00-{TRACE}-{SPAN}-01",
    "arguments_sha256": "ab" * 32,
}
CLAIMS = {
    "iss": "cli_server",
    "aud": ISSUER,
    "iat": NOW.timestamp(),
    "jti": "bat_1",
    "resource": "https://mcp.example/mcp",
    "reporter": "rep_1",
    "sequence": 3,
    "lost": 7,
    "outcomes": [FULL, OUTCOME],
}
LEAVE_OUT = object()


def changed(members, changes):
    return {name: value for name, value in {**members, **changes}.items() if value is not LEAVE_OUT}


def signed(**changes):
    header = {"typ": TYP, "alg": "ES256", "kid": "k1"}
    return spell(header, changed(CLAIMS, changes), key=KEY.key)


def read(statement, now=NOW):
    return verify(statement, KEYS, client_id="cli_server", issuer=ISSUER, now=now)


def reason(statement, now=NOW):
    with pytest.raises(InvalidRequest) as refused:
        read(statement, now)
    assert refused.value.description == "the batch is none that is taken here"
    return refused.value.reason


def one(base=OUTCOME, **changes):
    """What is read of a batch with this outcome alone."""
    [found] = read(signed(outcomes=[changed(base, changes)])).outcomes
    return found


def test_what_a_batch_says():
    statement = signed()
    batch = read(statement)
    assert (batch.name, batch.reporter, batch.sequence, batch.lost) == ("bat_1", "rep_1", 3, 7)
    assert batch.resource == "https://mcp.example/mcp"
    assert batch.statement == statement
    # Of the claims alone: what is signed anew says the same.
    assert batch.content == hashlib.sha256(statement.split(".")[1].encode()).hexdigest()
    assert read(signed()).content == batch.content != read(signed(lost=8)).content
    assert batch.outcomes == (
        CallOutcome(
            at=NOW,
            jti="at_1",
            grant_id="grt_1",
            tool="read_logs",
            outcome="denied",
            reason="scope_missing",
            duration_ms=12,
            trace=TraceParent(TRACE, SPAN),
            arguments_digest="ab" * 32,
        ),
        CallOutcome(NOW, "at_1", None, "read_logs", "ok", None, None, None, None),
    )


def test_a_batch_is_shown_by_its_name_alone():
    """What it says is not for logs."""
    assert repr(read(signed())) == "Batch('bat_1')"


def test_a_batch_is_one_row_of_its_client():
    place = ("ten_1", "cli_1", "bat_1")
    row_id = batch_row_id(*place)
    assert row_id == batch_row_id(*place)
    others = [("ten_2", "cli_1", "bat_1"), ("ten_1", "cli_2", "bat_1"), ("ten_1", "cli_1", "bat_2")]
    assert len({row_id, *(batch_row_id(*it) for it in others)}) == 4
    # No character of a name could move the border.
    assert row_id == hashlib.sha256(b"ten_1\x00cli_1\x00bat_1").hexdigest()


def test_the_key_is_named_before_any_trust():
    assert read_key_name(signed()) == "k1"
    assert read_key_name(spell({"typ": TYP, "alg": "ES256"}, CLAIMS, key=KEY.key)) is None
    with pytest.raises(InvalidRequest) as refused:
        read_key_name("x" * (MAX_CHARS + 1))
    assert refused.value.reason == "jwt_too_long"


SOON = (NOW + LEEWAY).timestamp()
DEFECTS = [
    *((name, LEAVE_OUT, "batch_members") for name in CLAIMS if name != "iat"),
    ("iat", LEAVE_OUT, "jwt_iat"),
    ("iat", "now", "jwt_iat"),
    ("iat", SOON + 1, "batch_from_the_future"),
    ("sub", "x", "batch_members"),
    ("exp", SOON, "batch_members"),
    ("iss", "cli_other", "batch_iss"),
    ("aud", "https://other.example", "batch_aud"),
    ("aud", [ISSUER], "batch_aud"),
    *(
        (name, value, f"{name}_malformed")
        for name in ("jti", "reporter")
        for value in ("", "a b", "a\n", "x" * 65, 7, None)
    ),
    *(("resource", value, "resource_malformed") for value in ("", "x" * 2049, 7, None, ["x"])),
    *(("sequence", value, "sequence_malformed") for value in (0, True, 1.0, "1", 2**53, None)),
    *(("lost", value, "lost_malformed") for value in (-1, False, 0.0, "0", 2**53, None)),
    ("outcomes", [], "batch_outcomes"),
    ("outcomes", "x", "batch_outcomes"),
    ("outcomes", {"0": OUTCOME}, "batch_outcomes"),
    ("outcomes", [OUTCOME] * (MAX_OUTCOMES + 1), "batch_outcomes"),
]


@pytest.mark.parametrize(("name", "value", "expected"), DEFECTS)
def test_a_batch_with_one_defect_is_refused(name, value, expected):
    assert reason(signed(**{name: value})) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iat", SOON),
        *((name, value) for name in ("jti", "reporter") for value in ("x", "a-B_9" * 12 + "abcd")),
        ("resource", "x"),
        ("resource", "x" * 2048),
        ("sequence", 1),
        ("sequence", 2**53 - 1),
        ("lost", 0),
        ("lost", 2**53 - 1),
    ],
)
def test_what_a_batch_may_just_say(name, value):
    batch = read(signed(**{name: value}))
    assert name == "iat" or value == getattr(batch, {"jti": "name"}.get(name, name))


def test_a_batch_has_one_outcome_or_as_many_as_fit():
    assert len(read(signed(outcomes=[OUTCOME])).outcomes) == 1
    assert len(read(signed(outcomes=[OUTCOME] * MAX_OUTCOMES)).outcomes) == MAX_OUTCOMES


OUTCOME_DEFECTS = [
    *((name, LEAVE_OUT, "outcome_members") for name in OUTCOME),
    *((name, "secret", "outcome_members") for name in ("arguments", "result")),
    *(("at", value, "outcome_at") for value in (True, "now", None, -1)),
    *(("jti", value, "jti_malformed") for value in ("", "at 1", "at_1\n", "x" * 65, 7, None)),
    *(("grant_id", value, "grant_id_malformed") for value in ("", "grt_1!", "x" * 65, 7, None)),
    *(
        ("tool", value, "tool_malformed")
        for value in ("", "a\nb", "a\x00", "\ud800", "x" * 257, 7, None, ["a"])
    ),
    *(("outcome", value, "outcome_unknown") for value in ("fine", "OK", ["ok"], None)),
    *(("reason", value, "reason_malformed") for value in ("", "No", "a b", "x" * 65, 7)),
    *(("duration_ms", value, "duration_malformed") for value in (-1, True, 1.5, 2**31, "1", None)),
    *(
        ("traceparent", value, "traceparent_malformed")
        for value in (f"00-{TRACE}-{SPAN}-01-x", f"01-{TRACE}-{SPAN}-01", "", 7, None)
    ),
    *(
        ("arguments_sha256", value, "arguments_sha256_malformed")
        for value in ("AB" * 32, "ab" * 31, "ab" * 33, 7, None)
    ),
]


@pytest.mark.parametrize(("name", "value", "expected"), OUTCOME_DEFECTS)
def test_an_outcome_with_one_defect_spoils_its_batch(name, value, expected):
    wrong = changed(FULL, {name: value})
    assert reason(signed(outcomes=[OUTCOME, wrong, OUTCOME])) == expected


@pytest.mark.parametrize("entry", ["x", 7, None, [], {}])
def test_an_outcome_is_an_object(entry):
    assert reason(signed(outcomes=[entry])) == "outcome_members"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("jti", "grant_id") for value in ("x", "x" * 64)),
        ("tool", "x"),
        ("tool", "Werkzeug Nº 9 \N{HAMMER}"),
        ("tool", "x" * 256),
        ("reason", "x"),
        ("reason", "a_9" * 21 + "b"),
        ("duration_ms", 0),
        ("duration_ms", 2**31 - 1),
    ],
)
def test_what_an_outcome_may_just_say(name, value):
    assert getattr(one(FULL, **{name: value}), name) == value


MAY_BE_LEFT_OUT = {
    "grant_id": "grant_id",
    "duration_ms": "duration_ms",
    "traceparent": "trace",
    "arguments_sha256": "arguments_digest",
}


@pytest.mark.parametrize("name", MAY_BE_LEFT_OUT)
def test_what_is_left_out_is_not_there(name):
    whole, found = one(FULL), one(FULL, **{name: LEAVE_OUT})
    names = [it.name for it in fields(CallOutcome)]
    pairs = zip(names, astuple(whole), astuple(found), strict=True)
    assert [it for it, before, after in pairs if before != after] == [MAY_BE_LEFT_OUT[name]]
    assert getattr(found, MAY_BE_LEFT_OUT[name]) is None


@pytest.mark.parametrize(
    ("outcome", "why", "expected"),
    [
        ("ok", LEAVE_OUT, None),
        ("error", LEAVE_OUT, None),
        ("error", "tool_error", "tool_error"),
        ("denied", "scope_missing", "scope_missing"),
    ],
)
def test_a_reason_is_of_what_went_wrong(outcome, why, expected):
    found = one(outcome=outcome, reason=why)
    assert (found.outcome, found.reason) == (outcome, expected)


@pytest.mark.parametrize(
    ("outcome", "why", "expected"),
    [
        ("ok", "lucky", "outcome_reason"),
        ("ok", None, "outcome_reason"),
        ("denied", LEAVE_OUT, "outcome_reason"),
        ("denied", None, "outcome_reason"),
        ("error", None, "reason_malformed"),
    ],
)
def test_a_success_has_no_reason_and_a_refusal_has_one(outcome, why, expected):
    wrong = changed(OUTCOME, {"outcome": outcome, "reason": why})
    assert reason(signed(outcomes=[wrong])) == expected


@pytest.mark.parametrize(
    ("issued", "at", "is_taken"),
    [
        # Not before the spool may have kept it.
        (NOW, NOW - MAX_AGE, True),
        (NOW, NOW - MAX_AGE - timedelta(seconds=1), False),
        # Not after the batch was made, which may be long ago, nor after now, whatever the reporter's clock says.
        (NOW, NOW + LEEWAY, True),
        (NOW, NOW + LEEWAY + timedelta(seconds=1), False),
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1) + LEEWAY, True),
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1) + LEEWAY * 2, False),
        (NOW + LEEWAY, NOW + LEEWAY, True),
        (NOW + LEEWAY, NOW + LEEWAY * 2, False),
    ],
)
def test_a_call_was_before_its_report(issued, at, is_taken):
    statement = signed(iat=issued.timestamp(), outcomes=[changed(OUTCOME, {"at": at.timestamp()})])
    if is_taken:
        assert read(statement).outcomes[0].at == at
    else:
        assert reason(statement) == "outcome_at"
