"""A client acting on its own behalf (RFC 6749 §4.4): roles bound to it, and nothing else, say what it gets."""

import pytest

from authz.admin import clients, resources, roles
from tests.support.basic import basic
from tests.support.client_keys import ClientKey
from tests.support.harness import RESOURCE

GRANT = ("client_credentials",)


@pytest.fixture
def robot(harness):
    """A confidential client with the role of a developer."""
    made = harness.add_client(
        auth_method="client_secret_basic", grant_types=GRANT, redirect_uris=()
    )
    harness.change(roles.bind, role="developer", kind="client", holder=made.client.id)
    return made


def ask(harness, made, **fields):
    pairs = {"grant_type": "client_credentials", "resource": RESOURCE, **fields}
    return harness.token({n: v for n, v in pairs.items() if v is not None}, **basic(made))


def test_the_token_is_the_clients_own(harness, robot):
    """MCP-AS-75, CC-06, O21-29, ATJ-02: its own subject, one audience, no refresh token."""
    answer = ask(harness, robot, scope="logs.read analytics.query")
    assert answer.ok, answer.reason
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert "refresh_token" not in answer.json
    claims = harness.claims(answer.access_token)
    assert claims["sub"] == claims["client_id"] == robot.client.id
    assert claims["aud"] == RESOURCE
    assert "auth_time" not in claims
    [event] = harness.events("token.issued")
    assert (event["subject"], event["client"]) == (robot.client.id, robot.client.id)
    assert event["detail"]["jti"] == claims["jti"]


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, {"logs.read"}),
        ("incidents.trigger logs.read", {"logs.read"}),
        ("logs.read offline_access", {"logs.read"}),
    ],
)
def test_policy_says_what_is_left(harness, robot, scope, granted):
    """O21-32, ATK-55: the server's default scopes, as far as the role goes; never everything."""
    assert ask(harness, robot, scope=scope).scopes == granted


def test_without_a_role_there_is_nothing(harness):
    """Deny by default: registration and a ceiling give no right."""
    made = harness.add_client(
        auth_method="client_secret_basic",
        grant_types=GRANT,
        redirect_uris=(),
        scope_ceiling=frozenset({"logs.read"}),
    )
    answer = ask(harness, made)
    assert (answer.status, answer.error, answer.reason) == (400, "access_denied", "nothing_granted")


def test_a_taken_role_counts_at_once(harness, robot):
    assert ask(harness, robot).ok
    harness.change(roles.unbind, role="developer", kind="client", holder=robot.client.id)
    assert ask(harness, robot).reason == "nothing_granted"


def test_a_role_ends_by_the_clock(harness, robot):
    from datetime import timedelta

    until = harness.clock() + timedelta(minutes=5)
    harness.change(roles.bind, role="developer", kind="client", holder=robot.client.id, until=until)
    assert ask(harness, robot).ok
    harness.clock.advance(minutes=5)
    answer = ask(harness, robot)
    assert answer.reason == "nothing_granted"


def test_the_ceiling_of_the_client_bounds_it(harness, robot):
    harness.change(clients.set_ceiling, robot.client.id, frozenset({"logs.read"}))
    assert ask(harness, robot, scope="logs.read analytics.query").scopes == {"logs.read"}


def test_a_blocked_client_gets_nothing(harness, robot):
    harness.change(clients.block, robot.client.id)
    assert (ask(harness, robot).error, ask(harness, robot).status) == ("invalid_client", 401)


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"resource": "https://other.example/"}, "invalid_target", "resource_unknown"),
        ({"resource": "not a url"}, "invalid_target", "resource_malformed"),
        ({"scope": "nonsense.scope"}, "invalid_scope", "scope_unknown"),
        ({"scope": "a  b"}, "invalid_scope", "scope_malformed"),
    ],
)
def test_a_wrong_request_is_named(harness, robot, fields, error, reason):
    answer = ask(harness, robot, **fields)
    assert (answer.status, answer.error, answer.reason) == (400, error, reason)
    assert harness.events("token.refused")[-1]["detail"]["reason"] == reason


def test_a_disabled_server_gets_no_tokens(harness, robot):
    harness.change(resources.set_status, RESOURCE, "disabled")
    assert ask(harness, robot).reason == "resource_disabled"


def test_a_public_client_is_nobody(harness):
    """O21-29: even if an operator's record says otherwise, who proves nothing gets nothing."""
    url = harness.serve_document(grant_types=["authorization_code", "client_credentials"])
    harness.browser().authorize(client_id=url)
    answer = harness.token(
        {"grant_type": "client_credentials", "client_id": url, "resource": RESOURCE}
    )
    assert (answer.error, answer.reason) == ("unauthorized_client", "client_is_public")


def test_a_client_without_the_grant(harness):
    made = harness.add_client(auth_method="client_secret_basic")
    answer = ask(harness, made)
    assert (answer.error, answer.reason) == ("unauthorized_client", "grant_type_not_allowed")


def test_with_an_assertion_the_client_need_not_be_named(harness):
    """CC-02, CC-03, CC-05: `sub` names it; the audience is the issuer."""
    key = ClientKey()
    made = harness.add_client(
        auth_method="private_key_jwt", jwks=key.jwks, grant_types=GRANT, redirect_uris=()
    )
    harness.change(roles.bind, role="developer", kind="client", holder=made.client.id)
    fields = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "logs.read"}
    sent = key.fields(made.client.id, harness.issuer, harness.clock())
    answer = harness.token({**fields, **sent})
    assert answer.scopes == {"logs.read"}
    replayed = harness.token({**fields, **sent})
    assert (replayed.error, replayed.reason) == ("invalid_client", "assertion_replayed")


def test_a_document_with_keys_that_an_operator_named(harness):
    """CIMD-35, CIMD-36: fetched at the token endpoint for the one an operator named, and for nobody else."""
    from authz.admin import client_trust

    key = ClientKey()
    url = harness.serve_document(
        redirect_uris=None,
        grant_types=["client_credentials"],
        token_endpoint_auth_method="private_key_jwt",
        jwks=key.jwks,
    )
    fields = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "logs.read"}

    def attempt():
        return harness.token({**fields, **key.fields(url, harness.issuer, harness.clock())})

    assert attempt().reason == "client_unknown"
    assert harness.web.count(harness.host) == 0
    harness.change(client_trust.set_rule, pattern=url, verdict="allow")
    assert attempt().reason == "nothing_granted"
    assert harness.web.count(harness.host) == 1
    harness.change(roles.bind, role="developer", kind="client", holder=url)
    assert attempt().scopes == {"logs.read"}
    assert harness.web.count(harness.host) == 1


def test_another_tenant_does_not_know_it(harness, robot):
    response = harness.http.post(
        f"{harness.server.base}/token",
        data={"grant_type": "client_credentials", "resource": RESOURCE},
        headers=basic(robot),
    )
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
