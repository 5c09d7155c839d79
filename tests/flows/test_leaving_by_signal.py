"""Security events that a transmitter pushes (RFC 8935), and what they end (SSF-01 to SSF-04)."""

import json

import pytest

from authz.admin import connections, signal_streams
from authz.federation.security_events import CAEP, REACTIONS, RISC, SSF, Action
from tests.support.client_keys import ClientKey
from tests.support.harness import Harness
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.leaving import SESSION_REVOKED, Grant, Provider


@pytest.fixture
def corp(harness):
    made = Provider(harness, "corp")
    made.add_stream()
    return made


def refused(answer, error, reason):
    """RFC 8935 §2.3: 400, the code for the sender, and the reason for the log alone."""
    assert (answer.status, answer.json["err"], answer.reason) == (400, error, reason)
    assert set(answer.json) == {"err", "description"}
    assert answer.response.headers["cache-control"] == "no-store"
    assert answer.response.headers["content-language"] == "en"
    return True


def accepted(answer):
    """RFC 8935 §2.2."""
    assert answer.status == 202, answer.response.text
    assert answer.response.content == b""
    return True


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_revoked_session_ends_everything_of_the_person(harness, algorithm):
    """SSF-01, SSF-03: RS256 for interoperability, ES256 where there is a choice."""
    corp = Provider(harness, "corp", algorithm=algorithm)
    corp.add_stream()
    ada, bob = corp.employee("ada"), corp.employee("bob")
    session = ada.sign_in("s1")
    grants, code = [ada.grant(session) for _ in range(3)], ada.code(session)
    kept = bob.grant(bob.sign_in("s2"))
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(SESSION_REVOKED, ada))
    assert all(grant.is_over() for grant in grants)
    assert not harness.redeem(code).ok
    assert not ada.is_signed_in(session)
    assert kept.is_whole()
    [departure] = ada.departures()
    assert (departure.source, departure.because) == ("shared_signal", "session_revoked")
    assert (departure.families, departure.codes, departure.tokens) == (3, 1, 3)
    assert departure.occurred_at is not None
    [ended] = harness.events("access.ended")
    assert ended["detail"]["via"] == "signals"
    assert ended["detail"]["reference"].startswith("set-")
    assert ended["actor"] == "stream:signals"


def test_one_session_of_a_person(harness, corp):
    """SSF-02: a complex subject."""
    ada = corp.employee("ada")
    ended, kept = ada.grant(ada.sign_in("s1")), ada.grant(ada.sign_in("s2"))
    harness.clock.advance(seconds=5)
    subject = {
        "format": "complex",
        "user": corp.about(ada),
        "session": {"format": "opaque", "id": "s1"},
        "tenant": {"format": "opaque", "id": "the-company"},
    }
    assert accepted(corp.push(corp.event(SESSION_REVOKED, subject)))
    assert ended.is_over()
    assert kept.is_whole()


def subjects(corp, ada):
    """Every way to say it is her."""
    iss_sub = corp.about(ada)
    return {
        "iss_sub": iss_sub,
        "email": {"format": "email", "email": ada.email},
        "email in capitals": {"format": "email", "email": ada.email.upper()},
        "opaque": {"format": "opaque", "id": ada.subject},
        "session alone": {"format": "opaque", "id": "s1"},
        "user": {"format": "complex", "user": iss_sub},
        "user, before 1.0": {"user": iss_sub},
        "user by address": {"format": "complex", "user": {"format": "email", "email": ada.email}},
        "session": {"format": "complex", "session": {"format": "opaque", "id": "s1"}},
        "user on a device": {
            "format": "complex",
            "user": iss_sub,
            "device": {"format": "iss_sub", "iss": corp.issuer, "sub": "phone"},
        },
    }


SUBJECTS = [
    *("iss_sub", "email", "email in capitals", "opaque", "session alone", "user"),
    *("user, before 1.0", "user by address", "session", "user on a device"),
]


