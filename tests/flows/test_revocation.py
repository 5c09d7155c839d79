"""Revocation (RFC 7009): a client gives back what it holds, and learns nothing from trying."""

import pytest

from authz.admin import resources
from tests.support.basic import basic
from tests.support.client_keys import ClientKey
from tests.support.harness import RESOURCE
from tests.support.web import Reply


def revoke(harness, token, **fields):
    return harness.post("/revoke", {"token": token, "client_id": harness.client_id, **fields})


@pytest.fixture
def is_active(harness):
    """Whether the MCP server would take an access token."""
    rs = harness.add_client(auth_method="client_secret_basic")
    harness.change(resources.set_client, RESOURCE, rs.client.id)

    def ask(token):
        return harness.post("/introspect", {"token": token}, **basic(rs)).json["active"]

    return ask


def test_a_refresh_token_ends_all_of_its_family(harness, is_active):
    """REV-03: the grant and its access tokens."""
    tokens = harness.redeem(harness.code())
    other = harness.redeem(harness.code())
    answer = revoke(harness, tokens.refresh_token)
    assert (answer.status, answer.response.content) == (200, b"")
    assert answer.response.headers["cache-control"] == "no-store"
    assert not is_active(tokens.access_token)
    assert harness.refresh(tokens.refresh_token).reason == "family_revoked:revoked_by_client"
    assert is_active(other.access_token)
    [event] = harness.events("grant.revoked")
    assert event["detail"]["reason"] == "revoked_by_client"
    assert event["subject"] == harness.users["dev"]


def test_an_older_refresh_token_will_do(harness, is_active):
    """A client that lost the newest one must be able to end the grant."""
    first = harness.redeem(harness.code())
    second = harness.refresh(first.refresh_token)
    revoke(harness, first.refresh_token)
    assert not is_active(second.access_token)


def test_an_access_token_ends_alone(harness, is_active):
    """REV-03, ATK-59."""
    tokens = harness.redeem(harness.code())
    revoke(harness, tokens.access_token)
    assert not is_active(tokens.access_token)
    assert harness.refresh(tokens.refresh_token).ok
    [event] = harness.events("token.revoked")
    assert event["detail"]["jti"] == harness.claims(tokens.access_token)["jti"]


def test_a_second_time_changes_nothing(harness):
    """REV-01: 200 to what is dead already, and one event."""
    tokens = harness.redeem(harness.code())
    for _ in range(2):
        assert revoke(harness, tokens.access_token).status == 200
        assert revoke(harness, tokens.refresh_token).status == 200
    assert len(harness.events("token.revoked")) == 1
    assert len(harness.events("grant.revoked")) == 1


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", "id_token"])
def test_a_hint_is_only_a_hint(harness, is_active, hint):
    """REV-01."""
    tokens = harness.redeem(harness.code())
    assert revoke(harness, tokens.refresh_token, token_type_hint=hint).status == 200
    assert not is_active(tokens.access_token)


def test_another_client_ends_nothing_and_learns_nothing(harness, is_active):
    """REV-02: the same answer as to a random string."""
    tokens = harness.redeem(harness.code())
    other = harness.add_client()
    for token in (tokens.access_token, tokens.refresh_token):
        answer = revoke(harness, token, client_id=other.client.id)
        assert (answer.status, answer.response.content) == (200, b"")
    assert is_active(tokens.access_token)
    assert harness.refresh(tokens.refresh_token).ok
    assert not harness.events("grant.revoked")


@pytest.mark.parametrize("token", ["x", "a.b.c", "azr_grt_x.1.y", "azr_..", "é", "x" * 8000])
def test_what_is_no_token_is_answered_alike(harness, token):
    """REV-01."""
    answer = revoke(harness, token)
    assert (answer.status, answer.response.content) == (200, b"")


def test_a_forged_refresh_token_ends_nothing(harness):
    tokens = harness.redeem(harness.code())
    family, generation, _ = tokens.refresh_token.split(".")
    revoke(harness, f"{family}.{generation}.{'A' * 43}")
    assert harness.refresh(tokens.refresh_token).ok


def test_who_asks_is_authenticated(harness):
    """REV-01, JB-25: as at the token endpoint, whatever it wants to revoke."""
    key = ClientKey()
    made = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks)
    bare = harness.post("/revoke", {"token": "x", "client_id": made.client.id})
    assert (bare.status, bare.reason) == (401, "client_unauthenticated")
    wrong = key.fields(made.client.id, f"{harness.issuer}/revoke", harness.clock())
    assert harness.post("/revoke", {"token": "x", **wrong}).reason == "jwt_aud"
    good = key.fields(made.client.id, harness.issuer, harness.clock())
    assert harness.post("/revoke", {"token": "x", **good}).status == 200
    assert harness.post("/revoke", {"token": "x", **good}).reason == "assertion_replayed"
    nobody = harness.post("/revoke", {"token": "x"})
    assert (nobody.status, nobody.error) == (401, "invalid_client")
    assert harness.post("/revoke", {"client_id": harness.client_id}).error == "invalid_request"


def test_by_post_alone(harness):
    """REV-04: neither GET nor a callback parameter."""
    url = f"{harness.issuer}/revoke"
    assert harness.http.get(f"{url}?token=x&callback=f").status_code == 405
    answer = revoke(harness, "x", callback="f")
    assert answer.response.content == b""


def test_a_document_that_cannot_be_fetched_does_not_stand_in_the_way(harness):
    """mcp.md 9.5: the client's web site may be down when its user leaves."""
    url = harness.serve_document()
    page = harness.browser().authorize(client_id=url)
    tokens = harness.redeem(page.code, client_id=url)
    harness.web.serve(harness.host, Reply(503))
    harness.clock.advance(days=3)
    asked = harness.web.count(harness.host)
    assert revoke(harness, tokens.refresh_token, client_id=url).status == 200
    assert harness.web.count(harness.host) == asked
    assert len(harness.events("grant.revoked")) == 1
