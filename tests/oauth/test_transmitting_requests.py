"""What receivers of events send, by table: what is taken, and each refusal with its reason and its field (SSF-05)."""

import pytest

from authz.errors import InvalidRequest
from authz.oauth.transmitting import requests
from authz.oauth.transmitting.events import SESSION_REVOKED, SUPPORTED, TOKEN_REVOKED
from authz.oauth.transmitting.requests import MAX_AT_ONCE, POLL, PUSH, STATUSES, Poll, Wanted

ISSUER = "https://as.example/t/acme"
LONGEST, TOO_LONG = "x" * 256, "x" * 257
MANY, TOO_MANY = ["x"] * 1_000, ["x"] * 1_001


def refusal(read, body):
    """The reason and the words that are told."""
    with pytest.raises(InvalidRequest) as refused:
        read(body)
    assert refused.value.description.isascii()
    return refused.value.reason, refused.value.description


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, Wanted(None, None, None)),
        (
            {"events_requested": None, "description": None, "delivery": None},
            Wanted(None, None, None),
        ),
        ({"events_requested": []}, Wanted((), None, None)),
        ({"events_requested": ["b", "a", "b"]}, Wanted(("b", "a", "b"), None, None)),
        ({"events_requested": MANY}, Wanted(tuple(MANY), None, None)),
        ({"events_requested": ["x", LONGEST]}, Wanted(("x", LONGEST), None, None)),
        ({"description": "d"}, Wanted(None, "d", None)),
        ({"description": LONGEST}, Wanted(None, LONGEST, None)),
        ({"delivery": {}}, Wanted(None, None, {})),
        ({"delivery": {"method": PUSH, "x": 1}}, Wanted(None, None, {"method": PUSH, "x": 1})),
        ({"stream_id": "s", "iss": "https://x.example", "aud": 1}, Wanted(None, None, None)),
    ],
)
def test_what_a_stream_should_be(body, wanted):
    """What is not said stays apart from nothing; what the transmitter says is not read (SSF §8.1.1)."""
    assert requests.read_wanted(body) == wanted


NO_TEXT = (5, True, [], ["a"], {}, "", TOO_LONG)
NO_LIST = (None, "a", "", 5, True, {}, {"a": "b"}, TOO_MANY)
NO_TEXTS = ([""], [None], [1], [["a"]], ["a", TOO_LONG], ["", "a"])


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        *(({"delivery": it}, "delivery_unsupported", POLL) for it in (POLL, 5, False, "", [])),
        *(
            ({"events_requested": it}, "events_requested_malformed", "events_requested")
            for it in (*NO_LIST[1:], *NO_TEXTS)
        ),
        *(({"description": it}, "text_malformed", "description") for it in NO_TEXT),
    ],
)
def test_what_cannot_be_a_stream(body, reason, field):
    """ATK-41: where events are sent is an operator's decision."""
    given, told = refusal(requests.read_wanted, body)
    assert given == reason
    assert field in told


def test_types_that_there_are_not_are_left_out():
    """SSF §8.1.1: `events_delivered`, in our order."""
    assert requests.delivered([]) == list(SUPPORTED) == [SESSION_REVOKED, TOKEN_REVOKED]
    assert requests.delivered(["urn:x", TOKEN_REVOKED]) == [TOKEN_REVOKED]
    assert requests.delivered((TOKEN_REVOKED, SESSION_REVOKED)) == list(SUPPORTED)
    assert requests.delivered(["urn:x"]) == []


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("stream_id", requests.read_stream_id),
        ("status", requests.read_status),
        ("sub", lambda it: requests.read_subject({"subject": person(**it)}, ISSUER)),
    ],
)
@pytest.mark.parametrize("value", [None, *NO_TEXT])
def test_what_has_to_be_said(name, read, value):
    reason = f"{name}_missing" if value is None else "text_malformed"
    given, told = refusal(read, {name: value})
    assert (given, told.split(" ")[0]) == (reason, name)


@pytest.mark.parametrize("value", ["s", LONGEST])
def test_which_stream_it_is_about(value):
    assert requests.read_stream_id({"stream_id": value, "x": 1}) == value
    assert refusal(requests.read_stream_id, {"x": value})[0] == "stream_id_missing"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("why", [{}, {"reason": None}, {"reason": "r"}, {"reason": LONGEST}])
def test_a_status_and_why(status, why):
    assert requests.read_status({"status": status, **why}) == (status, why.get("reason"))


@pytest.mark.parametrize("status", ["sleeping", "Enabled", "enabled "])
def test_a_status_that_there_is_not(status):
    reason, told = refusal(requests.read_status, {"status": status})
    assert reason == "stream_status_unknown"
    assert all(it in told for it in STATUSES)


@pytest.mark.parametrize("value", NO_TEXT)
def test_why_is_a_text(value):
    given, told = refusal(requests.read_status, {"status": "paused", "reason": value})
    assert (given, told.split(" ")[0]) == ("text_malformed", "reason")
    given, told = refusal(requests.read_state, {"state": value})
    assert (given, told.split(" ")[0]) == ("text_malformed", "state")


def test_what_a_verification_repeats():
    """SSF §8.1.4."""
    assert requests.read_state({"state": LONGEST}) == LONGEST
    assert requests.read_state({"state": None}) is requests.read_state({"x": "y"}) is None


