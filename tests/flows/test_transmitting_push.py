"""Security events that are sent to MCP servers (RFC 8935): in order, until taken, and never skipped in silence."""

from datetime import timedelta

import pytest
from joserfc import jwt

from authz import jobs
from authz.admin import event_streams
from authz.errors import Conflict, Invalid, NotFound
from authz.oauth.transmitting import pushing
from authz.oauth.transmitting.events import SESSION_REVOKED, VERIFICATION
from authz.oauth.transmitting.requests import POLL, PUSH
from tests.flows.test_transmitting import Receiver, revoke
from tests.support.harness import LOG
from tests.support.web import Reply

HOST = "gateway.example"
SECRET = "their-secret"
REFERENCE = "env:GATEWAY_TOKEN"
TAKEN = Reply(202)


class Gateway(Receiver):
    """A receiver that is sent its events; `answers` are its next ones, then 202."""

    def __init__(self, harness):
        super().__init__(harness)
        self.answers, self.seen = [], []
        harness.web.serve(HOST, self.take)
        self.url = harness.web.url(HOST, "/events")
        self.stream = self.create()["stream_id"]

    def take(self, request):
        self.seen.append(request)
        return self.answers.pop(0) if self.answers else TAKEN

    def begin(self, **changed):
        terms = {"url": self.url, "authorization": REFERENCE, "development": False, **changed}
        return self.harness.change(event_streams.push, self.stream, **terms)

    def turn(self):
        """One turn of the job; the claims of what arrived in it."""
        mark = len(self.seen)
        jobs.push_events(self.harness.server.services, self.harness.clock())
        return [self.claims(it) for it in self.seen[mark:]]

    def claims(self, request):
        decoded = jwt.decode(request.body.decode(), self.keys, algorithms=["ES256"])
        assert decoded.header["typ"] == "secevent+jwt"
        return dict(decoded.claims)

    @property
    def line(self):
        with self.harness.server.database.read() as tx:
            lines = event_streams.list_(tx, self.harness.tenant_id)
        [line] = [it for it in lines if it.id == self.stream]
        return line

    def ask(self, *arguments, **values):
        self.bearer = self.token().access_token  # the one before may be over by now
        return super().ask(*arguments, **values)

    def status(self):
        return self.ask("GET", "status", stream_id=self.stream).json()


@pytest.fixture
def gateway(harness, monkeypatch):
    monkeypatch.setenv("GATEWAY_TOKEN", SECRET)
    made = Gateway(harness)
    yield made
    # Others of this database are sent by the same job.
    assert made.ask("DELETE", "streams", stream_id=made.stream).status_code == 204


def end(harness, count=1):
    """So many grants of one person end, one after the other; the ids of their grants."""
    ended = []
    for _ in range(count):
        answer = harness.redeem(harness.code())
        ended.append(harness.claims(answer.access_token)["grant_id"])
        harness.clock.advance(seconds=1)
        revoke(harness, answer.refresh_token)
    return ended


def sessions(told):
    return [it["sub_id"]["session"]["id"] for it in told]


def test_what_ends_is_sent_and_acknowledged_by_202_alone(harness, gateway):
    """SSF-05, RFC 8935 §2.1, §2.2."""
    assert gateway.begin().delivery == "push"
    [grant] = end(harness)
    [claims] = gateway.turn()
    assert (claims["iss"], claims["aud"]) == (harness.issuer, gateway.made.client.id)
    assert claims["events"].keys() == {SESSION_REVOKED}
    assert claims["sub_id"]["session"] == {"format": "opaque", "id": grant}
    [request] = gateway.seen
    assert (request.method, request.target) == ("POST", "/events")
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["content-type"] == "application/secevent+jwt"
    assert request.headers["accept"] == "application/json"
    assert gateway.turn() == []
    assert gateway.line.delivered_at == harness.clock()


def test_in_order_and_what_was_not_taken_holds_up_the_rest(harness, gateway):
    gateway.begin()
    grants = end(harness, 3)
    gateway.answers = [TAKEN, Reply(503)]
    assert sessions(gateway.turn()) == grants[:2]
    line = gateway.line
    assert (line.failures, line.last_failure, line.status) == (1, "push_status_503", "enabled")
    assert line.retry_at == harness.clock() + timedelta(seconds=15)
    # Nothing before its time, and then from the one that was not taken on, under the same name.
    first = gateway.seen[1].body
    assert gateway.turn() == []
    harness.clock.advance(seconds=15)
    assert sessions(gateway.turn()) == grants[1:]
    assert gateway.claims(gateway.seen[2])["jti"] == jwt.decode(first, gateway.keys).claims["jti"]
    assert (gateway.line.failures, gateway.line.last_failure) == (0, None)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (
            Reply.json({"err": "invalid_key", "description": "who?"}, 400),
            "push_refused_invalid_key",
        ),
        (Reply.json({"err": "authentication_failed"}, 400), "push_refused_authentication_failed"),
        (Reply.json({"err": "<script>", "description": "x"}, 400), "push_status_400"),
        (Reply.json({"err": ["invalid_key"]}, 400), "push_status_400"),
        (Reply(400, b"{"), "push_status_400"),
        (Reply(200), "push_status_200"),
        (Reply(204), "push_status_204"),
        (Reply(302, headers={"Location": "https://elsewhere.example/"}), "push_status_302"),
        (Reply(401), "push_status_401"),
        (Reply(400, b"x" * 100_000), "push_too_large"),
    ],
)
def test_every_other_answer_is_a_failure_and_told_by_its_name(harness, gateway, answer, failure):
    """RFC 8935 §2.3, §2.4: the receiver's own words are nobody's to print."""
    gateway.begin()
    end(harness)
    gateway.answers = [answer]
    mark = len(LOG.events)
    assert len(gateway.turn()) == 1
    [told] = [it for it in LOG.events[mark:] if it["event"] == "event_stream.push_failed"]
    assert told["reason"] == gateway.line.last_failure == failure
    assert SECRET not in str(LOG.events[mark:])
    harness.clock.advance(seconds=15)
    assert len(gateway.turn()) == 1
    assert gateway.line.failures == 0


