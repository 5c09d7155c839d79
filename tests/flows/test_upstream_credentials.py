"""Credentials of the systems behind MCP servers (V4, V7): to whom they are released, and for which tokens."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from authz.admin import agents, clients, credentials, resources, roles, scopes, users
from authz.admin.scopes import ScopeChange
from authz.installation.bundle import Installation, gather, pack
from authz.oauth.upstream_secrets import MOST_AT_ONCE
from authz.policy.requirements import Requirement
from tests.attacks.test_canaries import dump, export, forms
from tests.support import workloads
from tests.support.databases import migrated_url
from tests.support.dpop_keys import DpopKey
from tests.support.exchanges import ACCESS_TOKEN, TICKETS, TOKEN_EXCHANGE, Chain
from tests.support.harness import LOG, RESOURCE, running
from tests.support.machines import by_itself
from tests.support.releases import UPSTREAM, bind, release, secret_file
from tests.support.secret_stores import StoreServer

VALUE = "ghp_canary-of-the-saas/77c1"
NEXT = "ghp_canary-of-the-saas/78d2"
OF_TICKETS = "jira_canary-of-tickets/1b3d"
PUBLIC = "the subject token is not acceptable"
NO_SUCH = "no credential of this name is kept for this MCP server"


@pytest.fixture(scope="module")
def store():
    with closing(StoreServer()) as made:
        made.tokens = {"hvs.token"}
        yield made


@pytest.fixture(scope="module")
def server(store, engine, worker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("credentials")
    (folder / "token").write_text("hvs.token")
    sections = {"vault": {"address": store.base, "token": f"file:{folder}/token"}}
    with (
        migrated_url(engine, folder, f"authz_credentials_{worker}") as url,
        running(folder, url, sections=sections) as made,
    ):
        yield made


@pytest.fixture
def chain(harness):
    return Chain(harness)


@pytest.fixture
def bound(chain, tmp_path):
    """The operations server has its key of a SaaS for whoever may read logs, and the ticket server one of its own."""
    bind(chain, secret_file(tmp_path, VALUE), "logs.read")
    bind(chain, secret_file(tmp_path, OF_TICKETS, "jira"), server=TICKETS, name="jira")
    return chain


def refused(harness, answer):
    """The error, the private reason, and what the trail says of it."""
    [event] = harness.events("token.refused")[-1:]
    assert "access_token" not in answer.json
    assert event["detail"]["reason"] == answer.reason
    assert event["detail"]["error"] == answer.error
    assert harness.events("credential.released") == []
    return answer.error, answer.reason


def of_tickets(harness, chain):
    """A person's token for the ticket server."""
    tickets = harness.ask(resources.load, TICKETS)
    code = harness.code(resource_id=tickets.id, scopes=["tickets.read"], requested=["tickets.read"])
    return harness.redeem(code).access_token


# -- who gets it ----------------------------------------------------------------------------------------------


def test_a_server_gets_its_own_credential(harness, chain, tmp_path):
    """V4, RFC 8693 §2.2.1: the value, that it is no token of ours, and nothing that would be a guess."""
    bind(chain, secret_file(tmp_path, VALUE), "logs.read")
    token = chain.first().access_token
    answer = release(chain, chain.ops, token)
    assert answer.ok, answer.reason
    assert answer.json == {
        "access_token": VALUE,
        "issued_token_type": UPSTREAM,
        "token_type": "N_A",
    }
    assert answer.response.headers["cache-control"] == "no-store"
    claims = harness.claims(token)
    [event] = harness.events("credential.released")
    detail = event["detail"]
    assert (event["subject"], event["client"], event["agent"]) == (
        harness.users["dev"],
        chain.ops.client.id,
        None,
    )
    assert detail.pop("version")
    assert detail.pop("policy_version") > 1
    assert detail == {
        "resource": RESOURCE,
        "name": "github",
        "reference": f"file:{tmp_path / 'github'}",
        "jti": claims["jti"],
        "grant_id": claims["grant_id"],
        "holder": harness.client_id,
        "actors": [],
        "scopes": ["logs.read"],
    }


def test_the_credential_of_another_server_is_refused_and_audited(harness, bound):
    """V4: A's client, with a token for A, asks for what B has; it is told as little as of one that does not exist."""
    token = bound.first().access_token
    other = release(bound, bound.ops, token, "jira")
    assert refused(harness, other) == ("invalid_target", "credential_of_other")
    [event] = harness.events("token.refused")
    assert (event["subject"], event["client"]) == (harness.users["dev"], bound.ops.client.id)
    assert event["detail"]["credential"] == "jira"
    nothing = release(bound, bound.ops, token, "nobodys")
    assert refused(harness, nothing) == ("invalid_target", "credential_unknown")
    assert nothing.json == other.json
    assert other.json["error_description"] == NO_SUCH
    # What a stranger writes is not written down.
    assert harness.events("token.refused")[-1]["detail"]["credential"] is None


