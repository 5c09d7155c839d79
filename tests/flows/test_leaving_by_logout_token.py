"""An identity provider signs somebody out behind the browser's back (Back-Channel Logout 1.0; BCL-01 to BCL-03)."""

import pytest

from authz.federation.logout_tokens import EVENT, PUBLIC_SENTENCE
from authz.telemetry.metrics import OFFBOARDING_SECONDS
from tests.support.client_keys import ClientKey
from tests.support.harness import Harness
from tests.support.leaving import Provider


@pytest.fixture
def corp(harness):
    return Provider(harness, "corp")


def refused(answer, reason):
    """One status, one sentence, nothing to cache, and the reason in the log alone."""
    assert answer.status == 400
    assert answer.json == {"error": "invalid_request", "error_description": PUBLIC_SENTENCE}
    assert answer.response.headers["cache-control"] == "no-store"
    assert answer.reason == reason
    return True


def test_a_session_of_the_provider_ends_with_all_that_was_granted_in_it(harness, corp):
    """BCL-02."""
    ada = corp.employee("ada")
    here, there = ada.sign_in("s1"), ada.sign_in("s2")
    ended, kept = ada.grant(here), ada.grant(there)
    code = ada.code(here)
    harness.clock.advance(seconds=5)
    answer = corp.log_out(sub=ada.subject, sid="s1")
    assert answer.status == 200
    assert answer.response.headers["cache-control"] == "no-store"
    assert ended.is_over()
    assert not harness.redeem(code).ok
    assert not ada.is_signed_in(here)
    assert kept.is_whole()
    assert ada.is_signed_in(there)
    [departure] = ada.departures()
    assert (departure.source, departure.because) == ("logout_token", "upstream_logout")
    assert (departure.sessions, departure.families, departure.codes) == (1, 1, 1)


def test_a_session_needs_no_person_beside_it(harness, corp):
    ada, bob = corp.employee("ada"), corp.employee("bob")
    hers, his = ada.grant(ada.sign_in("s1")), bob.grant(bob.sign_in("s2"))
    harness.clock.advance(seconds=5)
    assert corp.log_out(sid="s1").status == 200
    assert hers.is_over()
    assert his.is_whole()


def test_without_a_session_it_is_the_person(harness, corp):
    """BCL-02: everything they have through this connection."""
    ada, bob = corp.employee("ada"), corp.employee("bob")
    grants = [ada.grant(ada.sign_in("s1")), ada.grant(ada.sign_in())]
    kept = bob.grant(bob.sign_in("s3"))
    harness.clock.advance(seconds=5)
    assert corp.log_out(sub=ada.subject).status == 200
    assert all(grant.is_over() for grant in grants)
    assert kept.is_whole()


def test_a_session_that_the_provider_never_named_ends_as_well(harness, corp):
    """One of them is meant, perhaps."""
    ada = corp.employee("ada")
    unnamed, other = ada.grant(ada.sign_in()), ada.grant(ada.sign_in("s2"))
    harness.clock.advance(seconds=5)
    assert corp.log_out(sub=ada.subject, sid="s1").status == 200
    assert unnamed.is_over()
    assert other.is_whole()


def test_a_session_of_somebody_else_is_not_theirs_to_lose(harness, corp):
    ada, bob = corp.employee("ada"), corp.employee("bob")
    kept = bob.grant(bob.sign_in("s1"))
    harness.clock.advance(seconds=5)
    assert corp.log_out(sub=ada.subject, sid="s1").status == 200
    assert kept.is_whole()


def test_the_browser_may_be_long_gone(harness, corp):
    """A grant outlives the session it came from; the provider's word still reaches it."""
    from authz import jobs

    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(days=2)
    jobs.remove_expired(harness.server.services, harness.clock())
    assert corp.log_out(sid="s1").status == 200
    assert not grant.refresh().ok


def test_people_of_another_provider_as_well_keep_what_it_vouches_for(harness, corp):
    """SSF-03, BCL-03: no provider speaks for another."""
    other = Provider(harness, "other")
    ada = corp.employee("ada")
    with harness.server.database.write() as tx:
        tx.add(other.identity(ada.user_id, "ada-there"))
    by_corp, by_other = ada.grant(ada.sign_in("s1")), ada.grant(ada.sign_in("s1", via=other))
    by_name = ada.grant(ada.sign_in(locally=True))
    harness.clock.advance(seconds=5)
    assert corp.log_out(sub=ada.subject).status == 200
    assert by_corp.is_over()
    assert by_other.is_whole()
    assert by_name.is_whole()


def test_nobody_is_answered_like_somebody(harness, corp):
    """§2.7: no oracle of who has an account."""
    ada = corp.employee("ada")
    harness.clock.advance(seconds=5)
    known, unknown = corp.log_out(sub=ada.subject), corp.log_out(sub="nobody")
    assert known.status == unknown.status == 200
    assert known.response.content == unknown.response.content
    assert corp.log_out(sid="nothing").status == 200
    assert len(harness.events("access.ended")) == 1


