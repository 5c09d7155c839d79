"""The eight questions of readiness (S19): each can be answered well and badly."""

import pytest

from authz.admin import (
    admins,
    agents,
    audit_checkpoints,
    clients,
    readiness,
    resources,
    reviews,
    scim_tokens,
    tenants,
    users,
)
from authz.admin.client_metadata import Registration
from authz.admin.roles_import import import_file
from authz.admin.scopes import NewScope
from authz.audit.checkpoints import next_checkpoint
from authz.db.models import OutcomeBatch
from authz.policy.roles_file import parse
from tests.support.connections import connection

URL = "https://logs.example.com/mcp"
READ = NewScope(name="logs.read", description="Read logs", risk="read", tools=("tail",))


def part(desk, name):
    report = desk.ask(readiness.judge, desk.now)
    return next(it for it in report.parts if it.name == name)


def failing(desk, name):
    return [it.evidence for it in part(desk, name).checks if not it.passed]


def settings(desk, operation, mode):
    def work(tx):
        operation(tx, desk.operator, slug=desk.slug, mode=mode)

    desk.sql(work)


def test_there_are_eight_parts_and_an_empty_tenant_is_not_ready(desk):
    report = desk.ask(readiness.judge, desk.now)
    assert [it.name for it in report.parts] == [name for name, *_ in readiness.PARTS]
    assert len(report.parts) == 8
    assert not report.passed
    for it in report.parts:
        assert it.checks
        for check in it.checks:
            assert check.evidence
            assert check.way_out


def test_a_password_beside_the_companys_sign_in_is_told(desk):
    desk.do(users.add, login="dev@example.com", name="", password_hash="$argon2id$x")
    assert any(
        it.startswith("1 active person can use a password") for it in failing(desk, "Identity")
    )
    desk.do(users.set_break_glass, "dev@example.com", allowed=True)
    assert not any("have a password" in it for it in failing(desk, "Identity"))


def test_a_connection_and_who_tells_of_leaving(desk):
    assert "0 identity providers are connected" in failing(desk, "Identity")
    desk.sql(lambda tx: tx.add(connection(desk.tenant_id, "corp", desk.now)))
    assert "0 identity providers are connected" not in failing(desk, "Identity")
    assert failing(desk, "Leaving")
    desk.do(scim_tokens.add, name="okta", connection="corp", lifetime=None)
    assert failing(desk, "Leaving") == []


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (NewScope(name="a", description="A", risk="write", is_default=True, tools=("t",)), "1 scope that writes"),
        (NewScope(name="a", description="A", risk="read"), "1 scope opens no tool"),
        (NewScope(name="a", risk="read", tools=("t",)), "1 scope does not say"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_scope_is_told(desk, scope, said):
    desk.do(resources.add, identifier=URL, name="", owner="", scopes=[READ, scope])
    [found] = failing(desk, "Least privilege")
    assert found.startswith(said)


def test_scopes_as_they_should_be(desk):
    assert failing(desk, "Least privilege") == ["0 scopes are declared"]
    desk.do(resources.add, identifier=URL, name="", owner="", scopes=[READ])
    assert part(desk, "Least privilege").passed


def test_clients_are_decided_about(desk):
    registration = Registration(
        name="ci", auth_method="client_secret_basic", grant_types=("client_credentials",)
    )
    desk.do(clients.add, registration, client_id="ci")
    assert part(desk, "Clients").passed
    settings(desk, tenants.set_client_trust, "open")
    settings(desk, tenants.set_registration, "open")
    assert failing(desk, "Clients") == [
        "metadata documents of clients are trusted by open",
        "dynamic registration is open",
    ]


def test_agents_are_bounded(desk):
    assert part(desk, "Agents").passed
    desk.do(users.add, login="dev@example.com", name="", password_hash=None)
    desk.do(
        agents.add, slug="bot", purpose="tests", owner="dev@example.com", servers=(), clients_=(),
        scopes=None, expires_at=None, dormant_after_days=30,
    )  # fmt: skip
    assert failing(desk, "Agents") == [
        "1 active agent has no end",
        "1 active agent has no ceiling of scopes",
    ]


def test_somebody_answers(desk):
    desk.do(resources.add, identifier=URL, name="", owner="", scopes=[READ])
    # S17: whoever registered it answers for it, until that is taken away.
    assert len(failing(desk, "Responsibility")) == 3
    desk.do(resources.set_owner, URL, "")
    assert "1 active MCP server has no owner" in failing(desk, "Responsibility")
    desk.do(resources.set_owner, URL, "one@example.com")
    for login in ("one@example.com", "two@example.com"):
        desk.do(users.add, login=login, name="", password_hash=None)
        desk.do(admins.grant, role="owner", kind="user", holder=login)
    settings(desk, tenants.set_change_control, "two_person")
    desk.do(import_file, parse("roles: {r: [logs.read]}"))
    due = desk.now.replace(year=desk.now.year + 1)
    desk.do(reviews.start, name="Q", due_at=due)
    assert part(desk, "Responsibility").passed
    desk.wait(days=366)
    [late] = failing(desk, "Responsibility")
    assert late.startswith("the last access review began: ")


def test_old_keys_are_told(desk):
    assert part(desk, "Keys").passed
    desk.wait(days=366)
    assert not part(desk, "Keys").passed
    assert failing(desk, "Keys")[0].endswith("signing keys are active longer than a year")


def test_evidence_is_a_checkpoint_and_reports(desk):
    assert len(failing(desk, "Evidence")) == 2
    configuration = desk.configuration()
    point = desk.ask(next_checkpoint, issuer=desk.issuer, now=desk.now)
    statement = audit_checkpoints.sign(configuration.keys, point, desk.now)
    desk.sql(lambda tx: audit_checkpoints.store(tx, desk.tenant_id, point, statement, desk.now))
    [left] = failing(desk, "Evidence")
    assert left.startswith("0 reports of tool calls")
    row = OutcomeBatch(
        id="b", tenant_id=desk.tenant_id, client_id="c", resource_id="r", name="n", reporter="x",
        sequence=1, lost=0, outcomes=1, unverified=0, content="d", statement="s",
        received_at=desk.now,
    )  # fmt: skip
    desk.sql(lambda tx: tx.add(row))
    assert part(desk, "Evidence").passed
