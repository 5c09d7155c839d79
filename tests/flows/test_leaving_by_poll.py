"""Security events that are fetched (RFC 8936): acknowledged when done, refused when wrong, else asked for again."""

import pytest

from authz import jobs
from authz.admin import connections, signal_streams
from authz.jobs.runner import JobRunner
from tests.support.client_keys import ClientKey
from tests.support.harness import LOG
from tests.support.leaving import SESSION_REVOKED, Provider
from tests.support.web import Reply


@pytest.fixture
def corp(harness, monkeypatch):
    """Asked with a token that the environment holds."""
    monkeypatch.setenv("SSF_POLL_TOKEN", "their-token")
    made = Provider(harness, "corp")
    made.add_stream(poll_url=f"{made.issuer}/poll", poll_token="env:SSF_POLL_TOKEN")
    yield made
    # Others of this database are polled by the same job.
    harness.change(signal_streams.remove, "signals")


def turn(harness):
    """One turn of the job; what it logged."""
    mark = len(LOG.events)
    jobs.poll_signals(harness.server.services, harness.clock())
    return LOG.events[mark:]


def page(*tokens, more=False, **named):
    """An answer of the transmitter; tokens under their own names, or under others."""
    from authz.jose import read_unverified

    sets = {read_unverified(token)[1]["jti"]: token for token in tokens} | named
    return Reply.json({"sets": sets, "moreAvailable": more})


def test_what_is_fetched_is_done_and_acknowledged(harness, corp):
    """SSF-01."""
    ada, bob = corp.employee("ada"), corp.employee("bob")
    grant, kept = ada.grant(ada.sign_in("s1")), bob.grant(bob.sign_in("s2"))
    harness.clock.advance(seconds=5)
    token = corp.event(SESSION_REVOKED, corp.about(ada), jti="one")
    corp.pages = [page(token)]
    turn(harness)
    assert grant.is_over()
    assert kept.is_whole()
    first, last = corp.polls
    assert first == {"maxEvents": 500, "returnImmediately": True}
    assert last == {"maxEvents": 0, "returnImmediately": True, "ack": ["one"]}
    assert corp.poll_headers == ["Bearer their-token"] * 2
    [departure] = ada.departures()
    assert departure.source == "shared_signal"


def test_page_after_page_until_none_is_left(harness, corp):
    people = [corp.employee(f"p{number}") for number in range(3)]
    grants = [person.grant(person.sign_in(f"s{n}")) for n, person in enumerate(people)]
    harness.clock.advance(seconds=5)
    tokens = [
        corp.event(SESSION_REVOKED, corp.about(it), jti=f"j{n}") for n, it in enumerate(people)
    ]
    corp.pages = [page(tokens[0], more=True), page(tokens[1], more=True), page(tokens[2])]
    turn(harness)
    assert all(grant.is_over() for grant in grants)
    assert [poll.get("ack") for poll in corp.polls] == [None, ["j0"], ["j1"], ["j2"]]


def test_nothing_waits(harness, corp):
    turn(harness)
    assert len(corp.polls) == 1


def test_what_is_wrong_is_refused_by_its_name_and_does_not_come_again(harness, corp):
    ada = corp.employee("ada")
    good = corp.event(SESSION_REVOKED, corp.about(ada), jti="good")
    stranger = ClientKey("ES256", kid="corp-1")
    forged = corp.event(SESSION_REVOKED, corp.about(ada), jti="forged", key=stranger)
    late = corp.event(SESSION_REVOKED, corp.about(ada), jti="late", aud="https://other.example")
    other = corp.event(SESSION_REVOKED, corp.about(ada), jti="other", iss="https://evil.example")
    logout = corp.logout_token(sub=ada.subject, jti="logout")
    misnamed = corp.event(SESSION_REVOKED, corp.about(ada), jti="misnamed")
    corp.pages = [page(good, forged, late, other, logout, junk="x", renamed=misnamed)]
    turn(harness)
    told = corp.polls[-1]
    assert told["ack"] == ["good"]
    assert {jti: error["err"] for jti, error in told["setErrs"].items()} == {
        "forged": "invalid_key",
        "late": "invalid_audience",
        "other": "invalid_issuer",
        "logout": "invalid_request",
        "junk": "invalid_request",
        "renamed": "invalid_request",
    }
    assert all(error["description"] for error in told["setErrs"].values())
    assert len(ada.departures()) == 1