def test_two_servers_may_call_two_secrets_alike(harness, bound, tmp_path):
    bind(bound, secret_file(tmp_path, NEXT, "other"), server=TICKETS)
    assert release(bound, bound.ops, bound.first().access_token).access_token == VALUE
    theirs = release(bound, bound.tickets, of_tickets(harness, bound))
    assert theirs.access_token == NEXT


def test_a_token_of_another_server_is_no_way_to_it(harness, bound):
    """V4, ATK-37: A's client with a token for B, whichever credential it names."""
    token = of_tickets(harness, bound)
    for name in ("jira", "github", "nobodys"):
        answer = release(bound, bound.ops, token, name)
        assert refused(harness, answer) == ("invalid_request", "subject_token_of_other")
        assert answer.json["error_description"] == PUBLIC
        assert answer.json == release(bound, bound.ops, "at.of.nobody", name).json


def test_whoever_holds_the_token_does_not_get_what_is_behind_the_server(harness, bound):
    """V4: the person's client may call the server, and no more; not even where it may exchange tokens."""
    made = bound.add_server(
        None,
        grant_types=("authorization_code", TOKEN_EXCHANGE),
        redirect_uris=("https://client.example/callback",),
    )
    code = harness.code(client_id=made.client.id, scopes=["logs.read"], requested=["logs.read"])
    own = harness.redeem(code, client_id=made.client.id, client_secret=made.secret).access_token
    answer = release(bound, made, own)
    assert refused(harness, answer) == ("invalid_request", "subject_token_of_other")
    assert release(bound, bound.ops, own).ok


def test_the_client_of_two_servers_needs_a_token_of_each(harness, bound):
    """V4: what is released is bound to the server that the token is for."""
    harness.change(resources.set_client, TICKETS, bound.ops.client.id)
    token = bound.first().access_token
    assert refused(harness, release(bound, bound.ops, token, "jira"))[1] == "credential_of_other"
    assert release(bound, bound.ops, of_tickets(harness, bound), "jira").access_token == OF_TICKETS


def test_a_public_client_gets_nothing(harness, bound):
    public = harness.add_client(grant_types=("authorization_code", TOKEN_EXCHANGE))
    answer = harness.token(
        {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": public.client.id,
            "subject_token": bound.first().access_token,
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": UPSTREAM,
            "audience": "github",
        }
    )
    assert (answer.error, answer.reason) == ("unauthorized_client", "client_is_public")


def test_another_tenants_names_and_tokens_are_nobodys(harness, other_harness, bound):
    """M1."""
    theirs = Chain(other_harness)
    token = bound.first().access_token
    answer = release(theirs, theirs.ops, token)
    assert (answer.error, answer.reason) == ("invalid_request", "subject_token_unknown")
    answer = release(theirs, theirs.ops, theirs.first().access_token)
    assert (answer.error, answer.reason) == ("invalid_target", "credential_unknown")


def test_who_may_exchange_the_token_is_said_in_it(harness, bound):
    """RFC 8693 §4.4: one party is named; with a rule for another client there are two, and none is."""
    token = bound.first().access_token
    assert harness.claims(token)["may_act"] == {"sub": bound.ops.client.id}
    another = bound.add_server(None)
    bound.allow(another, RESOURCE, TICKETS, tickets_read=["logs.read"])
    assert "may_act" not in harness.claims(bound.first().access_token)
    # A token that names somebody does so whoever is the server's client by now.
    harness.change(resources.set_client, RESOURCE, another.client.id)
    answer = release(bound, another, token)
    assert refused(harness, answer) == ("invalid_request", "may_act_other")
    assert release(bound, another, bound.first().access_token).ok


@pytest.mark.parametrize(
    "fields",
    [{"resource": RESOURCE}, {"scope": "logs.read"}, {"authorization_details": "[]"}],
    ids=lambda it: next(iter(it)),
)
def test_what_is_about_tokens_does_not_go_with_it(harness, bound, fields):
    answer = release(bound, bound.ops, bound.first().access_token, **fields)
    assert refused(harness, answer) == ("invalid_request", "credential_parameter")


