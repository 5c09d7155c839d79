"""MCP servers report what became of calls: who may, in which form, and what is kept (S5, E8, M8, M9)."""

import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, event, select

from authz import jobs
from authz.admin import audit as trail
from authz.admin import clients, resources, tenants
from authz.admin.audit_alerts import AlertReader
from authz.admin.outcomes import KEPT
from authz.audit.cursors import ALERTS
from authz.db.models import Lease, OutcomeBatch, ToolOutcome
from authz.jose import ASYMMETRIC, import_jwks
from authz.oauth.outcomes import batches
from authz.oauth.outcomes.batches import MAX_CHARS, MAX_OUTCOMES
from authz.oauth.outcomes.recording import Report, receive
from authz.settings import AlertRule
from tests.support.client_keys import ClientKey
from tests.support.harness import LOG, RESOURCE, Harness
from tests.support.outcomes import Reporter, outcome, outcomes_of
from tests.support.web import Reply

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = "https://other.example/mcp"


@pytest.fixture
def reporter(harness):
    return Reporter(harness)


@pytest.fixture
def claims(harness):
    """Of a token for the server."""
    return harness.claims(harness.redeem(harness.code()).access_token)


def called(harness, claims, **members):
    """What became of a call with that token."""
    ids = {"jti": claims["jti"], "grant_id": claims["grant_id"]}
    return outcome(harness.clock(), **{**ids, **members})


def rows(harness, model):
    with harness.server.database.read() as tx:
        return tx.scalars(select(model).where(model.tenant_id == harness.tenant_id)).all()


def test_a_batch_is_kept_and_joined_to_the_token(harness, reporter, claims):
    """S5, L12: whose call it was is what our record of the token says."""
    digest = "ab" * 32
    answer = reporter.report(
        called(harness, claims, traceparent=TRACEPARENT, arguments_sha256=digest),
        called(harness, claims, outcome="error", reason="tool_error", grant_id=None),
        called(harness, claims, outcome="denied", reason="scope_missing", duration_ms=None),
    )
    assert answer.json == {"outcomes": 3, "unverified": 0, "repeated": False}
    first, second, third = outcomes_of(harness)
    assert (first.jti, first.grant_id) == (claims["jti"], claims["grant_id"])
    assert (first.subject, first.client_id) == (harness.users["dev"], harness.client_id)
    assert (first.trace_id, first.span_id) == (TRACE, SPAN)
    assert (first.tool, first.outcome, first.duration_ms) == ("read_logs", "ok", 12)
    assert (first.at, first.arguments_digest) == (harness.clock(), digest)
    assert first.verified
    assert second.grant_id == claims["grant_id"]
    assert (second.outcome, second.reason) == ("error", "tool_error")
    assert (third.outcome, third.reason, third.duration_ms) == ("denied", "scope_missing", None)


def test_denied_calls_that_are_reported_raise_an_alert(harness, reporter, claims):
    """M9: one by one, of the client that made them, under the reason that the library of MCP servers gives."""
    services = harness.server.services
    rule = AlertRule(name="forbidden", kinds=("tool.denied",), reasons=("scope_missing",))
    alerts = AlertReader((rule,), services.database, services.configurations, harness.clock, "one")
    with services.database.write() as tx:
        tx.execute(delete(Lease).where(Lease.name == ALERTS))
    alerts.turn()
    denied = called(harness, claims, outcome="denied", reason="scope_missing")
    reporter.report(*[denied] * (rule.count - 1))
    assert alerts.turn() == 0
    reporter.report(denied)
    assert alerts.turn() == 1
    with services.database.read() as tx:
        found = trail.search(tx, harness.tenant_id, kind="alert.raised")
    [alert] = found.entries
    assert (alert.client, alert.subject) == (harness.client_id, harness.users["dev"])
    assert (alert.detail["of_kind"], alert.detail["resource"]) == ("tool.denied", RESOURCE)


