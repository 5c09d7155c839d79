"""What this server mints, at MCP servers that use `authz.resource_server`: each token opens what it is for."""

import pytest

from authz.oauth import dpop
from authz.resource_server.dpop import ALGORITHMS
from tests.support.dpop_keys import DpopKey
from tests.support.harness import REDIRECT, VERIFIER
from tests.support.machines import by_itself
from tests.support.mcp_server import Server

OTHER = "https://other.example/mcp"


def bound_token(harness, key):
    fields = {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": harness.code(),
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT,
    }
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    answer = harness.token(fields, DPoP=proof)
    assert answer.ok, answer.reason
    return answer.access_token


def test_both_sides_take_the_same_algorithms():
    """DPOP-05: a key that the authorization server binds a token to works at the MCP server."""
    assert tuple(ALGORITHMS) == dpop.ALGORITHMS


@pytest.mark.parametrize("algorithm", dpop.ALGORITHMS)
def test_a_bound_token_works_with_its_proof_alone(harness, algorithm):
    """DPOP-01, DPOP-02, ATK-72: at a server that takes bearer tokens and at one that does not."""
    key = DpopKey(algorithm)
    token = bound_token(harness, key)
    for require_dpop in (False, True):
        server = Server(harness, require_dpop=require_dpop)
        answer = server.call(token, key=key, scheme="DPoP")
        assert answer.status_code == 200
        assert answer.text == harness.claims(token)["sub"]
        for stolen in (
            server.call(token),
            server.call(token, key=key),
            server.call(token, scheme="DPoP"),
            server.call(token, key=DpopKey(), scheme="DPoP"),
        ):
            assert stolen.status_code == 401


def test_a_bearer_token_works_unless_proofs_are_required(harness):
    """ATK-72."""
    token = harness.tokens().access_token
    assert Server(harness).call(token).status_code == 200
    assert Server(harness).call(token, key=DpopKey(), scheme="DPoP").status_code == 401
    refused = Server(harness, require_dpop=True).call(token)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith('DPoP error="invalid_token"')


def test_a_token_for_one_server_opens_no_other(harness):
    """ATK-56: the other server is one of the same tenant, with the same scopes."""
    harness.add_resource(OTHER)
    key = DpopKey()
    plain, bound = harness.tokens().access_token, bound_token(harness, key)
    other = Server(harness, resource=OTHER)
    assert Server(harness).call(plain).status_code == 200
    for refused in (other.call(plain), other.call(bound, key=key, scheme="DPoP")):
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_a_refresh_is_no_new_sign_in(harness):
    """RFC 9470, SUA-02: the age in the token is that of the sign-in, however new the token is."""
    server, tokens = Server(harness), harness.tokens()
    assert server.call(tokens.access_token, tool="query_logs").status_code == 200
    harness.clock.advance(seconds=400)
    renewed = harness.refresh(tokens.refresh_token).access_token
    assert server.call(renewed).status_code == 200
    refused = server.call(renewed, tool="query_logs")
    assert refused.status_code == 401
    assert (
        'error="insufficient_user_authentication", max_age="300"'
        in (refused.headers["www-authenticate"])
    )


def test_a_client_on_its_own_has_not_signed_in(harness):
    """SUA-02, MCP-AS-75: no auth_time, so no tool that asks for one."""
    _, answer = by_itself(harness, "developer", scope="logs.read")
    assert answer.ok, answer.reason
    server = Server(harness)
    assert server.call(answer.access_token).status_code == 200
    assert server.call(answer.access_token, tool="query_logs").status_code == 401
