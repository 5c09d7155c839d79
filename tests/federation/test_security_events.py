"""The edges of security event tokens and their subjects (SSF-01, SSF-02); what comes of them is in `tests/flows`."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws

from authz.federation import set_verification
from authz.federation.polling import PollFailed, read_page
from authz.federation.security_events import CAEP, REACTIONS, Action, react
from authz.federation.set_verification import REMEMBERED, SetRefused, Transmitter
from authz.federation.subjects import SubjectRefused, read_subject
from authz.jose import LEEWAY, import_jwks
from authz.jose.keys import ASYMMETRIC
from tests.support.client_keys import ClientKey

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
WHO = Transmitter("sgs_1", "https://ssf.example", "https://authz.example")
KEY = ClientKey("ES256", kid="k1")
KIND = f"{CAEP}session-revoked"


def spell(claims, key=KEY, typ="secevent+jwt"):
    registry = jws.JWSRegistry(algorithms=[key.algorithm], strict_check_header=False)
    header = {"alg": key.algorithm, "kid": key.kid, "typ": typ}
    return jws.serialize_compact(header, json.dumps(claims), key.key, registry=registry)


def claims(**changed):
    made = {"iss": WHO.issuer, "aud": WHO.audience, "iat": AT, "jti": "j1", "events": {KIND: {}}}
    return {name: value for name, value in {**made, **changed}.items() if value is not None}


def keys_of(key):
    return import_jwks({"keys": [key.public]}, algorithms=ASYMMETRIC)


def read(text, key=KEY, who=WHO):
    return set_verification.verify(text, keys_of(key), who, NOW)


def refusal(text, **named):
    with pytest.raises(SetRefused) as refused:
        read(text, **named)
    return refused.value.code, refused.value.reason


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS256", "Ed25519"])
def test_any_asymmetric_algorithm(algorithm):
    """SSF-01: RS256 is what transmitters have to offer."""
    key = ClientKey(algorithm, kid="k1")
    assert read(spell(claims(), key), key).kind == KIND


@pytest.mark.parametrize(
    ("iat", "reason"),
    [
        (AT + int(LEEWAY.total_seconds()), None),
        (AT + int(LEEWAY.total_seconds()) + 1, "set_from_the_future"),
        (AT - int(REMEMBERED.total_seconds()), None),
        (AT - int(REMEMBERED.total_seconds()) - 1, "set_too_old"),
    ],
)
def test_the_edges_of_time(iat, reason):
    text = spell(claims(iat=iat))
    if reason is None:
        assert read(text).issued_at == NOW + timedelta(seconds=iat - AT)
    else:
        assert refusal(text) == ("invalid_request", reason)


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        ({"events": {KIND: {"event_timestamp": AT - 90}}}, 90),
        ({"toe": AT - 60}, 60),
        ({"events": {KIND: {"event_timestamp": AT - 90}}, "toe": AT - 60}, 90),
        ({"events": {KIND: {"event_timestamp": "yesterday"}}}, 0),
        ({"events": {KIND: {"event_timestamp": 1e300}}}, 0),
        ({"events": {KIND: {"event_timestamp": AT + 3600}}}, 0),
        ({"events": {KIND: {"event_timestamp": True}}, "toe": AT - 60}, 60),
        ({}, 0),
    ],
)
def test_when_it_happened_is_never_a_reason_to_lose_an_event(changed, seconds):
    assert read(spell(claims(**changed))).occurred_at == NOW - timedelta(seconds=seconds)


def test_one_audience_may_be_in_a_list():
    assert read(spell(claims(aud=[WHO.audience]))).jti == "j1"


def test_the_same_jti_is_another_one_on_another_stream():
    other = Transmitter("sgs_2", WHO.issuer, WHO.audience)
    keys = {read(spell(claims())).replay_key, read(spell(claims()), who=other).replay_key}
    assert len(keys) == 2


@pytest.mark.parametrize("kind", ["", "x" * 300, "a\x00b"])
def test_a_name_of_an_event_that_no_log_could_hold(kind):
    assert refusal(spell(claims(events={kind: {}}))) == ("invalid_request", "set_events")


def test_nobody_is_named_in_a_repr():
    event = read(spell(claims(sub_id={"format": "email", "email": "ada@example.com"})))
    assert "ada" not in repr(event)
    assert "ada" not in repr(read_subject(event.subject))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["format", "user", "session", "tenant", "device", "email", "iss", "sub", "id"]
)
FORMATS = st.sampled_from(["complex", "email", "iss_sub", "opaque", "aliases"])
SUBJECTS = st.recursive(
    JSON | FORMATS, lambda inner: st.dictionaries(NAMES, inner | FORMATS), max_leaves=12
)


@given(SUBJECTS)
def test_a_subject_is_read_or_refused(value):
    """SSF-02: and what was read can be looked up in any database."""
    try:
        subject = read_subject(value)
    except SubjectRefused:
        return
    assert subject.user or subject.session or subject.either
    for name in (subject.user, subject.session, subject.tenant, subject.either):
        if name is not None:
            assert 1 <= len(name.value) <= 512
            assert name.value.isprintable()


@given(
    st.sampled_from([*REACTIONS, "https://example.com/unknown"]), st.dictionaries(st.text(), JSON)
)
def test_every_event_has_one_consequence(kind, payload):
    reaction = react(kind, payload)
    assert isinstance(reaction.action, Action)
    assert len(reaction.because) <= 64


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_page_is_read_or_refused(body):
    try:
        page = read_page(body)
    except PollFailed:
        return
    assert all(isinstance(token, str) for token in page.tokens.values())
