"""Agents (M6, M11, M13, S1, S4): bounded by their record, named in every token, switched off at once."""

from datetime import timedelta

import pytest

from authz.admin import agents, clients, resources, roles, users
from authz.audit.events import FamilyRevoked
from authz.errors import Conflict, Invalid, NotFound
from authz.jobs import watch_agents
from tests.support.feed import FeedReader
from tests.support.harness import RESOURCE
from tests.support.workloads import Platform, ask

OTHER = "https://other.example/mcp"
GRANTS = ("authorization_code", "refresh_token", "client_credentials")


@pytest.fixture
def client(harness):
    return harness.add_client(auth_method="client_secret_post", grant_types=GRANTS)


def add(harness, client, **values):
    return harness.change(
        agents.add,
        **{
            "slug": "triage",
            "purpose": "Sorts incidents",
            "owner": "sre@example.com",
            "servers": [RESOURCE],
            "clients_": [client.client.id],
            **values,
        },
    )


def for_person(harness, client, login="dev", **values):
    code = harness.code(login, client_id=client.client.id, **values)
    return harness.redeem(code, client_id=client.client.id, client_secret=client.secret)


def for_itself(harness, client, **fields):
    return harness.token(
        {
            "grant_type": "client_credentials",
            "client_id": client.client.id,
            "client_secret": client.secret,
            "resource": RESOURCE,
            **fields,
        }
    )


def test_person_client_and_agent_are_three(harness, client):
    """S1: `sub` the human, `client_id` the application, `act` the agent; in the trail as well."""
    agent = add(harness, client)
    claims = harness.claims(for_person(harness, client).access_token)
    assert claims["sub"] == harness.users["dev"]
    assert claims["client_id"] == client.client.id
    assert claims["act"] == {"sub": agent.id}
    event = harness.events("token.issued")[-1]
    assert (event["subject"], event["client"], event["agent"]) == (
        harness.users["dev"],
        client.client.id,
        agent.id,
    )
    plain = harness.claims(harness.redeem(harness.code()).access_token)
    assert "act" not in plain
    assert harness.events("token.issued")[-1]["agent"] is None


def test_an_agent_never_gets_more_than_its_record(harness, client):
    """M6, S4: agent and person, whichever is less."""
    add(harness, client, scopes=frozenset({"logs.read", "incidents.trigger"}))
    answer = for_person(harness, client)
    assert answer.scopes == {"logs.read"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "analytics.query": "agent_ceiling"
    }
    harness.change(agents.change, "triage", any_scope=True)
    assert for_person(harness, client).scopes == {"logs.read", "analytics.query"}


def test_an_agent_uses_the_servers_it_is_allowed(harness, client):
    harness.add_resource(OTHER)
    add(harness, client, servers=[OTHER])
    refused = for_person(harness, client)
    assert (refused.error, refused.reason) == ("access_denied", "nothing_granted")
    harness.change(agents.change, "triage", servers=[])
    assert for_person(harness, client).error == "access_denied"
    harness.change(agents.change, "triage", servers=[RESOURCE, OTHER])
    assert for_person(harness, client).ok


def test_the_ceiling_holds_at_every_refresh(harness, client):
    """S4."""
    add(harness, client)
    tokens = for_person(harness, client, offline_access=True)
    harness.change(agents.change, "triage", scopes=frozenset({"analytics.query"}))
    again = harness.refresh(
        tokens.refresh_token, client_id=client.client.id, client_secret=client.secret
    )
    assert again.scopes == {"analytics.query"}


def test_an_agent_for_itself(harness, client):
    """Bounded and named as for anybody; the roles are its client's."""
    agent = add(harness, client, scopes=frozenset({"logs.read"}))
    harness.change(roles.bind, role="sre", kind="client", holder=client.client.id)
    answer = for_itself(harness, client, scope="logs.read incidents.trigger")
    assert answer.scopes == {"logs.read"}
    claims = harness.claims(answer.access_token)
    assert (claims["sub"], claims["act"]) == (client.client.id, {"sub": agent.id})


def test_a_server_may_want_a_person(harness, client):
    """M11: whatever roles the client has."""
    harness.change(roles.bind, role="sre", kind="client", holder=client.client.id)
    assert for_itself(harness, client).ok
    harness.change(resources.set_identity, RESOURCE, "user_required")
    refused = for_itself(harness, client)
    assert (refused.error, refused.reason) == ("unauthorized_client", "user_required")
    assert for_person(harness, client).ok
    harness.change(resources.set_identity, RESOURCE, "service_allowed")
    assert for_itself(harness, client).ok
    with pytest.raises(Invalid):
        harness.change(resources.set_identity, RESOURCE, "anybody")


