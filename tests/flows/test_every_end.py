"""Every way in which access ends is told in the feed, and what it says is what introspection says (E10, L8, item 5).

A way that is missing here is a token that lives on at every server that verifies offline. A new one is one more
function with `@way`; `test_nothing_else_ends_tokens` finds code that ends tokens and has none.
"""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from authz.admin import (
    agents,
    client_trust,
    clients,
    connections,
    grants,
    leaving,
    mappings,
    resources,
    roles,
    tenants,
    trust,
    users,
    workload_trust,
)
from authz.federation.security_events import RISC
from tests.support import devices, workloads
from tests.support.basic import basic
from tests.support.feed import FeedReader
from tests.support.harness import RESOURCE, Harness
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.leaving import SESSION_REVOKED, Provider
from tests.support.scim import directory

ROOT = Path(__file__).parents[2]
OTHER = "https://other.example/mcp"
WAYS: dict[str, Callable[["Scene"], str]] = {}


def way(function):
    WAYS[function.__name__] = function
    return function


@dataclass
class Scene:
    """A company's people, and tokens of others that have to stay good."""

    harness: Harness
    corp: Provider

    def employee(self, name="ada"):
        return self.corp.employee(name)

    def grant(self, name="ada", session="s1"):
        ada = self.employee(name)
        return ada, ada.grant(ada.sign_in(session))

    def change(self, operation, *arguments, **values):
        self.harness.clock.advance(seconds=1)
        return self.harness.change(operation, *arguments, **values)


# -- what clients do --------------------------------------------------------------------------------------


@way
def a_client_gives_an_access_token_back(scene):
    _, grant = scene.grant()
    fields = {"token": grant.access_token, "client_id": scene.harness.client_id}
    assert scene.harness.post("/revoke", fields).status == 200
    return grant.access_token


@way
def a_client_gives_a_refresh_token_back(scene):
    _, grant = scene.grant()
    fields = {"token": grant.refresh_token, "client_id": scene.harness.client_id}
    assert scene.harness.post("/revoke", fields).status == 200
    return grant.access_token


@way
def a_refresh_token_comes_twice(scene):
    _, grant = scene.grant()
    first = grant.refresh()
    assert first.ok
    assert scene.harness.refresh(first.refresh_token).ok
    scene.harness.clock.advance(minutes=2)
    assert grant.refresh().reason == "refresh_reused"
    return first.access_token


@way
def a_code_comes_twice(scene):
    code = scene.harness.code()
    answer = scene.harness.redeem(code)
    assert scene.harness.redeem(code).reason == "code_spent"
    return answer.access_token


@way
def a_device_code_comes_twice(scene):
    device = devices.ask(scene.harness)
    assert devices.allow(device).status == 200
    scene.harness.clock.advance(seconds=10)
    answer = device.poll()
    assert device.poll().reason == "device_code_spent"
    return answer.access_token


def _agents_token(scene, **values):
    made = scene.harness.add_client(auth_method="client_secret_post")
    scene.change(
        agents.add,
        slug="triage",
        purpose="Sorts",
        owner="dev@example.com",
        servers=[RESOURCE],
        clients_=[made.client.id],
        **values,
    )
    code = scene.harness.code(client_id=made.client.id)
    answer = scene.harness.redeem(code, client_id=made.client.id, client_secret=made.secret)
    return made, answer.access_token


@way
def an_operator_kills_an_agent(scene):
    _, token = _agents_token(scene)
    scene.change(agents.kill, "triage")
    return token


@way
def an_agent_falls_asleep(scene):
    _, token = _agents_token(scene)
    scene.change(users.disable, "dev@example.com")
    scene.change(agents.put_to_sleep)
    return token


@way
def an_agent_loses_a_client(scene):
    made, token = _agents_token(scene)
    scene.change(agents.take_client, "triage", made.client.id)
    return token


# -- people leave -----------------------------------------------------------------------------------------


@way
def an_operator_ends_the_access_of_a_person(scene):
    ada, grant = scene.grant()
    scene.change(leaving.end_access, ada.email)
    return grant.access_token


@way
def an_operator_disables_a_person(scene):
    ada, grant = scene.grant()
    scene.change(users.disable, ada.email)
    return grant.access_token


@way
def a_directory_deactivates_a_person(scene):
    ada, grant = scene.grant()
    scim = directory(scene.harness)
    scene.harness.clock.advance(seconds=1)
    operations = [{"op": "replace", "value": {"active": False}}]
    assert scim.patch(f"Users/{ada.user_id}", *operations).status == 200
    return grant.access_token


@way
def a_directory_deletes_a_person(scene):
    ada, grant = scene.grant()
    scim = directory(scene.harness)
    scene.harness.clock.advance(seconds=1)
    assert scim.ask("DELETE", f"Users/{ada.user_id}").status == 204
    return grant.access_token


@way
def a_provider_ends_one_session(scene):
    _, grant = scene.grant()
    scene.harness.clock.advance(seconds=1)
    assert scene.corp.log_out(sid="s1").status == 200
    return grant.access_token


