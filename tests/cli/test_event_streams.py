"""`authz event-streams`: where streams of MCP servers go, and whether they are taken."""

import itertools

import pytest
from sqlalchemy import select

from authz import entropy
from authz.db.models import EventStream, Tenant
from authz.services import open_services
from authz.settings import load

_numbers = itertools.count(1)


@pytest.fixture
def stream(cli):
    """As the client of an MCP server makes it; answers its id."""
    cli.run("groups", "add", f"g{next(_numbers)}")
    made = entropy.new_id("stm")
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        tenant = tx.scalars(select(Tenant).where(Tenant.slug == cli.tenant)).one()
        now = services.clock()
        row = EventStream(
            id=made,
            tenant_id=tenant.id,
            client_id="cli_mcp",
            description=None,
            requested=[],
            status="enabled",
            reason=None,
            position=0,
            acknowledged=[],
            removed=[],
            verifications=[],
            failures=0,
            created_at=now,
            updated_at=now,
        )
        tx.add(row)
    return made


def test_from_fetched_to_sent_and_back(cli, stream):
    assert "fetched" in cli.run("event-streams", "list").out
    url = "https://gateway.example/events"
    options = ("--url", url, "--token-ref", "env:GATEWAY_TOKEN")
    assert f"are sent to {url}" in cli.run("event-streams", "push", stream, *options).out
    [line] = cli.json("event-streams", "list")
    assert (line["delivery"], line["push_url"], line["status"]) == ("push", url, "enabled")
    assert "GATEWAY_TOKEN" not in str(line)
    assert "fetched by its client" in cli.run("event-streams", "poll", stream).out
    told = [
        it["detail"]["what"] for it in cli.json("audit", "search", "--client", "cli_mcp")["entries"]
    ]
    assert told == ["event_stream.poll", "event_stream.push"]


def test_one_that_was_paused_says_why_and_goes_on(cli, stream):
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        row = tx.get_one(EventStream, stream)
        row.status, row.reason = "paused", "20 deliveries in a row failed: push_status_500"
        row.failures, row.last_failure = 20, "push_status_500"
    shown = cli.run("event-streams", "list").out
    assert "20 deliveries in a row failed: push_status_500" in shown
    assert "go on" in cli.run("event-streams", "resume", stream).out
    [line] = cli.json("event-streams", "list")
    assert (line["status"], line["reason"], line["failures"]) == ("enabled", None, 0)


def test_what_is_not_there(cli):
    assert "docs/cut-off.md" in cli.run("event-streams", "list").out
    refused = cli.run("event-streams", "resume", "stm_none", code=1)
    assert "`authz event-streams list` shows them" in refused.err