def test_a_token_counts_once(harness, corp):
    """BCL-01: `jti`."""
    ada = corp.employee("ada")
    token = corp.logout_token(sub=ada.subject)
    assert corp.log_out(token).status == 200
    assert refused(corp.log_out(token), "logout_replayed")
    assert len(ada.departures()) == 1


STRANGER = ClientKey("ES256", kid="corp-1")
DEFECTS = {
    "another issuer": ({"iss": "https://evil.example"}, "jwt_iss"),
    "issuer with a slash": ({"iss": "{issuer}/"}, "jwt_iss"),
    "another audience": ({"aud": "client-at-other"}, "jwt_aud"),
    "two audiences": ({"aud": ["client-at-corp", "x"]}, "jwt_aud"),
    "no audience": ({"aud": None}, "jwt_aud"),
    "no iat": ({"iat": None}, "jwt_iat"),
    "from the future": ({"iat": 4102444800, "exp": 4102444900}, "jwt_from_the_future"),
    "no exp": ({"exp": None}, "jwt_exp"),
    "expired": ({"iat": 1000, "exp": 1100}, "jwt_expired"),
    "good for a day": ({"lifetime": 86400}, "jwt_lifetime"),
    "long ago": ({"age": 3600}, "jwt_lifetime"),
    "no jti": ({"jti": None}, "jwt_jti"),
    "a jti that is no text": ({"jti": 1}, "jwt_jti"),
    "an endless jti": ({"jti": "x" * 300}, "logout_malformed"),
    "a nonce": ({"nonce": "n"}, "logout_nonce"),
    "an empty nonce": ({"nonce": ""}, "logout_nonce"),
    "no events": ({"events": None}, "logout_events"),
    "another event": ({"events": {"https://example.com/event": {}}}, "logout_events"),
    "an event that is no object": ({"events": {EVENT: True}}, "logout_events"),
    "events in a list": ({"events": [EVENT]}, "logout_events"),
    "nobody": ({"sub": None}, "logout_of_nobody"),
    "a sub that is no text": ({"sub": 1}, "logout_sub"),
    "a sid that is no text": ({"sid": ["s1"]}, "logout_sid"),
    "a sid with a NUL": ({"sid": "s\x001"}, "logout_sid"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_whatever_is_wrong_is_refused_and_nothing_ends(harness, corp, name):
    """BCL-01."""
    changes, reason = DEFECTS[name]
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    claims = corp.logout_claims(sub=ada.subject)
    changes = dict(changes)
    if "lifetime" in changes:
        claims["exp"] = claims["iat"] + changes.pop("lifetime")
    if "age" in changes:
        claims["iat"] -= changes.pop("age")
    for member, value in changes.items():
        claims[member] = value.format(issuer=corp.issuer) if isinstance(value, str) else value
    answer = corp.log_out(corp.sign({"typ": "logout+jwt"}, claims))
    assert refused(answer, reason)
    assert grant.is_whole()


def test_a_signature_is_by_a_key_of_the_provider(harness, corp):
    """BCL-01: neither none, nor a MAC, nor somebody else's key under its name."""
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    assert refused(corp.log_out(corp.logout_token(sub=ada.subject, key=STRANGER)), "jwt_signature")
    head, body, _ = corp.logout_token(sub=ada.subject).split(".")
    assert refused(corp.log_out(f"{head}.{body}."), "jwt_signature")
    assert refused(corp.log_out("x"), "jwt_not_compact")
    assert refused(corp.log_out("x" * 20_000), "parameter_too_long")
    assert grant.is_whole()


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", "JWT", None])
def test_a_type_it_may_have(harness, corp, typ):
    """§2.4: explicit typing is recommended, and providers of before do not have it."""
    ada = corp.employee("ada")
    assert corp.log_out(corp.logout_token(typ=typ, sub=ada.subject)).status == 200


@pytest.mark.parametrize("typ", ["at+jwt", "secevent+jwt", "dpop+jwt", "id_token+jwt", ""])
def test_a_type_that_is_something_else(harness, corp, typ):
    """ATK-36."""
    ada = corp.employee("ada")
    assert refused(corp.log_out(corp.logout_token(typ=typ, sub=ada.subject)), "jwt_typ")


def test_an_id_token_is_no_logout_token(harness, corp):
    """ATK-36: same issuer, same audience, same key."""
    ada = corp.employee("ada")
    at = int(harness.clock().timestamp())
    claims = {"iss": corp.issuer, "aud": corp.client_id, "sub": ada.subject, "iat": at}
    claims |= {"exp": at + 300, "jti": "j1", "sid": "s1"}
    for more, reason in (({"nonce": "n"}, "logout_nonce"), ({}, "logout_events")):
        token = corp.sign({"typ": "JWT"}, {**claims, **more})
        assert refused(corp.log_out(token), reason)


def test_keys_rotate(harness, corp):
    """ATK-49: a key nobody knew a moment ago is fetched; the one that was withdrawn is believed for an hour at most."""
    ada = corp.employee("ada")
    assert corp.log_out(sub=ada.subject).status == 200
    old, corp.key = corp.key, ClientKey("RS256", kid="corp-2")
    corp.published = [corp.key.public]
    harness.clock.advance(minutes=1)
    assert corp.log_out(sub=ada.subject).status == 200
    assert refused(corp.log_out(corp.logout_token(sub=ada.subject, key=old)), "jwt_key_unknown")


def test_a_flood_of_unknown_keys_is_a_few_fetches(harness, corp):
    """ATK-49."""
    ada = corp.employee("ada")
    assert corp.log_out(sub=ada.subject).status == 200
    before = harness.web.count(corp.host)
    for number in range(50):
        stranger = ClientKey("ES256", kid=f"k{number}")
        assert corp.log_out(corp.logout_token(sub=ada.subject, key=stranger)).status == 400
    assert harness.web.count(corp.host) - before <= 2


def test_a_provider_that_cannot_be_asked_is_no_verdict(harness, corp):
    """Neither done nor refused: whoever sent it may come again."""
    ada = corp.employee("ada")
    grant = ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=5)
    harness.web.serve(corp.host, lambda seen: harness_down(seen))
    token = corp.logout_token(sub=ada.subject)
    answer = corp.log_out(token)
    assert (answer.status, answer.reason) == (503, "discovery_status")
    assert "retry-after" in answer.response.headers
    assert grant.is_whole()
    harness.web.serve(corp.host, corp._answer)
    harness.clock.advance(seconds=30)
    assert corp.log_out(corp.logout_token(sub=ada.subject)).status == 200
    assert not grant.refresh().ok


def harness_down(_):
    from tests.support.web import Reply

    return Reply(503)


def test_the_matrix_of_connections(harness, corp):
    """BCL-03: what provider i says counts at connection i of tenant i, and nowhere else."""
    other_tenant = Harness(harness.server)
    providers = [corp, Provider(harness, "other"), Provider(other_tenant, "corp")]
    try:
        people = [provider.employee("ada") for provider in providers]
        grants = [person.grant(person.sign_in("s1")) for person in people]
        harness.clock.advance(seconds=5)
        for speaker in providers:
            for place in providers:
                if place is speaker:
                    continue
                token = speaker.logout_token(sub="sub-ada", sid="s1")
                assert refused(speaker.log_out(token, at=place), "jwt_iss")
                # Nor in the other one's name, or for the other one's client.
                claims = {"iss": place.issuer, "aud": place.client_id, "sub": "sub-ada"}
                named = speaker.logout_token(**claims)
                assert speaker.log_out(named, at=place).status == 400
        assert all(grant.is_whole() for grant in grants)
        assert corp.log_out(sub="sub-ada").status == 200
        assert [grant.access_is_good() for grant in grants] == [False, True, True]
    finally:
        other_tenant.close()


def test_a_connection_that_is_switched_off_ends_nothing(harness, corp):
    """BCL-03."""
    from authz.admin import connections

    ada = corp.employee("ada")
    ada.grant(ada.sign_in("s1"))
    harness.change(connections.set_status, "corp", "disabled")
    assert refused(corp.log_out(sub=ada.subject), "connection_unknown")
    assert not ada.departures()


def test_addresses_of_nothing(harness, corp):
    token = {"logout_token": corp.logout_token(sub="x")}
    assert refused(
        harness.post("/federation/nothing/backchannel-logout", token), "connection_unknown"
    )
    url = f"{harness.server.base}/t/nobody/federation/corp/backchannel-logout"
    assert harness.http.post(url, data=token).status_code == 404
    assert refused(harness.post("/federation/corp/backchannel-logout", {}), "logout_token_missing")
    twice = [("logout_token", "a"), ("logout_token", "b")]
    path = "/federation/corp/backchannel-logout"
    assert refused(harness.post(path, twice), "parameter_repeated")
    assert harness.http.get(f"{harness.issuer}{path}").status_code == 405


def test_the_clock_is_a_metric_by_source(harness, corp):
    """L8: from the arrival of the signal to the commit."""
    before = observations("logout_token")
    ada = corp.employee("ada")
    assert corp.log_out(sub=ada.subject).status == 200
    assert corp.log_out(sub="nobody").status == 200
    assert observations("logout_token") == before + 1


def observations(source):
    [family] = OFFBOARDING_SECONDS.collect()
    return sum(
        sample.value
        for sample in family.samples
        if sample.name.endswith("_count") and sample.labels["source"] == source
    )