@way
def a_provider_logs_a_person_out(scene):
    ada, grant = scene.grant()
    scene.harness.clock.advance(seconds=1)
    assert scene.corp.log_out(sub=ada.subject).status == 200
    return grant.access_token


@way
def a_transmitter_revokes_a_session(scene):
    scene.corp.add_stream()
    ada, grant = scene.grant()
    scene.harness.clock.advance(seconds=1)
    assert scene.corp.tell(SESSION_REVOKED, ada).status == 202
    return grant.access_token


@way
def a_transmitter_closes_an_account(scene):
    scene.corp.add_stream()
    ada, grant = scene.grant()
    scene.harness.clock.advance(seconds=1)
    assert scene.corp.tell(f"{RISC}account-disabled", ada).status == 202
    return grant.access_token


@way
def a_person_leaves_who_was_only_asserted(scene):
    """No session, no code, no refresh token."""
    harness, idp = scene.harness, AssertingIdp()
    idp.trust_at(harness, "asserting")
    harness.change(
        mappings.add, connection="asserting", claim="groups", value="dev", role="developer"
    )
    agent = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    answer = present(harness, agent, idp.assertion(harness, agent.client.id, groups=["dev"]))
    assert answer.ok, answer.reason
    user_id = harness.claims(answer.access_token)["sub"]
    scene.change(leaving.end_access, user_id)
    return answer.access_token


@way
def an_administrator_ends_one_grant(scene):
    _, grant = scene.grant()
    scene.change(grants.end, scene.harness.claims(grant.access_token)["grant_id"])
    return grant.access_token


# -- something is switched off ----------------------------------------------------------------------------


@way
def a_client_is_blocked(scene):
    made = scene.harness.add_client()
    answer = scene.harness.redeem(
        scene.harness.code(client_id=made.client.id), client_id=made.client.id
    )
    scene.change(clients.block, made.client.id)
    return answer.access_token


@way
def a_client_is_removed(scene):
    made = scene.harness.add_client()
    answer = scene.harness.redeem(
        scene.harness.code(client_id=made.client.id), client_id=made.client.id
    )
    scene.change(clients.remove, made.client.id)
    return answer.access_token


def _own_token(harness):
    made = harness.add_client(
        auth_method="client_secret_basic", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(roles.bind, role="developer", kind="client", holder=made.client.id)
    fields = {"grant_type": "client_credentials", "resource": RESOURCE}
    answer = harness.token(fields, **basic(made))
    assert answer.ok, answer.reason
    return made.client.id, answer.access_token


@way
def a_client_is_blocked_that_acts_for_itself(scene):
    client_id, token = _own_token(scene.harness)
    scene.change(clients.block, client_id)
    return token


@way
def a_client_is_switched_off_and_on(scene):
    """What ended stays ended, whoever is asked."""
    client_id, token = _own_token(scene.harness)
    scene.change(clients.block, client_id)
    scene.change(clients.unblock, client_id)
    return token


def _documented(harness):
    client_id = harness.serve_document()
    return client_id, harness.tokens(client_id=client_id).access_token


@way
def a_metadata_document_is_denied(scene):
    client_id, token = _documented(scene.harness)
    scene.change(client_trust.set_rule, pattern=client_id, verdict="deny")
    return token


@way
def a_metadata_document_is_no_longer_listed(scene):
    harness = scene.harness
    harness.set_trust("allow_list")
    harness.change(client_trust.set_rule, pattern=harness.host, verdict="allow")
    _, token = _documented(harness)
    scene.change(client_trust.remove_rule, harness.host)
    return token


@way
def a_tenant_admits_listed_documents_only(scene):
    _, token = _documented(scene.harness)
    scene.harness.set_trust("allow_list")
    return token


@way
def a_connection_is_switched_off(scene):
    _, grant = scene.grant()
    scene.change(connections.set_status, "corp", "disabled")
    return grant.access_token


@way
def a_connection_is_switched_off_and_on(scene):
    _, grant = scene.grant()
    scene.change(connections.set_status, "corp", "disabled")
    scene.change(connections.set_status, "corp", "active")
    return grant.access_token


@way
def a_connection_is_removed(scene):
    _, grant = scene.grant()
    scene.change(connections.remove, "corp")
    return grant.access_token


@way
def a_server_is_switched_off(scene):
    _, grant = scene.grant()
    scene.change(resources.set_status, RESOURCE, "disabled")
    return grant.access_token


def _workload(scene):
    platform = workloads.Platform()
    platform.trust_at(scene.harness)
    answer = workloads.ask(scene.harness, platform.assertion(scene.harness))
    assert answer.ok, answer.reason
    return answer.access_token


@way
def a_rule_for_a_workload_is_taken_away(scene):
    token = _workload(scene)
    scene.change(workload_trust.disallow, "cluster", "router")
    return token


@way
def a_rule_for_a_workload_loses_a_server(scene):
    token = _workload(scene)
    rule = {**workloads.RULE, "resources": [OTHER]}
    scene.change(workload_trust.allow, "cluster", rule)
    return token


@way
def an_issuer_of_workloads_is_switched_off(scene):
    token = _workload(scene)
    scene.change(trust.set_status, "cluster", "disabled")
    return token


@way
def an_issuer_of_workloads_is_forgotten(scene):
    token = _workload(scene)
    scene.change(trust.remove, "cluster")
    return token


# -- the test ---------------------------------------------------------------------------------------------


@pytest.fixture
def scene(harness):
    return Scene(harness, Provider(harness, "corp"))


def introspected(harness, reader, token):
    answer = harness.post("/introspect", {"token": token}, Authorization=reader.authorization)
    return answer.json["active"]


@pytest.mark.parametrize("name", WAYS)
def test_what_ended_is_told(harness, scene, name):
    """Neither less nor more than introspection says: what stayed good is not told as dead."""
    reader = FeedReader(harness)
    harness.add_resource(OTHER)
    elsewhere = FeedReader(harness, OTHER)
    kept = harness.redeem(harness.code("sre")).access_token
    ended = WAYS[name](scene)
    reader.read_on()
    assert introspected(harness, reader, ended) is False
    assert not reader.accepts(ended)
    assert reader.accepts(kept) == introspected(harness, reader, kept)
    if name != "a_server_is_switched_off":
        assert reader.accepts(kept)
    # The other server has met none of these tokens, and is told of no grant, token or person.
    assert {key for entry in elsewhere.read_on() for key in entry} <= {
        "n",
        "exp",
        "claim",
        "sha256",
        "before_version",
    }


def test_a_whole_tenant_is_switched_off(harness):
    """Whoever was waiting is told; who asks then is turned away, and after a while its news are old."""
    reader = FeedReader(harness)
    token = harness.redeem(harness.code()).access_token
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.read, reader.upto, 20)
        threading.Event().wait(0.5)
        with harness.server.database.write() as tx:
            tenants.set_status(tx, harness.server.operator(), slug=harness.slug, status="disabled")
        [entry] = waiting.result(15)["entries"]
    assert entry["claim"] == "tenant"
    assert reader.ask(after=reader.upto).status in (401, 404)
    with harness.server.database.write() as tx:
        tenants.set_status(tx, harness.server.operator(), slug=harness.slug, status="active")
    reader.read_on()
    assert not reader.accepts(token)
    assert introspected(harness, reader, token) is False
    assert reader.accepts(harness.redeem(harness.code()).access_token)