@pytest.mark.parametrize("place", ["sub_id", "subject"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_however_the_person_is_named(harness, corp, name, place):
    """SSF-02: at the top of the token, or in the event as before 1.0."""
    ada, bob = corp.employee("ada"), corp.employee("bob")
    grant, kept = ada.grant(ada.sign_in("s1")), bob.grant(bob.sign_in("s2"))
    harness.clock.advance(seconds=5)
    subject = subjects(corp, ada)[name]
    if place == "sub_id":
        token = corp.event(SESSION_REVOKED, subject)
    else:
        token = corp.event(SESSION_REVOKED, payload={"subject": subject})
    assert accepted(corp.push(token))
    assert grant.is_over()
    assert kept.is_whole()


NOT_HER = {
    "another issuer's": {"format": "iss_sub", "iss": "https://evil.example", "sub": "sub-ada"},
    "nobody": {"format": "opaque", "id": "nobody"},
    "nobody's address": {"format": "email", "email": "nobody@corp.example"},
    "another session": {
        "format": "complex",
        "user": {"format": "opaque", "id": "sub-ada"},
        "session": {"format": "opaque", "id": "s9"},
    },
    "a session of another issuer": {
        "format": "complex",
        "user": {"format": "opaque", "id": "sub-ada"},
        "session": {"format": "iss_sub", "iss": "https://evil.example", "sub": "s1"},
    },
}


@pytest.mark.parametrize("name", NOT_HER)
def test_who_is_not_meant_keeps_everything(harness, corp, name):
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    assert accepted(corp.push(corp.event(SESSION_REVOKED, NOT_HER[name])))
    assert grant.is_whole()
    assert not ada.departures()


UNREADABLE = {
    "no subject": None,
    "a member nobody knows": {
        "format": "complex",
        "user": {"format": "opaque", "id": "sub-ada"},
        "workload": {"format": "opaque", "id": "x"},
    },
    "a group": {"format": "complex", "group": {"format": "opaque", "id": "sales"}},
    "a device": {"format": "complex", "device": {"format": "opaque", "id": "phone"}},
    "a phone number": {"format": "phone_number", "phone_number": "+12065550100"},
    "a token": {"format": "jwt_id", "iss": "https://corp.example", "jti": "x"},
    "aliases": {"format": "aliases", "identifiers": [{"format": "opaque", "id": "sub-ada"}]},
    "text": "sub-ada",
    "a number": {"format": "opaque", "id": 1},
    "nothing in it": {"format": "opaque"},
    "a NUL": {"format": "opaque", "id": "sub-ada\x00"},
    "an address as a session": {
        "format": "complex",
        "session": {"format": "email", "email": "ada@corp.example"},
    },
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_subject_that_is_not_understood_is_nobody(harness, corp, name):
    """SSF-02: acknowledged, discarded, counted."""
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    assert accepted(corp.push(corp.event(SESSION_REVOKED, UNREADABLE[name])))
    assert grant.is_whole()


def test_an_address_of_two_people_is_nobodys(harness, corp):
    """SSF-02."""
    ada, twin = corp.employee("ada"), corp.employee("twin", email="ada@shared.example")
    with harness.server.database.write() as tx:
        tx.merge(ada.row()).email = "ada@shared.example"
    grants = [person.grant(person.sign_in()) for person in (ada, twin)]
    harness.clock.advance(seconds=5)
    subject = {"format": "email", "email": "ada@shared.example"}
    assert accepted(corp.push(corp.event(SESSION_REVOKED, subject)))
    assert all(grant.is_whole() for grant in grants)


def test_an_address_of_somebody_who_comes_from_elsewhere_is_nobodys(harness, corp):
    """SSF-03: an account of the local directory, or of another connection."""
    other = Provider(harness, "other")
    person = other.employee("eve", email="eve@corp.example")
    grant = person.grant(person.sign_in("s1"))
    harness.clock.advance(seconds=5)
    for subject in (
        {"format": "email", "email": "eve@corp.example"},
        {"format": "email", "email": "dev@example.com"},
        {"format": "opaque", "id": "sub-eve"},
        {"format": "opaque", "id": "s1"},
    ):
        assert accepted(corp.push(corp.event(SESSION_REVOKED, subject)))
    assert grant.is_whole()
    assert not harness.events("access.ended")


KINDS = {
    f"{CAEP}session-revoked": ({}, "session_revoked"),
    f"{CAEP}credential-change": ({"change_type": "revoke"}, "credential_change"),
    f"{CAEP}assurance-level-change": (
        {"change_direction": "decrease", "namespace": "NIST-AAL", "current_level": "nist-aal1"},
        "assurance_level_change",
    ),
    f"{CAEP}device-compliance-change": (
        {"previous_status": "compliant", "current_status": "not-compliant"},
        "device_compliance_change",
    ),
    f"{CAEP}token-claims-change": ({"claims": {"role": "none"}}, "token_claims_change"),
    f"{CAEP}risk-level-change": (
        {"principal": "USER", "current_level": "HIGH"},
        "risk_level_change",
    ),
    f"{RISC}account-credential-change-required": ({}, "credential_change_required"),
    f"{RISC}credential-compromise": ({"credential_type": "password"}, "credential_compromise"),
    f"{RISC}sessions-revoked": ({}, "sessions_revoked"),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.rpartition("/")[2])
def test_what_makes_people_sign_in_again(harness, corp, kind):
    """SSF-04."""
    payload, because = KINDS[kind]
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(kind, ada, **payload))
    assert grant.is_over()
    assert [it.because for it in ada.departures()] == [because]
    assert ada.row().status == "active"
    harness.clock.advance(seconds=1)
    assert ada.grant(ada.sign_in("s2")).is_whole()


@pytest.mark.parametrize("name", ["account-disabled", "account-purged"])
def test_a_closed_account_is_closed_here(harness, corp, name):
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(f"{RISC}{name}", ada, reason="hijacking"))
    assert grant.is_over()
    assert ada.row().status == "disabled"
    changed = [e for e in harness.events("admin.changed") if e["detail"]["what"] == "user.status"]
    assert changed[-1]["detail"]["values"]["because"] == name.replace("-", "_")
    assert changed[-1]["actor"] == "stream:signals"
    # Told again, it is no news; and opened again by nobody but an operator.
    assert accepted(corp.tell(f"{RISC}{name}", ada))
    assert accepted(corp.tell(f"{RISC}account-enabled", ada))
    assert ada.row().status == "disabled"
    assert len(harness.events("access.ended")) == 2


def test_an_account_of_two_connections_is_not_one_ones_to_close(harness, corp):
    """SSF-03."""
    other = Provider(harness, "other")
    ada = corp.employee("ada")
    with harness.server.database.write() as tx:
        tx.add(other.identity(ada.user_id, "ada-there"))
    here, there = ada.grant(ada.sign_in("s1")), ada.grant(ada.sign_in("s1", via=other))
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(f"{RISC}account-disabled", ada))
    assert here.is_over()
    assert there.is_whole()
    assert ada.row().status == "active"