def test_a_name_and_the_right_kind_of_token_are_needed(harness, bound):
    first = bound.first(offline_access=True)
    nameless = release(bound, bound.ops, first.access_token, None)
    assert refused(harness, nameless) == ("invalid_request", "audience_missing")
    refresh = release(
        bound,
        bound.ops,
        first.refresh_token,
        subject_token_type="urn:ietf:params:oauth:token-type:refresh_token",
    )
    assert refresh.reason == "subject_token_type_unsupported"


# -- for which tokens -----------------------------------------------------------------------------------------


def test_what_ended_leads_to_nothing(harness, bound):
    """Expired, given back, its grant ended, its person, client or server switched off."""

    def dead(token):
        answer = release(bound, bound.ops, token)
        assert refused(harness, answer) == ("invalid_request", "subject_token_dead")
        assert answer.json["error_description"] == PUBLIC

    expired = bound.first()
    harness.clock.advance(hours=2)
    dead(expired.access_token)
    returned = bound.first()
    harness.post("/revoke", {"client_id": harness.client_id, "token": returned.access_token})
    dead(returned.access_token)
    ended = bound.first(offline_access=True)
    harness.post("/revoke", {"client_id": harness.client_id, "token": ended.refresh_token})
    dead(ended.access_token)
    off = bound.first()
    harness.change(resources.set_status, RESOURCE, "disabled")
    dead(off.access_token)
    harness.change(resources.set_status, RESOURCE, "active")
    blocked = bound.first()
    harness.change(clients.block, harness.client_id)
    dead(blocked.access_token)
    harness.change(clients.unblock, harness.client_id)
    gone = bound.first()
    harness.change(users.disable, "dev@example.com")
    dead(gone.access_token)


def test_whoever_lost_the_role_takes_nothing_out_of_a_good_token(harness, bound):
    """Policy as of now: the token lives, and still opens the tools it names; what is behind them it opens no more."""
    token = bound.first().access_token
    assert release(bound, bound.ops, token).ok
    harness.import_roles("roles: {developer: [analytics.query]}")
    answer = release(bound, bound.ops, token)
    assert (answer.error, answer.reason) == ("access_denied", "credential_scope_lost")
    assert harness.events("token.refused")[-1]["detail"]["reason"] == "credential_scope_lost"
    assert len(harness.events("credential.released")) == 1


def test_a_lower_bound_of_the_client_that_holds_the_token_counts(harness, bound):
    """As of now too: the bound is the person's client's, not the server's."""
    token = bound.first().access_token
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"analytics.query"}))
    answer = release(bound, bound.ops, token)
    assert refused(harness, answer) == ("access_denied", "credential_scope_lost")


def test_the_token_holds_all_that_the_credential_takes(harness, chain, tmp_path):
    bind(chain, secret_file(tmp_path, VALUE), "logs.read", "analytics.query")
    narrow = chain.first().access_token
    answer = release(chain, chain.ops, narrow)
    assert refused(harness, answer) == ("invalid_scope", "credential_scope_missing")
    both = ["logs.read", "analytics.query"]
    assert release(chain, chain.ops, chain.first(scopes=both, requested=both).access_token).ok


def test_without_scopes_any_token_for_the_server_will_do_that_still_holds_something(
    harness, chain, tmp_path
):
    bind(chain, secret_file(tmp_path, VALUE))
    token = chain.first().access_token
    assert release(chain, chain.ops, token).ok
    harness.import_roles("roles: {developer: [analytics.query]}")
    answer = release(chain, chain.ops, token)
    assert (answer.error, answer.reason) == ("access_denied", "credential_scope_lost")


@pytest.mark.parametrize("needed", [("logs.read",), ()])
def test_a_limited_scope_does_not_count(harness, chain, tmp_path, needed):
    """RFC 9396: with the key of the system behind, there is no call that the limit would stop."""
    harness.change(
        scopes.edit_scope, harness.resource.id, "logs.read", ScopeChange(tools=("search_logs",))
    )
    bind(chain, secret_file(tmp_path, VALUE), *needed)
    details = [
        {
            "type": "mcp_tool",
            "locations": [RESOURCE],
            "tool": "search_logs",
            "arguments": {"service": ["payments"]},
        }
    ]
    limited = chain.first(authorization_details=details).access_token
    answer = release(chain, chain.ops, limited)
    assert refused(harness, answer) == ("invalid_scope", "credential_scope_limited")
    assert release(chain, chain.ops, chain.first().access_token).ok


def test_a_sign_in_that_is_too_old_by_now_is_told_as_one(harness, bound):
    """Somebody who signs in again gets it: the server can ask for that (RFC 9470)."""
    token = bound.first().access_token
    harness.clock.advance(minutes=5)
    required = ScopeChange(requires=Requirement(max_age=60))
    harness.change(scopes.edit_scope, harness.resource.id, "logs.read", required)
    answer = release(bound, bound.ops, token)
    assert refused(harness, answer) == ("insufficient_user_authentication", "sign_in_insufficient")