def test_what_was_done_is_acknowledged_again(harness, corp):
    """Our acknowledgement was lost."""
    ada = corp.employee("ada")
    token = corp.event(SESSION_REVOKED, corp.about(ada), jti="one")
    corp.pages = [page(token), Reply(500), page(token)]
    turn(harness)
    turn(harness)
    assert corp.polls[-1]["ack"] == ["one"]
    assert len(ada.departures()) == 1


BAD = {
    "an error": (Reply(500), "poll_status_500"),
    "not there": (Reply(404), "poll_status_404"),
    "our token is not good": (Reply(401), "poll_status_401"),
    "no JSON": (Reply(200, b"<html>"), "poll_not_json"),
    "a list": (Reply.json([]), "poll_not_json"),
    "sets in a list": (Reply.json({"sets": ["x"]}), "poll_malformed"),
    "a set that is no text": (Reply.json({"sets": {"a": {}}}), "poll_malformed"),
    "a name without end": (Reply.json({"sets": {"a" * 300: "x"}}), "poll_malformed"),
    "more in words": (Reply.json({"sets": {}, "moreAvailable": "yes"}), "poll_malformed"),
    "more than we asked for": (
        Reply.json({"sets": {f"j{n}": "x" for n in range(501)}}),
        "poll_malformed",
    ),
    "a redirect": (Reply(307, headers={"Location": "https://evil.example/"}), "poll_status_307"),
    "too much": (Reply(200, b" " * (5 * 1024 * 1024)), "poll_too_large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_transmitter_that_fails_is_asked_again_at_the_next_turn(harness, corp, name):
    reply, reason = BAD[name]
    ada = corp.employee("ada")
    corp.pages = [reply]
    logged = turn(harness)
    assert [it["reason"] for it in logged if it["event"] == "signals.poll_failed"] == [reason]
    assert len(corp.polls) == 1
    corp.pages = [page(corp.event(SESSION_REVOKED, corp.about(ada)))]
    turn(harness)
    assert len(ada.departures()) == 1


def test_one_that_fails_holds_up_no_other(harness, corp):
    other = Provider(harness, "other")
    other.add_stream("more", poll_url=f"{other.issuer}/poll", poll_token="env:SSF_POLL_TOKEN")
    ada = other.employee("ada")
    corp.pages = [Reply(500)]
    other.pages = [other_page := page(other.event(SESSION_REVOKED, other.about(ada)))]
    assert other_page
    turn(harness)
    assert len(ada.departures()) == 1
    harness.change(signal_streams.remove, "more")


def test_keys_that_cannot_be_had_refuse_nothing(harness, corp):
    ada = corp.employee("ada")
    token = corp.event(SESSION_REVOKED, corp.about(ada), jti="one")

    def without_keys(seen):
        return Reply(503) if seen.target == "/jwks" else corp._answer(seen)

    harness.web.serve(corp.host, without_keys)
    corp.pages = [page(token, more=True)]
    logged = turn(harness)
    assert [it["reason"] for it in logged if it["event"] == "signals.poll_failed"] == [
        "keys_status"
    ]
    assert [("ack" in poll, "setErrs" in poll) for poll in corp.polls] == [(False, False)]
    harness.web.serve(corp.host, corp._answer)
    harness.clock.advance(seconds=30)
    corp.pages = [page(token)]
    turn(harness)
    assert corp.polls[-1]["ack"] == ["one"]
    assert len(ada.departures()) == 1


def test_a_secret_that_is_missing_is_the_operators_to_mend(harness, corp, monkeypatch):
    monkeypatch.delenv("SSF_POLL_TOKEN")
    logged = turn(harness)
    [failed] = [it for it in logged if it["event"] == "signals.poll_failed"]
    assert failed["reason"] == "poll_token"
    assert not corp.polls


def test_what_is_switched_off_is_not_asked(harness, corp):
    harness.change(signal_streams.set_status, "signals", "disabled")
    turn(harness)
    harness.change(signal_streams.set_status, "signals", "active")
    harness.change(connections.set_status, "corp", "disabled")
    turn(harness)
    assert not corp.polls


def test_one_process_polls(harness, corp):
    """A lease: replicas do not repeat it."""
    runners = [JobRunner(harness.server.services) for _ in range(2)]
    harness.clock.advance(minutes=1)
    job = jobs.JOBS["poll-signals"]
    assert [runner.turn("poll-signals", job) for runner in runners] == [True, False]
    assert len(corp.polls) == 1


def test_a_polled_stream_takes_no_pushes(harness, corp):
    token = corp.event(SESSION_REVOKED, {"format": "opaque", "id": "x"})
    for bearer in ("their-token", "x"):
        assert corp.push(token, bearer=bearer).json["err"] == "authentication_failed"