HARMLESS = {
    f"{CAEP}credential-change": {"change_type": "create", "credential_type": "fido2-roaming"},
    f"{CAEP}assurance-level-change": {"change_direction": "increase"},
    f"{CAEP}device-compliance-change": {"current_status": "compliant"},
    f"{CAEP}risk-level-change": {"current_level": "LOW"},
    f"{CAEP}session-established": {},
    f"{CAEP}session-presented": {},
    f"{RISC}account-enabled": {},
    f"{RISC}identifier-changed": {"new-value": "ada@new.example"},
    f"{SSF}verification": {"state": "x"},
    f"{SSF}stream-updated": {"status": "paused"},
    "https://example.com/an-event-of-their-own": {},
}


@pytest.mark.parametrize("kind", HARMLESS, ids=lambda kind: kind.rpartition("/")[2])
def test_what_is_no_reason_to_end_anything(harness, corp, kind):
    """SSF-04: acknowledged and counted; unknown events too."""
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    assert accepted(corp.tell(kind, ada, **HARMLESS[kind]))
    assert grant.is_whole()


def test_a_direction_that_nobody_knows_is_the_worse_one(harness, corp):
    for kind, name in (
        (f"{CAEP}credential-change", "change_type"),
        (f"{CAEP}assurance-level-change", "change_direction"),
        (f"{CAEP}device-compliance-change", "current_status"),
        (f"{CAEP}risk-level-change", "current_level"),
    ):
        judge, _ = REACTIONS[kind]
        for said in ("sideways", None, 1, ["create", "increase", "compliant", "LOW"], {}):
            assert judge({name: said}) is Action.END
        assert judge({}) is Action.END