def person(**changed):
    return {"format": "iss_sub", "iss": ISSUER, "sub": "usr_1", **changed}


def without(name):
    return {key: it for key, it in person().items() if key != name}


def in_complex(user, **more):
    return {"format": "complex", "user": user, **more}


@pytest.mark.parametrize("name", ["usr_1", "nobody", LONGEST])
def test_whom_it_is_about(name):
    """SSF-05: no person is looked up. SSF §3: by itself, or as the user of a complex subject."""
    for subject in (person(sub=name), in_complex(person(sub=name))):
        assert requests.read_subject({"subject": subject, "x": 1}, ISSUER) == name


@pytest.mark.parametrize(
    ("reason", "subject"),
    [
        *(("subject_missing", it) for it in (None, "usr_1", ["usr_1"], 5, False)),
        ("subject_unsupported", {}),
        ("subject_unsupported", without("format")),
        ("subject_unsupported", without("iss")),
        ("subject_unsupported", without("sub")),
        ("subject_unsupported", person(session="s")),
        ("subject_unsupported", person(format="email")),
        ("subject_unsupported", person(format="Iss_sub")),
        ("subject_unsupported", person(format=["iss_sub"])),
        ("subject_unsupported", {"format": "opaque", "id": "s"}),
        ("subject_unsupported", {"format": "complex"}),
        ("subject_unsupported", in_complex("usr_1")),
        ("subject_unsupported", in_complex(None)),
        ("subject_unsupported", in_complex([])),
        # A part that is not read is not left out: "this device of theirs" is not "them".
        ("subject_unsupported", in_complex(person(), device={"format": "opaque", "id": "d"})),
        ("subject_unsupported", in_complex(in_complex(person()))),
        ("subject_unsupported", in_complex({})),
        ("subject_of_other_issuer", person(iss=f"{ISSUER}/")),
        ("subject_of_other_issuer", person(iss=None)),
        ("subject_of_other_issuer", in_complex(person(iss="https://other.example"))),
    ],
)
def test_whom_it_cannot_be_about(reason, subject):
    given, told = refusal(lambda it: requests.read_subject(it, ISSUER), {"subject": subject})
    assert given == reason
    assert "subject" in told


def test_a_request_without_a_subject():
    assert refusal(lambda it: requests.read_subject(it, ISSUER), person())[0] == "subject_missing"


@pytest.mark.parametrize(
    ("body", "poll"),
    [
        ({}, Poll(MAX_AT_ONCE, False, (), {})),
        ({"maxEvents": 0}, Poll(0, False, (), {})),
        ({"maxEvents": 1}, Poll(1, False, (), {})),
        ({"maxEvents": MAX_AT_ONCE}, Poll(MAX_AT_ONCE, False, (), {})),
        ({"maxEvents": MAX_AT_ONCE + 1}, Poll(MAX_AT_ONCE, False, (), {})),
        ({"maxEvents": 10**30}, Poll(MAX_AT_ONCE, False, (), {})),
        ({"returnImmediately": True}, Poll(MAX_AT_ONCE, True, (), {})),
        ({"returnImmediately": False}, Poll(MAX_AT_ONCE, False, (), {})),
        ({"ack": ["b", "a"]}, Poll(MAX_AT_ONCE, False, ("b", "a"), {})),
        ({"ack": MANY}, Poll(MAX_AT_ONCE, False, tuple(MANY), {})),
        (
            {"setErrs": {"a": {"err": "invalid_key", "description": "?"}, "b": {"err": "x"}}},
            Poll(MAX_AT_ONCE, False, (), {"a": "invalid_key", "b": "x"}),
        ),
        # It ends in our log, so it may be anything, and is not too long.
        (
            {"setErrs": {"a": {}, "b": {"err": 5}, "c": {"err": "x" * 65}}},
            Poll(MAX_AT_ONCE, False, (), {"a": "", "b": "5", "c": "x" * 64}),
        ),
        (
            {"setErrs": {str(it): {"err": "x"} for it in range(1_000)}},
            Poll(MAX_AT_ONCE, False, (), {str(it): "x" for it in range(1_000)}),
        ),
        (
            {"maxEvents": 3, "returnImmediately": True, "ack": ["a"], "setErrs": {}, "x": 1},
            Poll(3, True, ("a",), {}),
        ),
    ],
)
def test_one_turn_of_fetching(body, poll):
    """RFC 8936 §2.2, §2.4: it waits unless it is told not to."""
    assert requests.read_poll(body) == poll


@pytest.mark.parametrize(
    ("reason", "field", "value"),
    [
        *(
            ("max_events_malformed", "maxEvents", it)
            for it in (-1, True, False, None, "3", 3.0, [3], {})
        ),
        *(
            ("return_immediately_malformed", "returnImmediately", it)
            for it in (0, 1, None, "true", [])
        ),
        *(("ack_malformed", "ack", it) for it in (*NO_LIST, *NO_TEXTS)),
        *(
            ("set_errs_malformed", "setErrs", it)
            for it in (
                *(None, [], ["a"], "a", "", 5),
                *({"a": "invalid_key"}, {"a": None}, {"a": {"err": "x"}, "b": []}),
                {str(it): {} for it in range(1_001)},
            )
        ),
    ],
)
def test_what_cannot_be_fetched(reason, field, value):
    given, told = refusal(requests.read_poll, {field: value})
    assert (given, told.split(" ")[0]) == (reason, field)
