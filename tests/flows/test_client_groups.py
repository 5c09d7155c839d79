"""A client that is limited to groups of people (features section 2, row 19): nobody else gets anything through it."""

import pytest

from authz.admin import clients, groups, mappings
from authz.admin.denials import denials
from authz.db.models import IssuedToken
from authz.errors import NotFound
from tests.flows.test_simulate import simulated
from tests.support.devices import add_device_client, allow, ask, type_code
from tests.support.exchanges import TICKETS, Chain
from tests.support.harness import RESOURCE
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.machines import by_itself

INSIDE, OUTSIDE = "sre@example.com", "dev@example.com"


@pytest.fixture(autouse=True)
def on_call(harness):
    harness.change(groups.add, name="on-call")
    harness.change(groups.add_member, group="on-call", user=INSIDE)


def limit(harness, client_id=None, *names):
    harness.change(
        clients.set_groups, client_id or harness.client_id, frozenset(names or ("on-call",))
    )


def test_who_is_outside_is_told_so_and_nothing_is_made(harness):
    limit(harness)
    answer = harness.browser(OUTSIDE).authorize(scope="logs.read")
    assert (answer.error, answer.sent["error_description"]) == (
        "access_denied",
        "this client is limited to groups that this person is not in",
    )
    [refused] = harness.events("authorization.refused")
    assert refused["detail"]["reason"] == "client_groups"
    assert harness.count(IssuedToken) == 0
    assert harness.tokens(INSIDE, scope="logs.read").scopes == {"logs.read"}


def test_openid_is_no_way_round(harness):
    limit(harness)
    assert harness.browser(OUTSIDE).authorize(scope="openid email").error == "access_denied"


def test_whoever_is_signed_in_and_allowed_it_before_is_asked_about_nothing(harness):
    """The quick way judges as well."""
    browser = harness.browser(OUTSIDE)
    assert browser.authorize(scope="logs.read").code
    limit(harness)
    assert browser.authorize(scope="logs.read", prompt="none").error == "access_denied"


def test_it_counts_at_the_next_refresh_and_ends_no_grant(harness):
    first = harness.tokens(OUTSIDE, scope="logs.read")
    limit(harness)
    refused = harness.refresh(first.refresh_token)
    assert refused.error == "access_denied"
    assert harness.events("token.refused")[-1]["detail"]["reason"] == refused.reason
    harness.change(groups.add_member, group="on-call", user=OUTSIDE)
    assert harness.refresh(first.refresh_token).scopes == {"logs.read"}
    harness.change(groups.remove_member, group="on-call", user=OUTSIDE)
    assert harness.refresh(first.refresh_token).error == "access_denied"
    harness.change(clients.set_groups, harness.client_id, None)
    assert harness.refresh(first.refresh_token).scopes == {"logs.read"}


def test_between_the_question_and_the_answer(harness):
    """ATK-71: judged when the code is redeemed."""
    code = harness.code("dev")
    limit(harness)
    refused = harness.redeem(code)
    assert (refused.error, refused.reason) == ("access_denied", "nothing_granted")


def test_one_group_of_several_will_do(harness):
    harness.change(groups.add, name="pilots")
    limit(harness, None, "on-call", "pilots")
    assert harness.browser(OUTSIDE).authorize(scope="logs.read").error == "access_denied"
    harness.change(groups.add_member, group="pilots", user=OUTSIDE)
    assert harness.tokens(OUTSIDE, scope="logs.read").scopes == {"logs.read"}


def test_another_client_is_not_limited(harness):
    limit(harness)
    other = harness.add_client().client.id
    code = harness.code("dev", client_id=other)
    assert harness.redeem(code, client_id=other).ok


def test_a_client_that_published_a_document(harness):
    url = harness.serve_document()
    assert harness.tokens(OUTSIDE, client_id=url, scope="logs.read").ok
    limit(harness, url)
    answer = harness.browser(OUTSIDE).authorize(client_id=url, scope="logs.read")
    assert answer.error == "access_denied"
    assert harness.tokens(INSIDE, client_id=url, scope="logs.read").ok


def test_a_device(harness):
    client_id = add_device_client(harness)
    limit(harness, client_id)
    outside, inside = ask(harness, client_id), ask(harness, client_id)
    page = type_code(harness.browser(OUTSIDE), outside.user_code)
    assert "limited to groups that this person is not in" in page.text
    assert outside.poll().error == "authorization_pending"
    allow(inside, INSIDE)
    assert inside.poll().scopes == {"logs.read"}


def test_an_assertion_about_somebody(harness):
    idp = AssertingIdp()
    agent = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    limit(harness, agent.client.id)
    assertion = idp.assertion(harness, agent.client.id, groups=["dev"])
    assert present(harness, agent, assertion).error == "access_denied"
    harness.change(mappings.add, connection="corp", claim="team", value="night", group="on-call")
    assertion = idp.assertion(harness, agent.client.id, groups=["dev"], team="night")
    assert present(harness, agent, assertion).scopes == {
        "logs.read",
        "analytics.query",
    }


def test_a_token_that_is_exchanged(harness):
    """It is the client that exchanges which is limited, and the person behind the token who has to be in."""
    chain = Chain(harness)
    chain.allow_all()
    token = chain.first().access_token
    assert chain.exchange(chain.ops, token, TICKETS).ok
    limit(harness, chain.ops.client.id)
    assert chain.exchange(chain.ops, token, TICKETS).error == "access_denied"
    harness.change(groups.add_member, group="on-call", user=OUTSIDE)
    assert chain.exchange(chain.ops, token, TICKETS).ok


def test_what_it_holds_for_itself_stays(harness):
    made, before = by_itself(harness)
    limit(harness, made.client.id)
    secret = {"client_id": made.client.id, "client_secret": made.secret}
    asked = {"grant_type": "client_credentials", "resource": RESOURCE, **secret}
    assert harness.token(asked).scopes == before.scopes


def test_the_simulator_says_it_before_and_why_afterwards(harness):
    limit(harness)
    foreseen = simulated(harness, user=OUTSIDE, client=harness.client_id, server=RESOURCE)
    assert not foreseen.is_token
    assert {it.reason for it in foreseen.refused} == {"client_groups"}
    assert simulated(harness, user=INSIDE, client=harness.client_id).is_token
    assert harness.browser(OUTSIDE).authorize(scope="logs.read").error == "access_denied"
    [refusal] = harness.ask(denials, harness.clock(), person=OUTSIDE)
    assert (refusal.reason, refusal.sentence) == (
        "client_groups",
        "this client is limited to groups that this person is not in",
    )


def test_groups_of_another_tenant_are_not_found(harness, other_harness):
    """ATK-68."""
    theirs = other_harness.change(groups.add, name="theirs").id
    for reference in ("theirs", theirs):
        with pytest.raises(NotFound, match="there is no group"):
            limit(harness, None, reference)