def test_a_stream_is_verified(harness, corp):
    """SSF-02: `opaque` names the stream itself. The operator sees that it works."""
    subject = {"format": "opaque", "id": "stream-of-the-transmitter"}
    assert accepted(corp.push(corp.event(f"{SSF}verification", subject, payload={"state": "abc"})))
    [noted] = harness.events("signal_stream.noted")
    assert (noted["detail"]["stream"], noted["detail"]["event"]) == ("signals", "stream_verified")
    with harness.server.database.read() as tx:
        [line] = signal_streams.list_(tx, harness.tenant_id)
    assert line.last_event_at == harness.clock()


def test_an_event_is_done_once_and_acknowledged_again(harness, corp):
    """SSF-01: `jti`; a transmitter that missed our answer sends it again."""
    ada = corp.employee("ada")
    token = corp.event(SESSION_REVOKED, corp.about(ada))
    assert accepted(corp.push(token))
    harness.clock.advance(seconds=5)
    grant = ada.grant(ada.sign_in("s1"))
    assert accepted(corp.push(token))
    assert grant.is_whole()
    assert len(ada.departures()) == 1


DEFECTS = {
    "a sub": ({"sub": "sub-ada"}, "invalid_request", "set_sub"),
    "an exp": ({"exp": 4102444800}, "invalid_request", "set_exp"),
    "another issuer": ({"iss": "https://evil.example"}, "invalid_issuer", "set_iss"),
    "an issuer with a slash": ({"iss": "{issuer}/"}, "invalid_issuer", "set_iss"),
    "no issuer": ({"iss": None}, "invalid_issuer", "set_iss"),
    "another audience": ({"aud": "https://other.example"}, "invalid_audience", "set_aud"),
    "two audiences": ({"aud": ["{ours}", "https://x"]}, "invalid_audience", "set_aud"),
    "no audience": ({"aud": None}, "invalid_audience", "set_aud"),
    "no jti": ({"jti": None}, "invalid_request", "set_jti"),
    "an endless jti": ({"jti": "x" * 300}, "invalid_request", "set_jti"),
    "no iat": ({"iat": None}, "invalid_request", "jwt_iat"),
    "an iat that is text": ({"iat": "now"}, "invalid_request", "jwt_iat"),
    "from the future": ({"iat": 4102444800}, "invalid_request", "set_from_the_future"),
    "forgotten since": ({"age": 31 * 86400}, "invalid_request", "set_too_old"),
    "no events": ({"events": None}, "invalid_request", "set_events"),
    "no event": ({"events": {}}, "invalid_request", "set_events"),
    "two events": (
        {"events": {SESSION_REVOKED: {}, f"{CAEP}credential-change": {}}},
        "invalid_request",
        "set_events",
    ),
    "an event that is no object": (
        {"events": {SESSION_REVOKED: True}},
        "invalid_request",
        "set_events",
    ),
    "two subjects": (
        {"events": {SESSION_REVOKED: {"subject": {"format": "opaque", "id": "x"}}}},
        "invalid_request",
        "set_two_subjects",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_whatever_is_wrong_with_a_token(harness, corp, name):
    """SSF-01."""
    changes, error, reason = DEFECTS[name]
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    claims, changes = corp.event_claims(SESSION_REVOKED, corp.about(ada)), dict(changes)
    claims["iat"] -= changes.pop("age", 0)
    for member, value in changes.items():
        if isinstance(value, str):
            value = value.format(issuer=corp.issuer)
        if isinstance(value, list):
            value = [it.format(ours=harness.issuer) for it in value]
        claims[member] = value
    answer = corp.push(corp.sign({"typ": "secevent+jwt"}, claims))
    assert refused(answer, error, reason)
    assert grant.is_whole()


def test_a_signature_is_by_a_key_of_the_transmitter(harness, corp):
    """SSF-01: `invalid_key`."""
    ada = corp.employee("ada")
    stranger = ClientKey("ES256", kid="corp-1")
    token = corp.event(SESSION_REVOKED, corp.about(ada), key=stranger)
    assert refused(corp.push(token), "invalid_key", "jwt_signature")
    unknown = ClientKey("ES256", kid="k9")
    token = corp.event(SESSION_REVOKED, corp.about(ada), key=unknown)
    assert refused(corp.push(token), "invalid_key", "jwt_key_unknown")
    head, body, _ = corp.event(SESSION_REVOKED, corp.about(ada)).split(".")
    assert refused(corp.push(f"{head}.{body}."), "invalid_key", "jwt_signature")
    assert refused(corp.push("x"), "invalid_request", "jwt_not_compact")
    assert not ada.departures()


@pytest.mark.parametrize("typ", ["JWT", None, "at+jwt", "logout+jwt", "dpop+jwt", ""])
def test_a_type_that_is_something_else(harness, corp, typ):
    """SSF-01, ATK-36: explicit typing is required."""
    ada = corp.employee("ada")
    token = corp.event(SESSION_REVOKED, corp.about(ada), typ=typ)
    assert refused(corp.push(token), "invalid_request", "jwt_typ")


def test_a_logout_token_is_no_event_and_an_event_no_logout_token(harness, corp):
    """ATK-36: of the same provider, under the same key."""
    ada = corp.employee("ada")
    claims = corp.logout_claims(sub=ada.subject, aud=harness.issuer)
    for typ in ("logout+jwt", "secevent+jwt"):
        answer = corp.push(corp.sign({"typ": typ}, claims))
        assert answer.json["err"] == "invalid_request"
    claims = corp.event_claims(SESSION_REVOKED, corp.about(ada), aud=corp.client_id)
    for typ in ("secevent+jwt", "logout+jwt"):
        assert corp.log_out(corp.sign({"typ": typ}, claims)).status == 400
    assert not ada.departures()


def test_who_pushes_has_the_token_of_the_stream(harness, corp):
    """RFC 8935 §2.4: `authentication_failed`, in one way for all that is wrong."""
    ada = corp.employee("ada")
    token = corp.event(SESSION_REVOKED, corp.about(ada))
    for stream, bearer in (
        ("signals", "wrong"),
        ("nothing", corp.push_token),
        ("signals", f"{corp.push_token}x"),
    ):
        answer = corp.push(token, stream=stream, bearer=bearer)
        assert refused(answer, "authentication_failed", "stream_unknown")
    response = harness.http.post(
        f"{harness.issuer}/signals/signals",
        content=token,
        headers={"Content-Type": "application/secevent+jwt"},
    )
    assert response.json()["err"] == "authentication_failed"
    old = corp.push_token
    corp.push_token = harness.change(signal_streams.rotate_token, "signals").token
    assert refused(corp.push(token, bearer=old), "authentication_failed", "stream_unknown")
    assert accepted(corp.push(token))


def test_what_is_no_token_at_all(harness, corp):
    token = corp.event(SESSION_REVOKED, {"format": "opaque", "id": "x"})
    for content_type in ("application/json", "text/plain", "application/jwt", ""):
        answer = corp.push(token, content_type=content_type)
        assert refused(answer, "invalid_request", "content_type")
    assert refused(corp.push(f"{token}\n"), "invalid_key", "jwt_signature")
    assert refused(corp.push(json.dumps({"set": token})), "invalid_request", "jwt_not_json")
    assert refused(corp.push("\u00fc"), "invalid_request", "body_not_ascii")


def test_a_stream_that_is_switched_off(harness, corp):
    ada = corp.employee("ada")
    assert accepted(corp.push(corp.event(f"{SSF}verification", payload={})))
    harness.change(signal_streams.set_status, "signals", "disabled")
    answer = corp.tell(SESSION_REVOKED, ada)
    assert refused(answer, "access_denied", "stream_disabled")
    harness.change(signal_streams.set_status, "signals", "active")
    assert accepted(corp.tell(SESSION_REVOKED, ada))
    harness.change(connections.set_status, "corp", "disabled")
    assert refused(corp.tell(SESSION_REVOKED, ada), "access_denied", "stream_disabled")
    harness.change(connections.set_status, "corp", "active")
    harness.change(signal_streams.remove, "signals")
    answer = corp.tell(SESSION_REVOKED, ada)
    assert answer.status == 400
    assert len(ada.departures()) == 1


def test_a_stream_that_changed_is_asked_for_anew(harness, corp):
    """What a process knows of a stream is held against the row in the transaction that acts on it."""
    ada = corp.employee("ada")
    assert accepted(corp.tell(SESSION_REVOKED, ada))
    with harness.server.database.write() as tx:
        from authz.db.models import SignalStream

        row = tx.query(SignalStream).filter_by(tenant_id=harness.tenant_id).one()
        row.audience = "https://elsewhere.example"
    assert refused(corp.tell(SESSION_REVOKED, ada), "invalid_audience", "set_aud")
    token = corp.event(SESSION_REVOKED, corp.about(ada), aud="https://elsewhere.example")
    assert accepted(corp.push(token))


def test_the_matrix_of_streams(harness, corp):
    """SSF-03: what transmitter i says counts at stream i of tenant i, about people of connection i."""
    elsewhere = Harness(harness.server)
    other = Provider(harness, "other")
    other.add_stream("other")
    foreign = Provider(elsewhere, "corp")
    foreign.add_stream()
    places = [(corp, "signals"), (other, "other"), (foreign, "signals")]
    try:
        people = [place.employee("ada") for place, _ in places]
        grants = [person.grant(person.sign_in("s1")) for person in people]
        harness.clock.advance(seconds=5)
        for speaker, _ in places:
            for place, stream in places:
                if place is speaker:
                    continue
                token = speaker.event(
                    SESSION_REVOKED, {"format": "opaque", "id": "sub-ada"}, aud=place.harness.issuer
                )
                # With their own bearer token, and with the place's.
                answer = speaker.push(token, at=place, stream=stream)
                assert answer.json["err"] == "authentication_failed"
                answer = speaker.push(token, at=place, stream=stream, bearer=place.push_token)
                assert answer.json["err"] == "invalid_issuer"
                named = speaker.event(
                    SESSION_REVOKED,
                    {"format": "opaque", "id": "sub-ada"},
                    aud=place.harness.issuer,
                    iss=place.issuer,
                )
                answer = speaker.push(named, at=place, stream=stream, bearer=place.push_token)
                assert answer.json["err"] == "invalid_key"
        assert all(grant.is_whole() for grant in grants)
        # In its own right it speaks of its own people, even if another has the same name.
        assert accepted(
            corp.push(corp.event(SESSION_REVOKED, {"format": "opaque", "id": "sub-ada"}))
        )
        assert [grant.access_is_good() for grant in grants] == [False, True, True]
    finally:
        elsewhere.close()


def test_people_whom_nobody_signs_in_here(harness, corp):
    """SSF-06: an identity assertion was redeemed for them, so there is no session, and the tokens end all the same."""
    idp = AssertingIdp(corp.issuer)
    idp.trust_at(harness, "asserted", connection="corp")
    ada = corp.employee("ada")
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )

    def redeem():
        assertion = idp.assertion(harness, made.client.id, sub=ada.subject)
        return present(harness, made, assertion)

    before = redeem()
    assert before.ok, before.response.text
    waiting = idp.assertion(harness, made.client.id, sub=ada.subject)
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(SESSION_REVOKED, ada))
    assert not Grant(harness, before.access_token, "").access_is_good()
    # Made before, and presented after.
    assert present(harness, made, waiting).reason == "subject_disabled"
    harness.clock.advance(seconds=5)
    assert redeem().ok