def _is_active(harness, rs, token):
    asked = {"token": token, "client_id": rs.client.id, "client_secret": rs.secret}
    return harness.post("/introspect", asked).json["active"]


def test_kill(harness, client):
    """M13: all grants of all its clients at once, its own tokens with them; others are left alone, and it stays so."""
    rs = harness.add_client(auth_method="client_secret_post", name="Operations MCP")
    harness.change(resources.set_client, RESOURCE, rs.client.id)
    second = harness.add_client(auth_method="client_secret_post", grant_types=GRANTS)
    add(harness, client, clients_=[client.client.id, second.client.id])
    harness.change(roles.bind, role="sre", kind="client", holder=client.client.id)
    held = [for_person(harness, it, offline_access=True) for it in (client, second)]
    own = for_itself(harness, client)
    bystander = harness.redeem(harness.code())
    for it in (*held, own, bystander):
        assert _is_active(harness, rs, it.access_token)
    killed = harness.change(agents.kill, "triage")
    assert (killed.agent.status, killed.revoked_grants) == ("killed", 2)
    for it in (*held, own):
        assert not _is_active(harness, rs, it.access_token)
    assert _is_active(harness, rs, bystander.access_token)
    refused = harness.refresh(
        held[0].refresh_token, client_id=client.client.id, client_secret=client.secret
    )
    assert refused.reason == "family_revoked:agent_killed"
    assert for_person(harness, client).error == "access_denied"
    assert for_itself(harness, client).error == "access_denied"
    with pytest.raises(Conflict):
        harness.change(agents.wake, "triage")
    revoked = harness.events(FamilyRevoked.kind)
    assert {it["detail"]["reason"] for it in revoked} == {"agent_killed"}


def test_servers_that_verify_offline_are_told(harness, client):
    """M13, E10: of its people's tokens, and of its own."""
    reader = FeedReader(harness)
    add(harness, client)
    harness.change(roles.bind, role="sre", kind="client", holder=client.client.id)
    held = [for_person(harness, client), for_itself(harness, client)]
    assert all(reader.accepts(it.access_token) for it in held)
    harness.change(agents.kill, "triage")
    reader.read_on()
    assert not any(reader.accepts(it.access_token) for it in held)


def test_no_token_outlives_its_agent(harness, client):
    """So that nobody has to be told of an end that was known from the beginning."""
    add(harness, client, expires_at=harness.clock() + timedelta(seconds=90))
    assert for_person(harness, client).json["expires_in"] == 90


def test_an_agent_ends(harness, client):
    """M6: at the moment its record says."""
    add(harness, client, expires_at=harness.clock() + timedelta(hours=1))
    tokens = for_person(harness, client, offline_access=True)
    assert tokens.ok
    harness.clock.advance(hours=1)
    refused = harness.refresh(
        tokens.refresh_token, client_id=client.client.id, client_secret=client.secret
    )
    assert (refused.error, refused.reason) == ("access_denied", "nothing_granted")
    with pytest.raises(Invalid):
        harness.change(agents.change, "triage", expires_at=harness.clock() - timedelta(seconds=1))


def show(harness):
    with harness.server.database.read() as tx:
        return agents.show(tx, harness.tenant_id, "triage", harness.clock())


def look(harness):
    watch_agents(harness.server.services, harness.clock())
    return show(harness)


def test_a_dormant_agent_sleeps(harness, client):
    """M6: after so many days without a token; one that is used does not."""
    add(harness, client, dormant_after_days=2)
    harness.clock.advance(days=1, hours=23)
    assert for_person(harness, client, offline_access=True).ok
    assert look(harness).status == "active"
    harness.clock.advance(days=1, hours=23)
    assert look(harness).status == "active"
    harness.clock.advance(hours=2)
    line = look(harness)
    assert (line.status, line.live_grants) == ("dormant", 0)
    assert for_person(harness, client).error == "access_denied"
    harness.change(agents.wake, "triage")
    assert look(harness).status == "active"
    assert for_person(harness, client).ok


