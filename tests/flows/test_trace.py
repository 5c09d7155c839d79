"""One query tells what happened, in order, whatever it is asked by (S5, S14, S16, E8)."""

import pytest
from sqlalchemy import delete, update

from authz import audit
from authz.admin import outcomes, users
from authz.admin.trace import GRANT, PERSON, TOKEN, TRACE, tell
from authz.audit.events import TokenIssued
from authz.db.models import AuditEvent, IssuedToken, OutcomeBatch, ToolOutcome
from authz.errors import NotFound
from tests.support.exchanges import PAGER, TICKETS, Chain
from tests.support.harness import RESOURCE, Harness
from tests.support.outcomes import Reporter, outcome

TRACE_ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN}-01"


@pytest.fixture
def reporter(harness):
    return Reporter(harness)


def story(harness, about, **terms):
    with harness.server.database.read() as tx:
        return tell(tx, harness.tenant_id, about, harness.clock(), **terms)


def kinds(told):
    return [entry.kind for entry in told.entries]


def called(harness, claims, **members):
    ids = {"jti": claims["jti"], "grant_id": claims["grant_id"]}
    return outcome(harness.clock(), **{**ids, **members})


def signed_in(harness, login="dev@example.com", **parameters):
    """A person signs in, allows and gets a token, each a while after the other."""
    browser = harness.browser(login)
    page = browser.start(**parameters)
    page = browser.sign_in(page)
    harness.clock.advance(seconds=10)
    page = browser.decide(page)
    harness.clock.advance(seconds=5)
    answer = harness.redeem(page.code)
    harness.clock.advance(seconds=5)
    return answer, harness.claims(answer.access_token)


STORY = [
    *("login.succeeded", "consent.granted", "code.issued", "token.issued"),
    *("tool.ok", "tool.denied", "token.issued", "tool.error", "grant.revoked"),
]


@pytest.fixture
def lived(harness, reporter):
    """A grant from its sign-in to its end, beside somebody else's."""
    _, others = signed_in(harness, "sre@example.com")
    reporter.report(called(harness, others, tool="their_tool"))
    answer, first = signed_in(harness)
    reporter.report(
        called(harness, first, traceparent=TRACEPARENT),
        called(harness, first, outcome="denied", reason="scope_missing", tool="purge_logs"),
    )
    harness.clock.advance(minutes=5)
    renewed = harness.refresh(answer.refresh_token)
    second = harness.claims(renewed.access_token)
    harness.clock.advance(seconds=5)
    reporter.report(called(harness, second, outcome="error", reason="tool_error"))
    harness.clock.advance(seconds=5)
    fields = {"client_id": harness.client_id, "token": renewed.refresh_token}
    assert harness.post("/revoke", fields).ok
    return first, second


def test_a_grant_from_login_to_revocation(harness, lived):
    """S5: login, consent, issuance, tool calls, refusals, the end; and nothing of anybody else."""
    first, _ = lived
    told = story(harness, first["grant_id"])
    assert (told.kind, told.is_whole) == (GRANT, True)
    assert kinds(told) == STORY
    assert {entry.subject for entry in told.entries} == {harness.users["dev"]}
    assert told.names == {harness.users["dev"]: "dev@example.com"}
    issued = told.entries[3]
    assert (issued.jti, issued.resource) == (first["jti"], RESOURCE)
    call = told.entries[4]
    assert (call.jti, call.client, call.resource) == (first["jti"], harness.client_id, RESOURCE)
    assert call.trace == f"{TRACE_ID}-{SPAN}"
    assert call.verified
    assert told.entries[5].detail["reason"] == "scope_missing"


def test_one_token_of_a_grant(harness, lived):
    """Where the grant came from, what this token did, and how the grant ended."""
    _, second = lived
    told = story(harness, second["jti"])
    assert told.kind == TOKEN
    assert kinds(told) == [*STORY[:3], *STORY[6:]]
    assert {e.jti for e in told.entries if e.jti} == {second["jti"]}


@pytest.mark.parametrize("about", ["id", "login", "LOGIN"])
def test_a_person(harness, lived, about):
    login = "dev@example.com"
    names = {"id": harness.users["dev"], "login": login, "LOGIN": login.upper()}
    told = story(harness, names[about])
    assert told.kind == PERSON
    assert [kind for kind in kinds(told) if kind in STORY] == STORY
    assert harness.users["sre"] not in {entry.subject for entry in told.entries}


@pytest.mark.parametrize("about", [TRACEPARENT, TRACE_ID], ids=["traceparent", "trace-id"])
def test_a_trace(harness, lived, about):
    """S14: the one call of the trace, and what it stands on; the other calls of the grant are another story."""
    told = story(harness, about)
    assert told.kind == TRACE
    expected = ["login.succeeded", "consent.granted", "code.issued", "token.issued"]
    assert kinds(told) == [*expected, "tool.ok", "grant.revoked"]