def test_what_is_granted_after_a_switch_is_good(harness):
    """Told by the version it was decided under, not by the time: the clock does not move here."""
    made = harness.add_client()
    reader = FeedReader(harness)

    def token():
        code = harness.code(client_id=made.client.id)
        return harness.redeem(code, client_id=made.client.id).access_token

    before = token()
    harness.change(clients.block, made.client.id)
    harness.change(clients.unblock, made.client.id)
    after = token()
    reader.read_on()
    assert (reader.accepts(before), reader.accepts(after)) == (False, True)


_ENDS = re.compile(
    r"revoked_at=|\.revoked_at = |\.revoked_at, |status(?:, row\.updated_at)? = |cut_at="
)
"""How code spells that something is over."""
_KNOWN = {
    "admin/agents.py",
    "admin/clients.py",  # block, unblock, approve
    "admin/connections.py",
    "admin/grants.py",
    "admin/leaving.py",
    "admin/registration.py",  # an approval ends with the metadata it was given to
    "admin/resources.py",
    "admin/revocation.py",
    "admin/tenants.py",
    "admin/users.py",
    "directory/leaving.py",
    "oauth/consents.py",  # tokens live on, refreshes fail
    "oauth/grants/refresh_token.py",
    "oauth/grants/shared.py",
    "oauth/revocation.py",
    "revocations/entries.py",
    "scim/users.py",
    "federation/receiving.py",
    "oauth/rows/ends.py",  # says so
    "admin/own.py",  # a consent; the grants by `admin/grants.py`
    # of other things than access, or only read:
    "admin/changes.py",  # of a change of policy
    "admin/code/connections.py",  # by `admin/connections.py`
    "admin/person.py",
    "admin/explain.py",
    "oauth/issuing.py",  # a token's place in a status list
    "oauth/rows/tokens.py",
    "oauth/transmitting/pushing.py",  # of a stream
    "oauth/transmitting/requests.py",
    "oauth/transmitting/streams.py",  # of a stream
    "scim/calls.py",  # whether a token of provisioning ended
    "scim/errors.py",
    "admin/client_trust.py",  # requests of people
    "admin/initial_tokens.py",
    "admin/scim_tokens.py",
    "admin/signal_streams.py",
    "admin/targets.py",  # assertions for others, which live on for their minutes
    "admin/trust.py",  # of workloads; what was redeemed for people lives on for its minutes
}


def test_nothing_else_ends_tokens():
    """Whoever writes an end of access comes by here: does the feed tell it, and is there a way for it above?"""
    found = set()
    for layer in ("admin", "directory", "federation", "oauth", "revocations", "scim"):
        for path in sorted((ROOT / "authz" / layer).rglob("*.py")):
            if _ENDS.search(path.read_text(encoding="utf-8")):
                found.add(str(path.relative_to(ROOT / "authz")))
    assert found <= _KNOWN, found - _KNOWN