def test_a_bound_token_needs_no_proof_of_the_server(harness, bound):
    """The server has checked the proof, and has not got the key."""
    key = DpopKey()
    made = harness.add_client(auth_method="client_secret_post")
    code = harness.code(client_id=made.client.id, scopes=["logs.read"], requested=["logs.read"])
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    token = harness.token(
        {
            "grant_type": "authorization_code",
            "client_id": made.client.id,
            "client_secret": made.secret,
            "code": code,
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        DPoP=proof,
    ).access_token
    assert harness.claims(token)["cnf"] == {"jkt": key.jkt}
    assert release(bound, bound.ops, token).access_token == VALUE


def test_a_token_that_came_by_exchange_names_its_actors(harness, bound):
    """S16: the trail says who acted, an agent first."""
    made = harness.add_client(auth_method="client_secret_post")
    agent = harness.change(
        agents.add,
        slug="triage",
        purpose="Sorts incidents",
        owner="sre@example.com",
        servers=[RESOURCE, TICKETS],
        clients_=[made.client.id],
    )
    bound.allow(bound.ops, RESOURCE, TICKETS, tickets_read=["logs.read"])
    code = harness.code(client_id=made.client.id, scopes=["logs.read"], requested=["logs.read"])
    first = harness.redeem(code, client_id=made.client.id, client_secret=made.secret)
    assert release(bound, bound.ops, first.access_token).ok
    second = bound.exchange(bound.ops, first.access_token, TICKETS)
    assert release(bound, bound.tickets, second.access_token, "jira").access_token == OF_TICKETS
    here, there = harness.events("credential.released")
    assert here["detail"]["actors"] == [agent.id]
    assert there["detail"]["actors"] == [bound.ops.client.id, agent.id]
    assert here["detail"]["grant_id"] == there["detail"]["grant_id"]
    harness.change(agents.kill, "triage")
    answer = release(bound, bound.tickets, second.access_token, "jira")
    assert (answer.error, answer.reason) == ("invalid_request", "subject_token_dead")


# -- without a person -----------------------------------------------------------------------------------------


def test_a_client_that_acts_for_itself_calls_a_server_that_gets_its_credential(harness, bound):
    made, own = by_itself(harness, scope="logs.read")
    token = own.access_token
    assert release(bound, bound.ops, token).access_token == VALUE
    [event] = harness.events("credential.released")
    assert (event["subject"], event["detail"]["holder"]) == (made.client.id, made.client.id)
    harness.change(roles.unbind, role="sre", kind="client", holder=made.client.id)
    answer = release(bound, bound.ops, token)
    assert (answer.error, answer.reason) == ("access_denied", "credential_scope_lost")
    assert harness.events("token.refused")[-1]["subject"] == made.client.id


def test_a_server_that_wants_people_gets_nothing_for_a_program(harness, bound):
    """M11, as of now."""
    _, own = by_itself(harness, scope="logs.read")
    harness.change(resources.set_identity, RESOURCE, "user_required")
    answer = release(bound, bound.ops, own.access_token)
    assert refused(harness, answer) == ("unauthorized_client", "user_required")


def test_a_workload_calls_a_server_that_gets_its_credential(harness, bound):
    """WIF-02: it has what its rule gives, now."""
    platform = workloads.Platform()
    platform.trust_at(harness)
    own = workloads.ask(harness, platform.assertion(harness), scope="logs.read")
    assert own.ok, own.reason
    assert release(bound, bound.ops, own.access_token).access_token == VALUE
    harness.import_roles("roles: {developer: [analytics.query]}")
    answer = release(bound, bound.ops, own.access_token)
    assert (answer.error, answer.reason) == ("access_denied", "credential_scope_lost")


# -- the value ------------------------------------------------------------------------------------------------


def test_a_rotated_secret_is_the_one_that_is_sent(harness, bound, tmp_path):
    """V5: no restart, no change here."""
    token = bound.first().access_token
    assert release(bound, bound.ops, token).access_token == VALUE
    secret_file(tmp_path, NEXT)
    assert release(bound, bound.ops, token).access_token == NEXT


def test_a_store_that_does_not_answer_is_a_503_and_nothing_is_released(harness, chain, store):
    name = f"upstream-{harness.slug}"
    store.put(name, {"value": VALUE})
    bind(chain, f"vault:{name}")
    token = chain.first().access_token
    store.status = 503
    try:
        answer = release(chain, chain.ops, token)
    finally:
        store.status = None
    assert (answer.status, answer.error) == (503, "temporarily_unavailable")
    assert answer.reason == "secret_store_unavailable"
    assert answer.response.headers["retry-after"] == "10"
    assert harness.events("credential.released") == []
    harness.clock.advance(seconds=11)
    assert release(chain, chain.ops, token).access_token == VALUE
    [event] = harness.events("credential.released")
    assert event["detail"]["version"] == "1"


def test_a_store_that_hangs_holds_up_those_who_ask_it_and_nobody_else(harness, chain, store):
    """More ask than have a turn; whoever wants a token gets it meanwhile, and they get theirs when it answers."""
    name = f"hanging-{harness.slug}"
    store.put(name, {"value": VALUE})
    bind(chain, f"vault:{name}")
    token = chain.first().access_token
    many = MOST_AT_ONCE + 4
    store.answering.clear()
    try:
        with ThreadPoolExecutor(many) as pool:
            waiting = [pool.submit(release, chain, chain.ops, token) for _ in range(many)]
            assert chain.first().ok
            assert not any(it.done() for it in waiting)
            store.answering.set()
            answers = [it.result(10) for it in waiting]
    finally:
        store.answering.set()
    assert [it.json.get("access_token") for it in answers] == [VALUE] * many
    assert len(harness.events("credential.released")) == many


def test_no_store_is_asked_for_whoever_may_not_have_the_answer(harness, chain, store):
    """A stranger with a token makes us ask nobody."""
    name = f"unasked-{harness.slug}"
    store.put(name, {"value": VALUE})
    bind(chain, f"vault:{name}", "incidents.trigger")
    before = len(store.asked)
    answer = release(chain, chain.ops, chain.first().access_token)
    assert refused(harness, answer) == ("invalid_scope", "credential_scope_missing")
    assert refused(harness, release(chain, chain.tickets, chain.first().access_token))
    assert len(store.asked) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "credential_not_text"),
        (b"two\nlines", "credential_not_text"),
        (b"nul\x00", "credential_not_text"),
        (b"", "credential_missing"),
        (None, "credential_missing"),
    ],
)
def test_what_no_answer_can_carry_is_an_error_that_names_the_reference(
    harness, chain, tmp_path, content, reason
):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    bind(chain, f"file:{path}")
    mark = len(LOG.events)
    answer = release(chain, chain.ops, chain.first().access_token)
    assert (answer.status, answer.error, answer.reason) == (500, "server_error", reason)
    [line] = [it for it in LOG.events[mark:] if it["event"] == "credential.not_read"]
    assert line["reference"] == f"file:{path}"
    assert "two" not in json.dumps(line["because"])
    assert harness.events("credential.released") == []