def test_a_trace_of_token_requests(harness):
    """S14: also of one that was refused."""
    fields = {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": harness.code(),
        "code_verifier": "x" * 43,
    }
    assert harness.token(fields, traceparent=TRACEPARENT).reason == "pkce_mismatch"
    [refused] = story(harness, TRACEPARENT).entries
    assert (refused.kind, refused.detail["reason"]) == ("token.refused", "pkce_mismatch")


def test_access_that_was_ended_for_somebody(harness, reporter):
    """L8: the end of everything is the end of the grant."""
    _, claims = signed_in(harness)
    harness.change(users.disable, "dev@example.com")
    told = story(harness, claims["grant_id"])
    assert "access.ended" in kinds(told)
    assert kinds(told)[:4] == STORY[:4]


def test_three_hops_belong_to_one_story(harness):
    """S16: login, issuance, tool call, exchange, downstream call, in order, asked from any hop."""
    chain = Chain(harness)
    chain.allow_all()
    answer, claims = signed_in(harness)
    calls = [(RESOURCE, called(harness, claims, tool="read_logs"))]
    tokens = [claims]
    hops = ((chain.ops, TICKETS, "read_tickets"), (chain.tickets, PAGER, "page"))
    for client, target, tool in hops:
        harness.clock.advance(seconds=1)
        answer = chain.exchange(client, answer.access_token, target)
        tokens.append(harness.claims(answer.access_token))
        harness.clock.advance(seconds=1)
        calls.append((target, called(harness, tokens[-1], tool=tool)))
    harness.clock.advance(seconds=1)
    assert not chain.exchange(chain.tickets, answer.access_token, TICKETS).ok
    # The servers tell later, and not in the order in which things happened.
    for resource, call in reversed(calls):
        harness.clock.advance(seconds=1)
        assert Reporter(harness, resource=resource).report(call).json["unverified"] == 0
    hop = ["token.issued", "tool.ok"]
    told = story(harness, claims["grant_id"])
    assert kinds(told) == [*STORY[:3], *hop, *hop, *hop, "token.refused"]
    used = [entry.detail["tool"] for entry in told.entries if "tool" in entry.detail]
    assert used == ["read_logs", "read_tickets", "page"]
    assert [e.resource for e in told.entries if e.kind == "token.issued"] == [
        RESOURCE,
        TICKETS,
        PAGER,
    ]
    # Asked by the last token: what it was made from; by the first: what was made from it.
    for token in tokens:
        assert kinds(story(harness, token["jti"])) == kinds(told)


def test_a_hop_into_a_grant_of_its_own_belongs_to_the_story(harness, reporter):
    """Whatever an event calls it: who names a token of the story in it is part of it."""
    _, claims = signed_in(harness)
    reporter.report(called(harness, claims))
    harness.clock.advance(seconds=1)
    with harness.server.database.write() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
        event = TokenIssued(
            subject=claims["sub"],
            client="cli_hop",
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            jti="at_next",
            grant_id="grt_next",
            resource=TICKETS,
            scopes=["tickets.read"],
            removed={},
            policy_version=1,
            refresh_token=False,
            parent=claims["jti"],
        )
        now, key = harness.clock(), configuration.audit_key
        audit.record(tx, harness.tenant_id, event, key=key, now=now)
    for about in (claims["grant_id"], claims["jti"]):
        assert kinds(story(harness, about)) == [*STORY[:4], "tool.ok", "token.issued"]


def test_what_a_server_invents_is_told_as_its_word_alone(harness, reporter):
    _, claims = signed_in(harness)
    harness.add_resource(TICKETS)
    liar = Reporter(harness, resource=TICKETS)
    assert liar.report(called(harness, claims, tool="invented")).json["unverified"] == 1
    told = story(harness, claims["grant_id"])
    [invented] = [entry for entry in told.entries if entry.kind == "tool.ok"]
    assert invented.verified is False
    assert invented.subject is invented.client is None
    # It leads nowhere: no grant and no token joins a story because a server said so.
    assert liar.report(called(harness, claims, jti="at_other", grant_id="grt_other")).ok
    assert len(story(harness, claims["grant_id"]).entries) == len(told.entries)


def test_nothing_of_another_tenant(harness, server, lived):
    """M1."""
    first, _ = lived
    elsewhere = Harness(server)
    for about in (first["grant_id"], first["jti"], TRACEPARENT, harness.users["dev"]):
        with pytest.raises(NotFound):
            story(elsewhere, about)
    elsewhere.close()


@pytest.mark.parametrize("about", ["grt_none", "at_none", TRACEPARENT, "nobody@example.com", "x"])
def test_what_is_not_on_record_is_said_so(harness, about):
    with pytest.raises(NotFound):
        story(harness, about)


def test_from_a_moment_on(harness, lived):
    first, second = lived
    with harness.server.database.read() as tx:
        token = tx.get_one(IssuedToken, second["jti"])
    told = story(harness, harness.users["dev"], since=token.issued_at)
    assert kinds(told)[:2] == ["token.issued", "tool.error"]
    assert first["jti"] not in {entry.jti for entry in told.entries}


