"""`authz audit trace`, `authz audit reporters`, and what `authz audit verify` says of reports."""

import itertools

import pytest
from sqlalchemy import select, update

from authz import audit
from authz.audit.events import LoginSucceeded, TokenIssued
from authz.db.models import AuditEvent, OutcomeBatch, Tenant, ToolOutcome
from authz.services import open_services
from authz.settings import load

_numbers = itertools.count(1)


@pytest.fixture
def told(cli):
    """A grant, its token and a call, as the server leaves them; answers the grant's id."""
    cli.run("users", "add", "ada@corp.example", "--name", "Ada")
    user = cli.json("users", "show", "ada@corp.example")["id"]
    number = next(_numbers)
    grant, jti = f"grt_{number}", f"at_{number}"
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        tenant = tx.scalars(select(Tenant).where(Tenant.slug == cli.tenant)).one()
        configuration = services.configurations.find(tx, cli.tenant)
        events = (
            LoginSucceeded(subject=user, method="password"),
            TokenIssued(
                subject=user,
                client="cli_1",
                grant_type="authorization_code",
                jti=jti,
                grant_id=grant,
                resource="https://mcp.example/mcp",
                scopes=["logs.read"],
                removed={},
                policy_version=1,
                refresh_token=True,
            ),
        )
        audit.record(tx, tenant.id, *events, key=configuration.audit_key, now=services.clock())
        batch = {
            "id": f"{number:064}",
            "tenant_id": tenant.id,
            "client_id": "cli_mcp",
            "resource_id": "res_1",
            "name": "bat_1",
            "reporter": "rep_1",
            "sequence": 3,
            "lost": 2,
            "outcomes": 1,
            "unverified": 0,
            "content": "0" * 64,
            "statement": "x",
            "received_at": services.clock(),
        }
        tx.add(OutcomeBatch(**batch))
        tx.flush()
        outcome = {
            "batch_id": batch["id"],
            "position": 0,
            "tenant_id": tenant.id,
            "at": services.clock(),
            "resource_id": "res_1",
            "jti": jti,
            "grant_id": grant,
            "subject": user,
            "client_id": "cli_1",
            "verified": True,
            "tool": "read_logs\x1b[2J",
            "outcome": "ok",
            "duration_ms": 12,
        }
        tx.add(ToolOutcome(**outcome))
    return grant


def test_a_story_for_people(cli, told):
    """ATK-67: a tool may be called anything, and steers no terminal."""
    shown = cli.run("audit", "trace", told).out
    assert "token.issued" in shown
    assert "ada@corp.example" in shown
    assert "read_logs\\x1b[2J, 12 ms" in shown
    assert "\x1b" not in shown


def test_a_story_for_programs(cli, told):
    found = cli.json("audit", "trace", told)
    assert [entry["kind"] for entry in found["entries"]] == ["token.issued", "tool.ok"]
    assert found["entries"][1]["detail"] == {"tool": "read_logs\x1b[2J", "duration_ms": 12}
    assert (found["kind"], found["is_whole"]) == ("grant", True)
    by_person = cli.json("audit", "trace", "ada@corp.example", "--since", "2026-01-01T00:00:00Z")
    kinds = [entry["kind"] for entry in by_person["entries"]]
    assert "login.succeeded" in kinds
    assert kinds[-1] == "tool.ok"


def test_a_workload_goes_by_its_rule(cli):
    """M6: what this server calls it is derived, and says nothing to people."""
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        tenant = tx.scalars(select(Tenant).where(Tenant.slug == cli.tenant)).one()
        configuration = services.configurations.find(tx, cli.tenant)
        event = TokenIssued(
            subject="wkl_1",
            client="wkl_1",
            grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
            jti="at_of_a_workload",
            grant_id="grt_of_a_workload",
            resource="https://mcp.example/mcp",
            scopes=["logs.read"],
            removed={},
            policy_version=1,
            refresh_token=False,
            workload={"trust": "cluster", "rule": "router", "asserted": "a:router"},
        )
        audit.record(tx, tenant.id, event, key=configuration.audit_key, now=services.clock())
    shown = cli.run("audit", "trace", "grt_of_a_workload").out
    assert "router of cluster" in shown


def test_what_only_a_server_says_is_said_to_be_that(cli, told):
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        change = update(ToolOutcome).where(ToolOutcome.grant_id == told)
        tx.execute(change.values(verified=False, subject=None))
    shown = cli.run("audit", "trace", told).out
    assert "tool.ok (unverified)" in shown
    assert "they are its word alone" in shown


def test_nothing_on_record_is_exit_1(cli):
    refused = cli.run("audit", "trace", "grt_none", code=1)
    assert "nothing is on record here of the grant 'grt_none'" in refused.err


def test_reporters(cli, told):
    [line] = cli.json("audit", "reporters")
    assert (line["reporter"], line["batches"], line["lost"]) == ("rep_1", 1, 2)
    assert "rep_1" in cli.run("audit", "reporters").out


def test_no_reporter(cli):
    assert "docs/outcomes.md" in cli.run("audit", "reporters").out


def test_verify_tells_of_reports(cli, told):
    """Item 11: this batch was never announced in the trail."""
    shown = cli.run("audit", "verify", code=1).out
    assert "what MCP servers told does NOT: batch bat_1: not in the trail" in shown
    found = cli.json("audit", "verify", code=1)
    assert found["fault"] is None
    assert found["reports"]["fault"] == {"batch": "bat_1", "what": "not in the trail"}


def test_verify_names_the_fault_of_a_trail_that_says_nothing_of_its_reports(cli, told):
    """An event somebody wrote over is what to tell, and no reason to end without a word."""
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        tenant = tx.scalars(select(Tenant).where(Tenant.slug == cli.tenant)).one()
        own = (AuditEvent.tenant_id == tenant.id, AuditEvent.kind == "token.issued")
        tx.execute(update(AuditEvent).where(*own).values(kind="outcomes.reported", body="{}"))
    assert "does NOT hold: strand main, position" in cli.run("audit", "verify", code=1).out
    found = cli.json("audit", "verify", code=1)
    assert (found["fault"]["what"], found["reports"]) == ("altered", None)


def test_verify_without_reports(cli):
    cli.run("groups", "add", "a")
    assert "0 outcomes in 0 batches are as they were signed" in cli.run("audit", "verify").out