def test_what_was_asserted_about_people_of_two_connections(harness, corp):
    """SSF-03, SSF-06: what stands on the word of this connection."""
    other, idp = Provider(harness, "other"), AssertingIdp(corp.issuer)
    idp.trust_at(harness, "asserted", connection="corp")
    ada = corp.employee("ada")
    with harness.server.database.write() as tx:
        tx.add(other.identity(ada.user_id, "ada-there"))
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    asserted = present(harness, made, idp.assertion(harness, made.client.id, sub=ada.subject))
    there = ada.grant(ada.sign_in("s1", via=other))
    harness.clock.advance(seconds=5)
    assert accepted(corp.tell(SESSION_REVOKED, ada))
    assert not Grant(harness, asserted.access_token, "").access_is_good()
    assert there.is_whole()


def test_a_crowd_is_done_together(harness, corp):
    """Fifty at once, of whom some are told of twice: each ends once, in few transactions."""
    from concurrent.futures import ThreadPoolExecutor

    people = [corp.employee(f"p{number}") for number in range(25)]
    grants = [person.grant(person.sign_in(f"s{n}")) for n, person in enumerate(people)]
    harness.clock.advance(seconds=5)
    tokens = [corp.event(SESSION_REVOKED, corp.about(person)) for person in people] * 2
    lane = harness.server.edge.signals.lane
    before = lane.statistics.batches
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(corp.push, tokens))
    assert {answer.status for answer in answers} == {202}
    assert all(grant.is_over() for grant in grants)
    assert [len(person.departures()) for person in people] == [1] * 25
    assert lane.statistics.batches - before < 50