class TestReporters:
    """What is missing is seen to be missing."""

    def lines(self, harness):
        with harness.server.database.read() as tx:
            return outcomes.reporters(tx, harness.tenant_id)

    def test_gaps_and_losses(self, harness, reporter):
        one = outcome(harness.clock())
        for sequence in (1, 2, 5):
            reporter.report(one, one, sequence=sequence, lost=3 if sequence == 5 else 0)
        reporter.report(one, reporter="rep_2", sequence=7)
        first, second = self.lines(harness)
        assert (first.reporter, first.batches, first.missing) == ("rep_1", 3, 2)
        assert (first.outcomes, first.lost, first.unverified) == (6, 3, 6)
        assert (first.resource, first.client) == (RESOURCE, reporter.client_id)
        assert first.last_received_at == harness.clock()
        assert (second.reporter, second.batches, second.missing) == ("rep_2", 1, 0)

    def test_nobody(self, harness):
        assert self.lines(harness) == []


class TestVerification:
    """Item 11: what is beside the trail cannot change unseen."""

    @pytest.fixture
    def kept(self, harness, reporter):
        _, claims = signed_in(harness)
        reporter.report(called(harness, claims, traceparent=TRACEPARENT), jti="bat_one")
        harness.clock.advance(seconds=1)
        reporter.report(
            called(harness, claims, outcome="denied", reason="scope_missing"),
            called(harness, claims, at=harness.clock().timestamp() - 0.0004999),
            jti="bat_two",
        )

    def verified(self, harness, change=None):
        with harness.server.database.write() as tx:
            if change is not None:
                tx.execute(change)
        with harness.server.database.read() as tx:
            return outcomes.verify(tx, harness.tenant_id, harness.clock())

    def test_as_it_was_signed(self, harness, kept):
        found = self.verified(harness)
        assert (found.batches, found.outcomes, found.fault) == (2, 3, None)

    @pytest.mark.parametrize(
        "values",
        [
            {"outcome": "ok", "reason": None},
            {"tool": "another"},
            {"jti": "at_other"},
            {"trace_id": None},
            {"duration_ms": 1},
        ],
        ids=lambda values: next(iter(values)),
    )
    def test_an_outcome_that_was_edited(self, harness, kept, values):
        change = update(ToolOutcome).where(ToolOutcome.tenant_id == harness.tenant_id)
        fault = self.verified(harness, change.values(**values)).fault
        assert fault.what == "its outcomes are not those that were signed"

    def test_an_outcome_that_is_gone(self, harness, kept):
        change = delete(ToolOutcome).where(
            ToolOutcome.tenant_id == harness.tenant_id, ToolOutcome.position == 1
        )
        fault = self.verified(harness, change).fault
        assert (fault.batch, fault.what) == (
            "bat_two",
            "its outcomes are not those that were signed",
        )

    def test_a_batch_that_is_gone(self, harness, kept):
        change = delete(OutcomeBatch).where(
            OutcomeBatch.tenant_id == harness.tenant_id, OutcomeBatch.name == "bat_two"
        )
        fault = self.verified(harness, change).fault
        assert (fault.batch, fault.what) == ("bat_two", "missing")

    def test_a_batch_that_was_replaced_with_its_rows(self, harness, kept, reporter):
        """Even by the reporter itself: the trail has the digest of the first."""
        content = reporter.claims(outcome(harness.clock()), jti="bat_two")
        change = (
            update(OutcomeBatch)
            .where(OutcomeBatch.tenant_id == harness.tenant_id, OutcomeBatch.name == "bat_two")
            .values(statement=reporter.sign(content))
        )
        fault = self.verified(harness, change).fault
        assert (fault.batch, fault.what) == ("bat_two", "altered")

    def test_a_batch_that_was_slipped_in(self, harness, kept):
        with harness.server.database.write() as tx:
            row = tx.query(OutcomeBatch).filter_by(tenant_id=harness.tenant_id).first()
            values = {c.name: getattr(row, c.name) for c in OutcomeBatch.__table__.columns}
            tx.add(OutcomeBatch(**{**values, "id": "0" * 64, "name": "bat_three"}))
        fault = self.verified(harness).fault
        assert (fault.batch, fault.what) == ("bat_three", "not in the trail")

    def test_what_is_past_retention_is_not_missed(self, harness, kept):
        harness.clock.advance(days=401)
        change = delete(OutcomeBatch).where(OutcomeBatch.tenant_id == harness.tenant_id)
        assert self.verified(harness, change).fault is None


def test_the_trail_that_it_reads_is_one_tenants(harness, lived):
    """A story is made of events as they stand; whether they stand as written is `authz audit verify`."""
    first, _ = lived
    with harness.server.database.write() as tx:
        tx.execute(delete(AuditEvent).where(AuditEvent.tenant_id == harness.tenant_id))
    assert kinds(story(harness, first["grant_id"])) == ["tool.ok", "tool.denied", "tool.error"]