def test_the_trail_has_one_event_a_batch(harness, reporter, claims):
    """Item 11: the digest of the signed batch, so that what is beside the trail cannot change unseen."""
    reporter.report(
        called(harness, claims),
        called(harness, claims, outcome="denied", reason="scope_missing"),
        outcome(harness.clock()),
        lost=7,
    )
    [told] = harness.events("outcomes.reported")
    [kept] = rows(harness, OutcomeBatch)
    assert (told["client"], told["subject"]) == (reporter.client_id, None)
    assert told["detail"] == {
        "resource": RESOURCE,
        "batch": kept.name,
        "digest": sha256(kept.statement),
        "reporter": "rep_1",
        "sequence": 1,
        "outcomes": 3,
        "failed": 0,
        "denied": 1,
        "unverified": 1,
        "lost": 7,
    }
    with harness.server.database.read() as tx:
        assert trail.verify(tx, harness.server.operator(), harness.tenant_id).fault is None


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_batch_twice_is_one(harness, reporter, claims):
    """The answer to the first was lost; the second is signed anew, and perhaps with a newer key."""
    content = reporter.claims(called(harness, claims))
    assert reporter.send(reporter.sign(content)).json["repeated"] is False
    again = reporter.send(reporter.sign(content))
    assert again.json == {"outcomes": 1, "unverified": 0, "repeated": True}
    assert len(outcomes_of(harness)) == len(harness.events("outcomes.reported")) == 1


def test_a_name_is_good_for_one_content(harness, reporter, claims):
    first = reporter.claims(called(harness, claims))
    assert reporter.send(reporter.sign(first)).ok
    other = {**first, "outcomes": [called(harness, claims, tool="purge_logs")]}
    refused = reporter.send(reporter.sign(other))
    assert (refused.status, refused.reason) == (400, "batch_of_another_content")
    assert [row.tool for row in outcomes_of(harness)] == ["read_logs"]


def test_one_batch_sent_twenty_times_at_once(harness, reporter, claims):
    """Idempotent where it counts: in the insert."""
    batch = reporter.batch(called(harness, claims), called(harness, claims))
    fields = [reporter.fields(batch=batch) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda it: harness.post("/outcomes", it), fields))
    assert Counter(answer.json["repeated"] for answer in answers) == {False: 1, True: 19}
    assert len(outcomes_of(harness)) == 2
    assert len(harness.events("outcomes.reported")) == 1


def test_names_of_two_clients_do_not_meet(harness, reporter, claims):
    harness.add_resource(OTHER)
    other = Reporter(harness, resource=OTHER)
    assert reporter.report(called(harness, claims), jti="bat_same").ok
    answer = other.report(outcome(harness.clock()), jti="bat_same")
    assert answer.json["repeated"] is False


class TestWhatIsNotOnRecord:
    """It is kept, marked, and joined to nobody."""

    def refuted(self, harness, reporter, reported):
        answer = reporter.report(reported)
        assert answer.json == {"outcomes": 1, "unverified": 1, "repeated": False}
        [row] = outcomes_of(harness)
        assert not row.verified
        assert row.subject is row.client_id is None
        return row

    def test_an_unknown_token(self, harness, reporter):
        self.refuted(harness, reporter, outcome(harness.clock(), jti="at_invented"))

    def test_a_token_of_another_server(self, harness, reporter, claims):
        """A server speaks of tokens whose audience it is, and learns of no other whether it exists."""
        harness.add_resource(OTHER)
        other = Reporter(harness, resource=OTHER)
        self.refuted(harness, other, called(harness, claims))

    def test_a_token_of_another_tenant(self, harness, reporter, server):
        elsewhere = Harness(server)
        claims = elsewhere.claims(elsewhere.redeem(elsewhere.code()).access_token)
        self.refuted(harness, reporter, called(harness, claims))
        elsewhere.close()

    def test_a_grant_that_is_not_the_tokens(self, harness, reporter, claims):
        row = self.refuted(harness, reporter, called(harness, claims, grant_id="grt_other"))
        assert row.grant_id == "grt_other"

    @pytest.mark.parametrize("seconds", [-61, 600 + 61], ids=["before", "after"])
    def test_a_moment_outside_of_its_life(self, harness, reporter, claims, seconds):
        at = harness.clock() + timedelta(seconds=seconds)
        harness.clock.advance(hours=1)
        self.refuted(harness, reporter, called(harness, claims, at=at.timestamp()))


def test_a_report_may_come_late(harness, reporter, claims):
    """Spooled while we were away: the token has ended, and so have the grant and the server's registration."""
    reported = called(harness, claims)
    harness.clock.advance(days=29)
    harness.change(resources.set_status, RESOURCE, "disabled")
    assert reporter.report(reported).json["unverified"] == 0