def test_what_was_taken_away_is_released_no_more(harness, bound):
    token = bound.first().access_token
    assert release(bound, bound.ops, token).ok
    harness.change(credentials.remove, RESOURCE, "github")
    answer = release(bound, bound.ops, token)
    assert (answer.error, answer.reason) == ("invalid_target", "credential_unknown")


def test_the_value_is_nowhere_but_in_the_answer(harness, chain, server, store):
    """V4, V7: not in the log, the trail, a row, an object's name, the configuration or a support bundle."""
    name = f"canary-{harness.slug}"
    secret = f"canary-of-{harness.slug}/c0ffee"
    store.put(name, {"value": secret})
    bind(chain, f"vault:{name}")
    mark = len(LOG.events)
    token = chain.first().access_token
    assert release(chain, chain.ops, token).access_token == secret
    assert not release(chain, chain.tickets, token).ok
    configuration = server.services.configurations.find_by_id(harness.tenant_id)
    documents = gather(Installation(server.settings, server.services, "", harness.clock(), {}))
    with zipfile.ZipFile(io.BytesIO(pack(documents))) as file:
        bundle = "\n".join(file.read(it).decode() for it in file.namelist())
    places = {
        "log": "\n".join(map(repr, LOG.events[mark:])),
        "metrics": harness.http.get(f"{server.base}/metrics").text,
        "database": "\n".join(dump(server.database)),
        "objects": repr(server.services) + repr(server.edge),
        "configuration": repr(configuration) + repr(vars(configuration)),
        "export of the trail": export(server, harness.tenant_id),
        "support bundle": bundle,
        "list": repr(harness.ask(credentials.list_)),
    }
    assert f"vault:{name}" in places["database"]
    assert f"vault:{name}" in places["export of the trail"]
    found = [where for where, said in places.items() if any(it in said for it in forms(secret))]
    assert found == []
