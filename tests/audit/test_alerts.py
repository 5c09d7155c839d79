"""Rules over the trail: one alert for a burst, told by the sinks (M9)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from authz import audit, entropy
from authz.admin.audit_alerts import AlertReader
from authz.audit.alerts import Burst, Seen, concerned, count
from authz.audit.delivery import Delivery
from authz.audit.events import OutcomesReported, SessionEnded, TokenRefused
from authz.audit.reading import PAGE
from authz.audit.sinks import Way, open_sink
from authz.db.models import AuditBurst, AuditEvent, Lease, ToolOutcome
from authz.settings import AlertRule, AuditSettings, AuditSink
from tests.admin.conftest import desk, make_desk, services
from tests.support.web import FakeWeb, Reply

__all__ = ["desk", "make_desk", "services"]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = AlertRule(
    name="forbidden", kinds=("token.refused", "tool.denied"), reasons=("scope_missing",)
)


def told(rule, seconds):
    """At which of these moments an alert is raised."""
    burst, raised = Burst(), []
    for second in seconds:
        burst, is_new = count(rule, burst, NOW + timedelta(seconds=second))
        if is_new:
            raised.append(second)
    return raised


@pytest.mark.parametrize(
    ("seconds", "raised"),
    [
        ([0, 1, 2, 3], []),
        ([0, 1, 2, 3, 4], [4]),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [4]),
        ([0, 75, 150, 225, 300], [300]),
        ([0, 76, 152, 228, 304], []),
        # A burst that goes on is one, however long.
        ([*range(0, 3000, 60)], [240]),
        # It is over after five quiet minutes.
        ([0, 1, 2, 3, 4, 305, 306, 307, 308, 309], [4, 309]),
        ([0, 1, 2, 3, 4, 304, 305, 306, 307, 308], [4]),
        # Strands are read one after the other.
        ([4, 3, 2, 1, 0], [0]),
    ],
)
def test_a_burst_is_one_alert(seconds, raised):
    assert told(RULE, seconds) == raised


@pytest.mark.parametrize(
    ("seen", "who"),
    [
        ({"agent": "agt_1", "client": "cli_1"}, "agt_1"),
        ({"client": "cli_1"}, "cli_1"),
        ({"subject": "usr_1"}, None),
        ({"agent": "agt_1", "reason": "code_spent"}, None),
        ({"agent": "agt_1", "kind": "alert.raised"}, None),
    ],
)
def test_whom_a_rule_counts(seen, who):
    given = Seen(**{"kind": "token.refused", "at": NOW, "reason": "scope_missing", **seen})
    everything = RULE.model_copy(update={"kinds": ("*",)})
    assert [it for _, it, _ in concerned([everything], given)] == ([] if who is None else [who])


def reader(desk):
    services = desk.services
    # Desks stand at one moment each, and the last one went on to a later.
    desk.sql(lambda tx: tx.execute(delete(Lease).where(Lease.name == "alerts")))
    made = AlertReader((RULE,), services.database, services.configurations, lambda: desk.now, "one")
    made.turn()
    return made


def record(desk, *events):
    with desk.services.database.write() as tx:
        key = desk.operator.audit_key(tx, desk.tenant_id)
        audit.record(tx, desk.tenant_id, *events, key=key, now=desk.now)


def refuse(desk, times, agent="agt_1"):
    for _ in range(times):
        desk.wait(seconds=1)
        refused = TokenRefused(
            client="cli_1",
            agent=agent,
            grant_type="refresh_token",
            error="invalid_scope",
            reason="scope_missing",
        )
        record(desk, refused)


def test_a_synthetic_burst_is_told_once_to_a_webhook(desk):
    """M9: five refusals of one agent in five minutes raise one alert, not five; it is retried, and signed."""
    with FakeWeb() as web:
        answers = [Reply(500), Reply(200), Reply(200)]
        web.serve("soc.example", lambda _: answers.pop(0))
        settings = AuditSink(
            name=f"soc-{desk.slug}",
            kind="webhook",
            url=web.url("soc.example", "/alerts"),
            secret="env:HOOK",
            kinds=("alert.*",),
            tenants=(desk.slug,),
        )
        way = Way(web.network(), lambda _: b"key", lambda: desk.now)
        hook = Delivery(
            settings, open_sink(settings, way), desk.services.database, lambda: desk.now, "one"
        )
        hook.turn()
        alerts = reader(desk)
        refuse(desk, 4)
        refuse(desk, 4, agent="agt_2")
        assert alerts.turn() == 0
        refuse(desk, 1)
        assert alerts.turn() == 1
        refuse(desk, 10)
        assert alerts.turn() == 0
        assert hook.turn() == 0
        desk.wait(seconds=2)
        assert hook.turn() == 1
        assert "webhook-signature" in web.requests[-1].headers
        [alert] = [json.loads(line)["body"] for line in web.requests[-1].body.splitlines()]
        assert (alert["kind"], alert["agent"], alert["detail"]["of"]) == (
            "alert.raised",
            "agt_1",
            "agt_1",
        )
        assert (alert["detail"]["count"], alert["detail"]["within"]) == (5, 300)
        # Another burst is another alert.
        desk.wait(minutes=6)
        refuse(desk, 5)
        assert alerts.turn() == 1
        assert hook.turn() == 1


def test_calls_that_an_mcp_server_denied_count_one_by_one(desk):
    """They are reported in batches; an alert counts calls (M9, section 2 row 9)."""
    alerts = reader(desk)
    batch = entropy.new_id("bat")
    id_ = entropy.digest("\x00".join((desk.tenant_id, "cli_mcp", batch)))

    def add(tx):
        for n in range(6):
            tx.add(
                ToolOutcome(
                    batch_id=id_,
                    position=n,
                    tenant_id=desk.tenant_id,
                    at=desk.now,
                    resource_id="res_x",
                    jti=f"at_{n}",
                    client_id="cli_agent",
                    verified=n > 0,  # the first token is nobody's here
                    tool="t",
                    outcome="denied",
                    reason="scope_missing",
                )
            )

    desk.sql(add)
    event = OutcomesReported(
        client="cli_mcp",
        resource="https://mcp.example/mcp",
        batch=batch,
        digest="x",
        reporter="rep_1",
        sequence=1,
        outcomes=6,
        failed=0,
        denied=6,
        unverified=1,
        lost=0,
    )
    record(desk, event)
    assert alerts.turn() == 1


def test_a_flood_is_read_to_its_end_in_one_turn(desk):
    """More than a page of one strand: a reader that falls behind is late in the very flood, and keeps retention up."""
    alerts = reader(desk)
    refuse(desk, 2)
    record(desk, *[SessionEnded(subject="usr_1") for _ in range(PAGE)])
    refuse(desk, 3)
    assert alerts.turn() == 1


def test_a_burst_that_is_read_late_is_one(desk):
    """It is forgotten by the moment up to which was read, not by the present."""
    alerts = reader(desk)
    refuse(desk, 4)
    assert alerts.turn() == 0
    refuse(desk, 1)
    desk.wait(hours=1)
    assert alerts.turn() == 1
    own = select(AuditBurst).where(AuditBurst.tenant_id == desk.tenant_id)
    assert desk.sql(lambda tx: tx.scalars(own).all()) == []


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '{"detail":{"denied":1}}',
        '{"client":{"a":1},"detail":{"denied":1,"batch":[]}}',
        '{"agent":"\\ud800","subject":"a\\u0000","client":[],"detail":{"reason":"scope_missing"}}',
    ],
    ids=["list", "no client", "kinds", "half"],
)
def test_an_event_somebody_wrote_over_stops_no_alert(desk, body):
    alerts = reader(desk)
    refuse(desk, 1)
    own = (AuditEvent.tenant_id == desk.tenant_id, AuditEvent.kind == "token.refused")
    change = update(AuditEvent).where(*own).values(body=body, kind="outcomes.reported")
    desk.sql(lambda tx: tx.execute(change))
    refuse(desk, 5)
    everything = RULE.model_copy(update={"kinds": ("*",), "reasons": (), "count": 1})
    assert replace(alerts, rules=(RULE, everything.model_copy(update={"name": "all"}))).turn() >= 2


def test_rules_have_names_of_their_own():
    with pytest.raises(ValueError, match=r"two of audit\.alert have one name"):
        AuditSettings(alert=(RULE, RULE))