def test_without_its_secret_nothing_is_sent(harness, gateway, monkeypatch):
    gateway.begin()
    end(harness)
    monkeypatch.delenv("GATEWAY_TOKEN")
    assert gateway.turn() == []
    assert gateway.line.last_failure == "push_authorization"


def test_who_keeps_failing_is_paused_and_it_says_so(harness, gateway):
    """In its status, for operators, and in the trail."""
    gateway.begin()
    gateway.answers = [Reply(500)] * pushing.MOST_FAILURES
    pauses = []
    for _ in range(pushing.MOST_FAILURES):
        assert gateway.line.status == "enabled"
        end(harness)
        assert len(gateway.turn()) == 1
        pauses.append((gateway.line.retry_at - harness.clock()).total_seconds())
        harness.clock.advance(seconds=pauses[-1])
    assert pauses == [15, 30, 60, *[120] * (pushing.MOST_FAILURES - 3)]
    told = f"{pushing.MOST_FAILURES} deliveries in a row failed: push_status_500"
    assert gateway.status() == {"stream_id": gateway.stream, "status": "paused", "reason": told}
    assert (gateway.line.status, gateway.line.reason) == ("paused", told)
    last = harness.events("admin.changed")[-1]
    assert (last["actor"], last["detail"]["what"]) == ("job:push-events", "event_stream.status")
    assert gateway.turn() == []


@pytest.mark.parametrize("who", ["operator", "receiver"])
def test_a_paused_stream_goes_on_where_it_stood(harness, gateway, who, monkeypatch):
    monkeypatch.setattr(pushing, "MOST_FAILURES", 1)
    gateway.begin()
    grants = end(harness)
    gateway.answers = [Reply(500)]
    gateway.turn()
    assert gateway.line.status == "paused"
    grants += end(harness)
    if who == "operator":
        line = harness.change(event_streams.resume, gateway.stream)
    else:
        body = {"stream_id": gateway.stream, "status": "enabled"}
        assert gateway.ask("POST", "status", body).json()["status"] == "enabled"
        line = gateway.line
    assert (line.status, line.reason, line.failures) == ("enabled", None, 0)
    assert sessions(gateway.turn()) == grants


def test_a_verification_is_sent_too(gateway):
    gateway.begin()
    body = {"stream_id": gateway.stream, "state": "s"}
    assert gateway.ask("POST", "verify", body).status_code == 204
    [claims] = gateway.turn()
    assert claims["events"] == {VERIFICATION: {"state": "s"}}
    assert gateway.turn() == []


def test_what_is_sent_is_not_fetched(harness, gateway):
    gateway.begin()
    stream = {"stream_id": gateway.stream}
    told = gateway.ask("GET", "streams", **stream).json()
    assert told["delivery"] == {"method": PUSH, "endpoint_url": gateway.url}
    assert SECRET not in str(told)
    assert REFERENCE not in str(told)
    assert gateway.ask("POST", f"poll/{gateway.stream}", {}).status_code == 400
    # What it was told may be said back, and nothing else of it.
    same = {**stream, "delivery": told["delivery"]}
    assert gateway.ask("PATCH", "streams", same).status_code == 200
    for delivery in ({"method": PUSH, "endpoint_url": "https://evil.example"}, {"method": POLL}):
        mark = len(LOG.events)
        other = {**stream, "delivery": delivery}
        assert gateway.ask("PATCH", "streams", other).status_code == 400
        assert LOG.events[mark:][-1]["reason"] == "delivery_unsupported"
    [grant] = end(harness)
    assert harness.change(event_streams.poll, gateway.stream).delivery == "poll"
    assert gateway.turn() == []
    [claims] = gateway.fetch(stream)[1].values()
    assert sessions([claims]) == [grant]
    with pytest.raises(Conflict, match="fetched already"):
        harness.change(event_streams.poll, gateway.stream)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"url": "http://gateway.example/"}, "not https"),
        ({"url": "https://gateway.example/#x"}, "fragment"),
        ({"url": "gateway"}, "address to push to"),
        ({"authorization": "secret"}, "secret reference"),
        ({"authorization": "env:"}, "secret reference"),
    ],
)
def test_what_cannot_be_pushed_to(gateway, changed, why):
    with pytest.raises(Invalid, match=why):
        gateway.begin(**changed)


def test_a_stream_of_another_tenant_is_none(harness, gateway, server):
    """M1."""
    other = type(harness)(server)
    for operation in (event_streams.poll, event_streams.resume):
        with pytest.raises(NotFound):
            other.change(operation, gateway.stream)
    terms = {"url": gateway.url, "authorization": REFERENCE, "development": False}
    with pytest.raises(NotFound):
        other.change(event_streams.push, gateway.stream, **terms)
    with other.server.database.read() as tx:
        assert event_streams.list_(tx, other.tenant_id) == []