def test_an_agent_nobody_answers_for_sleeps(harness, client):
    add(harness, client)
    harness.change(users.disable, "sre@example.com")
    assert look(harness).status == "dormant"
    with pytest.raises(Conflict):
        harness.change(agents.wake, "triage")
    harness.change(agents.change, "triage", owner="dev@example.com")
    harness.change(agents.wake, "triage")
    assert look(harness).status == "active"


def test_a_client_is_taken_away(harness, client):
    """What it holds was the agent's."""
    add(harness, client)
    tokens = for_person(harness, client, offline_access=True)
    line = harness.change(agents.take_client, "triage", client.client.id)
    assert line.clients == []
    refused = harness.refresh(
        tokens.refresh_token, client_id=client.client.id, client_secret=client.secret
    )
    assert refused.reason == "family_revoked:agent_client_taken"
    assert "act" not in harness.claims(for_person(harness, client).access_token)
    harness.change(agents.give_client, "triage", client.client.id)
    assert "act" in harness.claims(for_person(harness, client).access_token)


def test_a_record_is_checked(harness, client):
    add(harness, client)
    public = harness.add_client()
    second = harness.add_client(auth_method="client_secret_post")
    harness.change(users.disable, "dev@example.com")
    for values, kind in (
        ({}, Conflict),
        ({"slug": "Second"}, Invalid),
        ({"slug": "second", "purpose": ""}, Invalid),
        ({"slug": "second", "owner": "nobody@example.com"}, NotFound),
        ({"slug": "second", "owner": "dev@example.com"}, Invalid),
        ({"slug": "second", "servers": ["https://nobody.example"]}, NotFound),
        ({"slug": "second", "clients_": [public.client.id]}, Invalid),
        ({"slug": "second", "clients_": [client.client.id]}, Conflict),
        ({"slug": "second", "clients_": ["nobody"]}, NotFound),
        ({"slug": "second", "clients_": [], "scopes": frozenset({"a b"})}, Invalid),
        ({"slug": "second", "clients_": [], "dormant_after_days": 0}, Invalid),
        ({"slug": "second", "clients_": [], "expires_at": harness.clock()}, Invalid),
    ):
        with pytest.raises(kind):
            add(harness, second, **values)
    with pytest.raises(NotFound):
        harness.change(agents.take_client, "triage", second.client.id)
    with pytest.raises(NotFound):
        harness.change(agents.kill, "nobody")


def test_who_removes_the_client_removes_it_from_the_agent(harness, client):
    add(harness, client)
    harness.change(clients.remove, client.client.id)
    assert show(harness).clients == []


def test_a_workload_is_no_person(harness):
    """M11, WIF: whatever its rule says."""
    platform = Platform()
    platform.trust_at(harness)
    ok = ask(harness, platform.assertion(harness))
    assert ok.ok, ok.reason
    harness.change(resources.set_identity, RESOURCE, "user_required")
    refused = ask(harness, platform.assertion(harness))
    assert (refused.error, refused.reason) == ("unauthorized_client", "user_required")


def test_a_workload_may_be_an_agents(harness):
    """M6: bounded by the record and named by it, like any client of its own; and killed with it."""
    platform = Platform()
    platform.trust_at(harness)
    rs = harness.add_client(auth_method="client_secret_post", name="Operations MCP")
    harness.change(resources.set_client, RESOURCE, rs.client.id)
    line = harness.change(
        agents.add,
        slug="triage",
        purpose="Sorts incidents",
        owner="sre@example.com",
        servers=[RESOURCE],
        clients_=["cluster/router"],
        scopes=frozenset({"logs.read"}),
    )
    answer = ask(harness, platform.assertion(harness), scope="logs.read analytics.query")
    assert answer.scopes == {"logs.read"}
    claims = harness.claims(answer.access_token)
    assert line.clients == [claims["client_id"]]
    assert claims["act"] == {"sub": line.id}
    assert _is_active(harness, rs, answer.access_token)
    harness.change(agents.kill, "triage")
    assert not _is_active(harness, rs, answer.access_token)
    assert ask(harness, platform.assertion(harness)).error == "access_denied"
    for reference in ("cluster/nobody", "nobody/router", "wkl_none"):
        with pytest.raises(NotFound):
            harness.change(agents.give_client, "triage", reference)
    harness.change(agents.take_client, "triage", "cluster/router")
    assert ask(harness, platform.assertion(harness)).ok
