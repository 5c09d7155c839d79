"""Who may let a server have which secret (V4): by reference, with all the permissions that it takes."""

from dataclasses import replace

import pytest

from authz.admin import credentials, resources, targets
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope
from authz.errors import Conflict, Forbidden, Invalid, NeedsApproval, NotFound, StaleSignIn
from authz.policy.administration import ADMIN_ROLES, Permission
from tests.admin.test_operations import performed

URL = "https://logs.example/mcp"
REFERENCE = "vault:team/github#token"
NEW = {"name": "github", "reference": REFERENCE, "scopes": ["logs.read"]}
P = Permission


@pytest.fixture
def server(desk):
    return desk.do(resources.add, identifier=URL, name="Logs", scopes=[NewScope(name="logs.read")])


def acting(desk, *permissions, **more):
    return Operator(
        "console:usr_1",
        desk.now,
        desk.services.envelope,
        frozenset(permissions),
        user_id="usr_1",
        home=desk.slug,
        references=("vault:team/",),
        authenticated_at=desk.now,
        **more,
    )


def add(desk, operator=None, **given):
    with desk.services.database.write() as tx:
        return credentials.add(
            tx, operator or desk.operator, desk.tenant_id, URL, **{**NEW, **given}
        )


def test_a_reference_is_kept_and_part_of_the_configuration(desk, server):
    before = desk.configuration().tenant.version
    line = add(desk)
    assert line.id.startswith("ucr_")
    assert (line.server, line.client_id) == (URL, None)
    configuration = desk.configuration()
    found = configuration.credentials.find(server.id, "github")
    assert (found.id, found.reference, found.scopes) == (line.id, REFERENCE, {"logs.read"})
    assert configuration.tenant.version == before + 1
    assert desk.ask(credentials.list_) == desk.ask(credentials.list_, URL) == [line]
    assert desk.do(credentials.remove, URL, "github") == line
    assert desk.ask(credentials.list_) == []
    assert desk.configuration().credentials.by_place == {}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "Git Hub"}, "'Git Hub' is not a name for a credential"),
        ({"name": ""}, "is not a name for a credential"),
        ({"reference": "ghp_the_secret_itself"}, "what was given is not a secret reference; use"),
        ({"reference": "vault:"}, "is not a secret reference"),
        ({"reference": f"vault:{'x' * 2048}"}, "more than 2048"),
        ({"scopes": ["logs.write"]}, "declares no scope 'logs.write'"),
        ({"scopes": ["a b"]}, "'a b' is not the name of a scope"),
        ({"scopes": [f"s{n}" for n in range(101)]}, "at most 100 scopes"),
    ],
)
def test_what_is_wrong_is_said_and_a_literal_secret_is_not_repeated(desk, server, given, why):
    with pytest.raises(Invalid, match=why) as refused:
        add(desk, **given)
    assert "ghp_" not in str(refused.value)
    assert desk.ask(credentials.list_) == []


def test_a_name_is_taken_once_at_a_server(desk, server):
    add(desk)
    with pytest.raises(Conflict, match="has a credential 'github' already"):
        add(desk)
    desk.do(resources.add, identifier="https://two.example/mcp", name="Two")
    desk.do(credentials.add, "https://two.example/mcp", name="github", reference=REFERENCE)
    assert [it.server for it in desk.ask(credentials.list_)] == [URL, "https://two.example/mcp"]


def test_of_a_server_that_is_not_there_nothing_is_told(desk, server, make_desk):
    other = make_desk()
    for operation, args in (
        (credentials.add, (server.id,)),
        (credentials.remove, (server.id, "github")),
    ):
        named = {"name": "x", "reference": REFERENCE} if operation is credentials.add else {}
        with pytest.raises(NotFound, match="no MCP server"):
            other.do(operation, *args, **named)
    with pytest.raises(NotFound, match="has no credential 'github'"):
        desk.ask(credentials.show, URL, "github")


def test_a_server_whose_tokens_come_from_elsewhere_gets_none(desk):
    desk.do(
        targets.add,
        slug="vendor",
        issuer="https://auth.vendor.example",
        own_issuer=desk.issuer,
        settings={},
    )
    desk.do(
        resources.add,
        identifier=URL,
        name="Docs",
        scopes=[NewScope(name="logs.read")],
        issued_by="vendor",
    )
    with pytest.raises(Invalid, match=r"no tokens for .* are issued here"):
        add(desk)


@pytest.mark.parametrize(
    ("permissions", "missing"),
    [
        ({P.CONNECTIONS_WRITE, P.TRUST_WRITE}, P.POLICY_WRITE),
        ({P.POLICY_WRITE}, P.CONNECTIONS_WRITE),
        (ADMIN_ROLES["policy-author"].permissions, P.CONNECTIONS_WRITE),
        (ADMIN_ROLES["operator"].permissions, P.POLICY_WRITE),
    ],
)
def test_naming_a_secret_takes_both_permissions(desk, server, permissions, missing):
    """An author of policy alone would have a provider's secret released to a server of their own."""
    with pytest.raises(Forbidden) as refused:
        add(desk, acting(desk, *permissions))
    assert refused.value.permission is missing
    with pytest.raises(Forbidden) as refused:
        performed(desk, "credentials.add", {"server": URL, **NEW}, acting(desk, *permissions))
    assert refused.value.permission is missing


def test_an_administrator_names_what_was_set_aside_for_them_alone(desk, server):
    """V6."""
    operator = acting(desk, P.POLICY_WRITE, P.CONNECTIONS_WRITE)
    for reference in ("file:authz.key", "vault:other/github", "vault:team/../other"):
        with pytest.raises(Invalid, match="not a secret that administrators may refer to"):
            add(desk, operator, reference=reference)
    assert add(desk, operator).reference == REFERENCE


def test_the_owner_of_a_server_needs_the_other_permission_too(desk, server):
    owns = {"owned": frozenset({server.id})}
    with pytest.raises(Forbidden) as refused:
        add(desk, acting(desk, P.SERVERS_OWN, **owns))
    assert refused.value.permission is P.CONNECTIONS_WRITE
    operator = acting(desk, P.SERVERS_OWN, P.CONNECTIONS_WRITE, **owns)
    assert performed(desk, "credentials.add", {"server": URL, **NEW}, operator).name == "github"
    alone = acting(desk, P.SERVERS_OWN, **owns)
    wanted = {"server": URL, "name": "github"}
    assert performed(desk, "credentials.remove", wanted, alone).name == "github"


def test_it_takes_a_recent_sign_in(desk, server):
    stale = replace(
        acting(desk, P.POLICY_WRITE, P.CONNECTIONS_WRITE),
        authenticated_at=desk.now.replace(hour=1),
    )
    with pytest.raises(StaleSignIn):
        add(desk, stale)


def test_a_second_person_for_naming_and_none_for_taking_away(desk, server):
    operator = acting(desk, P.POLICY_WRITE, P.CONNECTIONS_WRITE, needs_second=True)
    with pytest.raises(NeedsApproval):
        add(desk, operator)
    add(desk)
    with desk.services.database.write() as tx:
        credentials.remove(tx, operator, desk.tenant_id, URL, "github")
    assert desk.ask(credentials.list_) == []