DEFECTS = {
    "typ": ({}, {"typ": "JWT"}, "jwt_typ"),
    "typ-of-a-token": ({}, {"typ": "at+jwt"}, "jwt_typ"),
    "empty-typ": ({}, {"typ": ""}, "jwt_typ"),
    "crit": ({}, {"crit": ["b64"], "b64": True}, "jwt_header_forbidden"),
    "unknown-key": ({}, {"kid": "k2"}, "jwt_key_unknown"),
    "issuer": ({"iss": "cli_other"}, {}, "batch_iss"),
    "audience": ({"aud": "https://other.example"}, {}, "batch_aud"),
    "audience-list": ({"aud": ["x"]}, {}, "batch_aud"),
    "subject": ({"sub": "x"}, {}, "batch_members"),
    "expiry": ({"exp": 4102444800}, {}, "batch_members"),
    "no-count-of-losses": ({"lost": None}, {}, "batch_members"),
    "later": ({"iat": 4102444800}, {}, "batch_from_the_future"),
    "moment-of-text": ({"iat": "now"}, {}, "jwt_iat"),
    "name": ({"jti": "a b"}, {}, "jti_malformed"),
    "long-name": ({"jti": "x" * 65}, {}, "jti_malformed"),
    "reporter": ({"reporter": ""}, {}, "reporter_malformed"),
    "sequence-of-zero": ({"sequence": 0}, {}, "sequence_malformed"),
    "sequence-true": ({"sequence": True}, {}, "sequence_malformed"),
    "sequence-huge": ({"sequence": 2**63}, {}, "sequence_malformed"),
    "losses-below-zero": ({"lost": -1}, {}, "lost_malformed"),
    "no-outcome": ({"outcomes": []}, {}, "batch_outcomes"),
    "outcomes-of-text": ({"outcomes": "x"}, {}, "batch_outcomes"),
    "outcome-of-text": ({"outcomes": ["x"]}, {}, "outcome_members"),
    "resource": ({"resource": 1}, {}, "resource_malformed"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_batch_with_one_defect_is_refused(harness, reporter, claims, name):
    """ATK-36, ATK-42: one sentence for every defect, a reason for each, and nothing is kept."""
    changes, header, reason = DEFECTS[name]
    batch = reporter.claims(called(harness, claims), **changes)
    answer = reporter.send(reporter.sign(batch, header=header))
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_request", reason)
    assert answer.json["error_description"] == "the batch is none that is taken here"
    assert not rows(harness, OutcomeBatch)


BAD_OUTCOMES = {
    "arguments": ({"arguments": {"q": "secret"}}, "outcome_members"),
    "result": ({"result": "secret"}, "outcome_members"),
    "no-tool": ({"tool": None}, "outcome_members"),
    "later": ({"at": 4102444800}, "outcome_at"),
    "too-long-ago": ({"at": 0}, "outcome_at"),
    "moment-true": ({"at": True}, "outcome_at"),
    "kind": ({"outcome": "fine"}, "outcome_unknown"),
    "kind-of-list": ({"outcome": ["ok"]}, "outcome_unknown"),
    "denied-without-reason": ({"outcome": "denied"}, "outcome_reason"),
    "reason-of-success": ({"reason": "lucky"}, "outcome_reason"),
    "reason": ({"outcome": "error", "reason": "It said: no"}, "reason_malformed"),
    "jti": ({"jti": "at 1"}, "jti_malformed"),
    "grant": ({"grant_id": 7}, "grant_id_malformed"),
    "tool-with-line-break": ({"tool": "a\nb"}, "tool_malformed"),
    "tool-with-nul": ({"tool": "a\x00"}, "tool_malformed"),
    "tool-half-a-pair": ({"tool": "\ud800"}, "tool_malformed"),
    "long-tool": ({"tool": "x" * 257}, "tool_malformed"),
    "duration": ({"duration_ms": 1.5}, "duration_malformed"),
    "long-duration": ({"duration_ms": 2**31}, "duration_malformed"),
    "traceparent": ({"traceparent": f"{TRACEPARENT}-x"}, "traceparent_malformed"),
    "traceparent-null": ({"traceparent": 0}, "traceparent_malformed"),
    "digest": ({"arguments_sha256": "AB" * 32}, "arguments_sha256_malformed"),
}


@pytest.mark.parametrize("name", BAD_OUTCOMES)
def test_an_outcome_with_one_defect_spoils_its_batch(harness, reporter, claims, name):
    """Nothing but what is listed gets in: no member could carry arguments or results."""
    changes, reason = BAD_OUTCOMES[name]
    good = called(harness, claims)
    answer = reporter.report(good, called(harness, claims, **changes), good)
    assert (answer.status, answer.reason) == (400, reason)
    assert not rows(harness, ToolOutcome)
    assert not harness.events("outcomes.reported")


def test_a_batch_has_a_bound(harness, reporter, claims):
    one = called(harness, claims)
    assert reporter.report(*[one] * MAX_OUTCOMES).json["outcomes"] == MAX_OUTCOMES
    assert reporter.report(*[one] * (MAX_OUTCOMES + 1)).reason == "batch_outcomes"
    long = [called(harness, claims, tool="x" * 240)] * MAX_OUTCOMES
    batch = reporter.batch(*long)
    assert MAX_CHARS < len(batch) < MAX_CHARS + 16 * 1024
    assert reporter.send(batch).reason == "parameter_too_long"
    assert reporter.send("x" * (2 * MAX_CHARS)).status == 413


def test_a_signature_of_another_is_none(harness, reporter, claims):
    batch = reporter.claims(called(harness, claims))
    assert reporter.send(reporter.sign(batch, key=ClientKey())).reason == "jwt_signature"


class TestWhoReports:
    """INT-01, INT-03: as at introspection."""

    def test_nobody(self, harness, reporter, claims):
        batch = reporter.batch(called(harness, claims))
        answer = harness.post("/outcomes", {"batch": batch})
        assert (answer.status, answer.error) == (401, "invalid_client")

    def test_a_public_client(self, harness, reporter, claims):
        batch = reporter.batch(called(harness, claims))
        answer = harness.post("/outcomes", {"batch": batch, "client_id": harness.client_id})
        assert (answer.status, answer.reason) == (401, "client_is_public")

    def test_an_assertion_once(self, harness, reporter, claims):
        """JB-25: what authenticates the request is spent, whatever becomes of the batch."""
        fields = reporter.fields(batch=reporter.batch(called(harness, claims)))
        assert harness.post("/outcomes", fields).ok
        again = {**fields, "batch": reporter.batch(called(harness, claims))}
        assert harness.post("/outcomes", again).reason == "assertion_replayed"

    def test_the_client_of_another_server(self, harness, reporter, claims):
        """INT-03."""
        harness.add_resource(OTHER)
        other = Reporter(harness, resource=OTHER)
        answer = other.report(called(harness, claims), resource=RESOURCE)
        assert (answer.status, answer.error) == (400, "unauthorized_client")
        assert answer.reason == "reporter_of_another_resource"

    def test_a_client_that_reports_no_longer(self, harness, reporter, claims):
        harness.change(resources.set_client, RESOURCE, None)
        assert reporter.report(called(harness, claims)).reason == "reporter_of_another_resource"
        harness.change(resources.set_client, RESOURCE, reporter.client_id)
        harness.change(clients.block, reporter.client_id)
        assert reporter.report(called(harness, claims)).reason == "client_blocked"

    def test_another_spelling_of_the_server(self, harness, reporter, claims):
        answer = reporter.report(called(harness, claims), resource=RESOURCE + "/")
        assert answer.reason == "reporter_of_another_resource"

    def test_a_client_without_keys(self, harness, claims):
        made = harness.add_client(auth_method="client_secret_post")
        harness.change(resources.set_client, RESOURCE, made.client.id)
        fields = {"client_id": made.client.id, "client_secret": made.secret, "batch": "e30.e30.x"}
        answer = harness.post("/outcomes", fields)
        assert (answer.error, answer.reason) == ("unauthorized_client", "reporter_without_keys")

    def test_a_client_that_publishes_its_keys(self, harness, claims):
        """The set is fetched again when a batch names a key that nobody knows yet."""
        old, new = ClientKey(kid="old"), ClientKey(kid="new")
        url = harness.web.url(harness.host, "/keys")
        harness.web.serve(harness.host, Reply.json({"keys": [old.public]}))
        reporter = Reporter(harness, key=old)
        made = harness.add_client(
            auth_method="private_key_jwt",
            jwks_uri=url,
            grant_types=("client_credentials",),
            redirect_uris=(),
        )
        reporter.client_id = made.client.id
        harness.change(resources.set_client, RESOURCE, made.client.id)
        assert reporter.report(called(harness, claims)).ok
        harness.web.serve(harness.host, Reply.json({"keys": [old.public, new.public]}))
        harness.clock.advance(minutes=6)
        batch = reporter.claims(outcome(harness.clock()))
        assert reporter.send(reporter.sign(batch, key=new)).ok

    def test_a_tenant_that_is_switched_off(self, harness, reporter, claims):
        batch = reporter.batch(called(harness, claims))
        with harness.server.database.write() as tx:
            tenants.set_status(tx, harness.server.operator(), slug=harness.slug, status="disabled")
        harness.clock.advance(seconds=1)
        assert reporter.send(batch).status in (401, 404)
        assert not rows(harness, OutcomeBatch)

    def test_by_post_alone(self, harness):
        assert harness.http.get(f"{harness.issuer}/outcomes").status_code == 405


def test_a_batch_is_no_assertion_and_an_assertion_is_no_batch(harness, reporter, claims):
    """ATK-36: one key signs both, and neither can stand for the other."""
    assertion = reporter.fields()["client_assertion"]
    assert reporter.send(assertion).reason == "jwt_typ"
    fields = reporter.fields(batch=reporter.batch(called(harness, claims)))
    swapped = {**fields, "client_assertion": fields["batch"]}
    answer = harness.post("/outcomes", {**swapped, "client_id": reporter.client_id})
    assert answer.status == 401


def test_a_crowd_of_batches_takes_as_many_statements_as_one(harness, reporter, claims):
    """Few statements in few transactions, whatever the number of batches and outcomes."""

    def statements(count):
        made = [
            reporter.batch(*[called(harness, claims)] * 20, jti=f"bat_{count}_{number}")
            for number in range(count)
        ]
        with harness.server.database.read() as tx:
            configuration = harness.server.services.configurations.find(tx, harness.slug)
        keys = import_jwks(reporter.key.jwks, algorithms=ASYMMETRIC)
        terms = {"client_id": reporter.client_id, "issuer": harness.issuer, "now": harness.clock()}
        reports = [
            Report(
                tenant_id=harness.tenant_id,
                client_id=reporter.client_id,
                resource_id=harness.resource.id,
                batch=batches.verify(it, keys, **terms),
                audit_key=configuration.audit_key,
            )
            for it in made
        ]
        sent = []
        engine = harness.server.database.engine

        def note(_connection, _cursor, text, *_):
            sent.append(text)

        event.listen(engine, "before_cursor_execute", note)
        with harness.server.database.write() as tx:
            receipts = receive(tx, reports, harness.clock)
        event.remove(engine, "before_cursor_execute", note)
        assert [it.outcomes for it in receipts] == [20] * count
        return len(sent)

    assert statements(1) == statements(30) <= 8


def test_what_is_old_is_forgotten_and_the_trail_is_not(harness, reporter, claims):
    """Append-only until then; the event with the digest of the batch stays as long as the trail."""
    reporter.report(called(harness, claims), called(harness, claims))
    jobs.remove_expired(harness.server.services, harness.clock() + KEPT)
    assert len(rows(harness, ToolOutcome)) == 2
    jobs.remove_expired(harness.server.services, harness.clock() + KEPT + timedelta(seconds=1))
    assert not rows(harness, ToolOutcome)
    assert not rows(harness, OutcomeBatch)
    assert len(harness.events("outcomes.reported")) == 1


def test_nothing_of_a_batch_is_logged(harness, reporter, claims):
    """ATK-66: neither what it says nor what authenticated it."""
    mark = len(LOG.events)
    reporter.report(called(harness, claims, tool="canary_tool"))
    reporter.report(called(harness, claims, tool="canary_tool", outcome="denied"))
    assert "canary_tool" not in json.dumps(LOG.events[mark:], default=str)
