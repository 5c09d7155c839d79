"""Token exchange on behalf of people (TX-01 to TX-10, S16, ATK-37, ATK-38): who may, what is carried, who is named."""

import pytest

from authz.admin import agents, clients, delegations, resources, scopes, users
from authz.admin.scopes import ScopeChange
from authz.audit.events import TokenIssued
from authz.errors import Conflict, Invalid
from tests.support.dpop_keys import DpopKey
from tests.support.exchanges import (
    ACCESS_TOKEN,
    ID_TOKEN,
    PAGER,
    REFRESH_TOKEN,
    TICKETS,
    TOKEN_EXCHANGE,
    Chain,
)
from tests.support.feed import FeedReader
from tests.support.harness import RESOURCE
from tests.support.id_jags import AssertingIdp
from tests.support.machines import by_itself

PUBLIC = "the subject token is not acceptable"


@pytest.fixture
def chain(harness):
    return Chain(harness)


@pytest.fixture
def open_chain(chain):
    chain.allow_all()
    return chain


def test_the_next_server_gets_a_token_of_its_own(harness, open_chain):
    """TX-04, TX-05, TX-08, TX-09: the same person and grant, the actor named, nothing longer, no refresh token."""
    first = open_chain.first()
    before = harness.claims(first.access_token)
    harness.clock.advance(seconds=60)
    answer = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    assert answer.ok, answer.reason
    assert answer.json["issued_token_type"] == ACCESS_TOKEN
    assert (answer.json["token_type"], answer.json["scope"]) == ("Bearer", "tickets.read")
    assert answer.json["resource"] == TICKETS
    assert "refresh_token" not in answer.json
    claims = harness.claims(answer.access_token)
    assert (claims["aud"], claims["scope"]) == (TICKETS, "tickets.read")
    assert (claims["sub"], claims["grant_id"]) == (before["sub"], before["grant_id"])
    assert claims["client_id"] == open_chain.ops.client.id
    assert claims["act"] == {"sub": open_chain.ops.client.id}
    assert claims["exp"] == before["exp"]
    assert claims["auth_time"] == before["auth_time"]


def test_three_hops(harness, open_chain):
    """S16, S5: the chain is kept, scopes shrink, and the trail joins the hops by grant and parent."""
    first = open_chain.first(
        scopes=["logs.read", "analytics.query"], requested=["logs.read", "analytics.query"]
    )
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    third = open_chain.exchange(open_chain.tickets, second.access_token, PAGER)
    assert third.ok, third.reason
    tokens = [harness.claims(it.access_token) for it in (first, second, third)]
    assert [it["scope"] for it in tokens] == [
        "analytics.query logs.read",
        "tickets.read",
        "pages.read",
    ]
    assert tokens[2]["act"] == {
        "sub": open_chain.tickets.client.id,
        "act": {"sub": open_chain.ops.client.id},
    }
    assert tokens[0]["exp"] >= tokens[1]["exp"] >= tokens[2]["exp"]
    issued = {it["detail"]["jti"]: it["detail"] for it in harness.events(TokenIssued.kind)}
    assert [issued[it["jti"]]["parent"] for it in tokens] == [
        None,
        tokens[0]["jti"],
        tokens[1]["jti"],
    ]
    assert len({it["grant_id"] for it in issued.values()}) == 1


def test_an_agent_is_the_first_of_three_actors(harness, open_chain):
    """S16, S1: an agent for a person, then two servers; each of them is named, in order."""
    made = harness.add_client(auth_method="client_secret_post")
    agent = harness.change(
        agents.add,
        slug="triage",
        purpose="Sorts incidents",
        owner="sre@example.com",
        servers=[RESOURCE],
        clients_=[made.client.id],
    )
    code = harness.code(client_id=made.client.id, scopes=["logs.read"], requested=["logs.read"])
    first = harness.redeem(code, client_id=made.client.id, client_secret=made.secret)
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    third = open_chain.exchange(open_chain.tickets, second.access_token, PAGER)
    claims = harness.claims(third.access_token)
    assert claims["sub"] == harness.users["dev"]
    assert claims["act"] == {
        "sub": open_chain.tickets.client.id,
        "act": {"sub": open_chain.ops.client.id, "act": {"sub": agent.id}},
    }
    harness.change(agents.kill, "triage")
    refused = open_chain.exchange(open_chain.tickets, second.access_token, PAGER)
    assert (refused.error, refused.reason) == ("invalid_request", "subject_token_dead")


def test_who_gave_the_token_may_know_who_exchanges_it(harness, open_chain):
    """TX-06: the claim names the only client that may; of several it names none."""
    first = open_chain.first()
    assert harness.claims(first.access_token)["may_act"] == {"sub": open_chain.ops.client.id}
    another = open_chain.add_server(None)
    open_chain.allow(another, RESOURCE, TICKETS, tickets_read=["logs.read"])
    assert "may_act" not in harness.claims(open_chain.first().access_token)
    # The new rule does not reach back: this token says who may.
    harness.change(resources.set_client, RESOURCE, another.client.id)
    refused = open_chain.exchange(another, first.access_token, TICKETS)
    assert (refused.error, refused.reason) == ("invalid_request", "may_act_other")


# -- who may ------------------------------------------------------------------------------------------------


def test_possession_is_not_enough(harness, open_chain):
    """TX-07, ATK-37: a thief with credentials of its own learns nothing, whatever rule it has."""
    thief = open_chain.add_server(None)
    open_chain.allow(thief, RESOURCE, TICKETS, tickets_read=["logs.read"])
    first = open_chain.first()
    refused = open_chain.exchange(thief, first.access_token, TICKETS)
    assert (refused.error, refused.reason) == ("invalid_request", "subject_token_of_other")
    nothing = open_chain.exchange(thief, "at.of.nobody", TICKETS)
    assert refused.json == nothing.json


def test_the_next_server_cannot_exchange_the_last_ones_token(open_chain):
    """A token that was overheard at another server is no good there."""
    first = open_chain.first()
    refused = open_chain.exchange(open_chain.tickets, first.access_token, PAGER)
    assert (refused.error, refused.reason) == ("invalid_request", "subject_token_of_other")


def test_without_a_rule_nobody_may(chain):
    """TX-07: deny by default."""
    refused = chain.exchange(chain.ops, chain.first().access_token, TICKETS)
    assert (refused.error, refused.reason) == ("unauthorized_client", "exchange_not_allowed")


def test_a_rule_leads_to_its_server_alone(open_chain):
    """TX-03."""
    first = open_chain.first().access_token
    for target, reason in (
        (PAGER, "delegation_unknown"),
        (RESOURCE, "delegation_unknown"),
        ("https://nobody.example/mcp", "resource_unknown"),
        ("relative", "resource_malformed"),
        (None, "resource_missing"),
    ):
        refused = open_chain.exchange(open_chain.ops, first, target)
        assert (refused.error, refused.reason) == ("invalid_target", reason), target


def test_the_target_has_two_names(open_chain):
    """RFC 8693 §2.1: `audience` will do; two that differ are one too many."""
    first = open_chain.first().access_token
    assert open_chain.exchange(open_chain.ops, first, None, audience=TICKETS).ok
    assert open_chain.exchange(open_chain.ops, first, TICKETS, audience=TICKETS).ok
    refused = open_chain.exchange(open_chain.ops, first, TICKETS, audience=PAGER)
    assert (refused.error, refused.reason) == ("invalid_target", "target_twofold")


def test_nothing_leads_into_this_server(harness, open_chain):
    """TX-10: neither the userinfo endpoint nor the issuer is a target."""
    first = open_chain.first().access_token
    for own in (harness.issuer, f"{harness.issuer}/userinfo"):
        refused = open_chain.exchange(open_chain.ops, first, own)
        assert (refused.error, refused.reason) == ("invalid_target", "resource_unknown")


def test_a_public_client_exchanges_nothing(harness, open_chain):
    """IDJAG-33, CONF-08."""
    public = harness.add_client(grant_types=("authorization_code", TOKEN_EXCHANGE))
    answer = harness.token(
        {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": public.client.id,
            "subject_token": open_chain.first().access_token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": TICKETS,
        }
    )
    assert (answer.error, answer.reason) == ("unauthorized_client", "client_is_public")


def test_a_client_has_to_be_registered_for_it(harness, open_chain):
    made = harness.add_client(auth_method="client_secret_post")
    answer = open_chain.exchange(made, open_chain.first().access_token, TICKETS)
    assert (answer.error, answer.reason) == ("unauthorized_client", "grant_type_not_allowed")


def test_a_client_may_narrow_its_own_token(harness, chain):
    """For a helper of its own: same server, fewer scopes, the same end; no more than it had."""
    made = chain.add_server(
        None,
        grant_types=("authorization_code", TOKEN_EXCHANGE),
        redirect_uris=("https://client.example/callback",),
    )
    chain.allow(
        made, RESOURCE, RESOURCE, logs_read=["logs.read"], analytics_query=["analytics.query"]
    )
    code = harness.code(client_id=made.client.id, scopes=["logs.read", "analytics.query"])
    first = harness.redeem(code, client_id=made.client.id, client_secret=made.secret)
    narrow = chain.exchange(made, first.access_token, RESOURCE, scope="logs.read")
    assert narrow.scopes == {"logs.read"}
    assert harness.claims(narrow.access_token)["act"] == {"sub": made.client.id}
    again = chain.exchange(made, narrow.access_token, RESOURCE, scope="analytics.query")
    assert (again.error, again.reason) == ("invalid_scope", "scope_not_carried")
    same = chain.exchange(made, narrow.access_token, RESOURCE)
    assert harness.claims(same.access_token)["act"] == {"sub": made.client.id}


def test_who_narrows_the_end_of_a_chain_is_no_further_hop(harness, open_chain):
    """The chain is as long as before, and as it was."""
    first = open_chain.first()
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    third = open_chain.exchange(open_chain.tickets, second.access_token, PAGER)
    open_chain.allow(open_chain.tickets, PAGER, PAGER, pages_read=["pages.read"])
    narrow = open_chain.exchange(open_chain.tickets, third.access_token, PAGER)
    assert narrow.ok, narrow.reason
    acts = [harness.claims(it.access_token)["act"] for it in (third, narrow)]
    assert (
        acts[1]
        == acts[0]
        == {
            "sub": open_chain.tickets.client.id,
            "act": {"sub": open_chain.ops.client.id},
        }
    )


# -- the subject token ---------------------------------------------------------------------------------------


def _dead(harness, chain, token, because):
    refused = chain.exchange(chain.ops, token, TICKETS)
    assert (refused.error, refused.reason) == ("invalid_request", because)
    assert refused.json["error_description"] == PUBLIC


def test_what_ended_is_exchanged_no_more(harness, open_chain):
    """TX-02: expired, given back, refreshed away, its person or client switched off."""
    expired = open_chain.first()
    harness.clock.advance(hours=2)
    _dead(harness, open_chain, expired.access_token, "subject_token_dead")

    returned = open_chain.first()
    harness.post("/revoke", {"client_id": harness.client_id, "token": returned.access_token})
    _dead(harness, open_chain, returned.access_token, "subject_token_dead")

    disabled = open_chain.first()
    harness.change(users.disable, "dev@example.com")
    _dead(harness, open_chain, disabled.access_token, "subject_token_dead")
    told = [
        (it["subject"], it["client"], it["detail"]["grant_type"])
        for it in harness.events("token.refused")
    ]
    assert told == [(harness.users["dev"], open_chain.ops.client.id, TOKEN_EXCHANGE)] * 3


def test_who_blocks_the_client_ends_the_hops(harness, open_chain):
    first = open_chain.first()
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    harness.change(clients.block, harness.client_id)
    _dead(harness, open_chain, first.access_token, "subject_token_dead")
    third = open_chain.exchange(open_chain.tickets, second.access_token, PAGER)
    assert (third.error, third.reason) == ("invalid_request", "subject_token_dead")


def test_the_end_of_the_grant_is_the_end_of_every_hop(harness, open_chain):
    """TX-08: the later token is one of the same grant."""
    first = open_chain.first(offline_access=True)
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    asked = {"token": second.access_token, "client_id": open_chain.tickets.client.id}
    asked["client_secret"] = open_chain.tickets.secret
    assert harness.post("/introspect", asked).json["active"] is True
    assert harness.post("/introspect", asked).json["act"] == {"sub": open_chain.ops.client.id}
    harness.post("/revoke", {"client_id": harness.client_id, "token": first.refresh_token})
    assert harness.post("/introspect", asked).json == {"active": False}


def test_a_client_has_nobody_behind_it(harness, open_chain):
    """What a client does for itself, the next server's client does for itself too."""
    _, own = by_itself(harness)
    assert own.ok, own.reason
    _dead(harness, open_chain, own.access_token, "subject_token_without_person")


WRONG = {
    # name: the token's place, the type claimed, and the outcome
    "no token": (None, ACCESS_TOKEN, "invalid_request", "subject_token_missing"),
    "no type": ("access", None, "invalid_request", "subject_token_type_missing"),
    "another type": ("access", ID_TOKEN, "invalid_request", "subject_token_type_unsupported"),
    "a refresh token": ("refresh", ACCESS_TOKEN, "invalid_request", "subject_token_unknown"),
    "a refresh token, said": (
        "refresh",
        REFRESH_TOKEN,
        "invalid_request",
        "subject_token_type_unsupported",
    ),
    "an ID-JAG": ("id-jag", ACCESS_TOKEN, "invalid_request", "subject_token_unknown"),
    "SAML": (
        "access",
        "urn:ietf:params:oauth:token-type:saml2",
        "invalid_request",
        "subject_token_type_unsupported",
    ),
    "any JWT": (
        "access",
        "urn:ietf:params:oauth:token-type:jwt",
        "invalid_request",
        "subject_token_type_unsupported",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_subject_token_is_what_it_is_said_to_be(harness, open_chain, name):
    """TX-01, TX-02, ATK-36."""
    place, kind, error, reason = WRONG[name]
    first = open_chain.first(offline_access=True)
    tokens = {
        None: None,
        "access": first.access_token,
        "refresh": first.refresh_token,
        "id-jag": AssertingIdp().assertion(harness, open_chain.ops.client.id),
    }
    answer = open_chain.exchange(open_chain.ops, tokens[place], TICKETS, subject_token_type=kind)
    assert (answer.error, answer.reason) == (error, reason)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"actor_token": "x"}, "actor_token"),
        ({"actor_token_type": ACCESS_TOKEN}, "actor_token"),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"},
            "requested_token_type_unsupported",
        ),
        ({"requested_token_type": REFRESH_TOKEN}, "requested_token_type_unsupported"),
    ],
    ids=["actor token", "actor token type", "a JWT wanted", "a refresh token wanted"],
)
def test_what_is_not_offered_is_refused(open_chain, fields, reason):
    """TX-01, TX-09, IDJAG-45, ATK-38: nothing is ignored that a caller may rely on."""
    answer = open_chain.exchange(open_chain.ops, open_chain.first().access_token, TICKETS, **fields)
    assert (answer.error, answer.reason) == ("invalid_request", reason)


# -- what is carried -----------------------------------------------------------------------------------------


def test_scopes_never_grow(harness, open_chain):
    """TX-08, CHAIN-05: neither past what the token carries, nor past the person's roles."""
    first = open_chain.first().access_token
    both = open_chain.exchange(open_chain.ops, first, TICKETS, scope="tickets.read tickets.write")
    assert both.scopes == {"tickets.read"}
    more = open_chain.exchange(open_chain.ops, first, TICKETS, scope="tickets.write")
    assert (more.error, more.reason) == ("invalid_scope", "scope_not_carried")
    unknown = open_chain.exchange(open_chain.ops, first, TICKETS, scope="pages.read")
    assert (unknown.error, unknown.reason) == ("invalid_scope", "scope_unknown")
    other = open_chain.first(login="sre").access_token
    refused = open_chain.exchange(open_chain.ops, other, TICKETS)
    assert (refused.error, refused.reason) == ("access_denied", "nothing_granted")


def test_a_token_that_carries_nothing_leads_nowhere(open_chain):
    first = open_chain.first(scopes=["analytics.query"], requested=["analytics.query"])
    refused = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    assert (refused.error, refused.reason) == ("invalid_scope", "scope_not_carried")


def test_a_chain_has_an_end(harness, chain):
    """TX-05: bounded by the rule, whatever the installation allows."""
    chain.allow(chain.ops, RESOURCE, TICKETS, tickets_read=["logs.read"])
    chain.allow(chain.tickets, TICKETS, PAGER, pages_read=["tickets.read"], max_depth=1)
    second = chain.exchange(chain.ops, chain.first().access_token, TICKETS)
    refused = chain.exchange(chain.tickets, second.access_token, PAGER)
    assert (refused.error, refused.reason) == ("invalid_request", "delegation_depth")


def test_ten_hops_are_too_many(harness, chain):
    """TX-05: back and forth between two servers ends at the fifth actor."""
    chain.allow(chain.ops, RESOURCE, TICKETS, tickets_read=["logs.read"])
    chain.allow(chain.tickets, TICKETS, RESOURCE, logs_read=["tickets.read"])
    token, reasons = chain.first().access_token, []
    for n in range(10):
        made, target = ((chain.ops, TICKETS), (chain.tickets, RESOURCE))[n % 2]
        answer = chain.exchange(made, token, target)
        reasons.append(answer.reason)
        if not answer.ok:
            break
        token = answer.access_token
    assert reasons == [None] * 5 + ["delegation_depth"]


def test_a_bound_token_takes_its_key_from_its_own_client(harness, chain):
    """TX-08: of the MCP server that checked the proof, its authentication is asked."""
    key, other = DpopKey(), DpopKey()
    made = chain.add_server(
        None,
        grant_types=("authorization_code", TOKEN_EXCHANGE),
        redirect_uris=("https://client.example/callback",),
    )
    for it in (made, chain.ops):
        chain.allow(it, RESOURCE, TICKETS, tickets_read=["logs.read"])

    def proof(of):
        return {"headers": {"DPoP": of.proof(f"{harness.issuer}/token", harness.clock())}}

    first = harness.token(
        {
            "grant_type": "authorization_code",
            "client_id": made.client.id,
            "client_secret": made.secret,
            "code": harness.code(
                client_id=made.client.id, scopes=["logs.read"], requested=["logs.read"]
            ),
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        **proof(key)["headers"],
    ).access_token
    for fields, reason in (({}, "binding_other_key"), (proof(other), "binding_other_key")):
        refused = chain.exchange(made, first, TICKETS, **fields)
        assert (refused.error, refused.reason) == ("invalid_request", reason)
    mine = chain.exchange(made, first, TICKETS, **proof(key))
    assert harness.claims(mine.access_token)["cnf"] == {"jkt": key.jkt}
    onward = chain.exchange(chain.ops, first, TICKETS, **proof(other))
    assert harness.claims(onward.access_token)["cnf"] == {"jkt": other.jkt}
    assert "cnf" not in harness.claims(chain.exchange(chain.ops, first, TICKETS).access_token)


def test_a_limited_scope_carries_nothing_elsewhere(harness, chain):
    """RAR: nobody at the next server would know of the limit."""
    harness.change(
        scopes.edit_scope, harness.resource.id, "logs.read", ScopeChange(tools=("search_logs",))
    )
    chain.allow(chain.ops, RESOURCE, TICKETS, tickets_read=["logs.read", "analytics.query"])
    chain.allow(chain.ops, RESOURCE, RESOURCE, logs_read=["logs.read"])
    details = [
        {
            "type": "mcp_tool",
            "locations": [RESOURCE],
            "tool": "search_logs",
            "arguments": {"service": ["payments"]},
        }
    ]
    limited = chain.first(authorization_details=details)
    refused = chain.exchange(chain.ops, limited.access_token, TICKETS)
    assert (refused.error, refused.reason) == ("invalid_scope", "scope_not_carried")
    kept = chain.exchange(chain.ops, limited.access_token, RESOURCE)
    assert kept.json["authorization_details"] == details
    assert chain.exchange(chain.ops, chain.first().access_token, TICKETS).ok


# -- the rules -----------------------------------------------------------------------------------------------


def test_a_rule_is_checked_when_it_is_written(harness, chain):
    public = harness.add_client()
    unregistered = harness.add_client(auth_method="client_secret_post")
    for made, carries, kind in (
        (public, {"tickets_read": ["logs.read"]}, Invalid),
        (unregistered, {"tickets_read": ["logs.read"]}, Invalid),
        (chain.ops, {}, Invalid),
        (chain.ops, {"tickets_nothing": ["logs.read"]}, Invalid),
        (chain.ops, {"tickets_read": ["logs.nothing"]}, Invalid),
        (chain.ops, {"tickets_read": []}, Invalid),
        (chain.ops, {"tickets_read": ["*"]}, Invalid),
        (chain.ops, {"tickets_read": ["logs.read"], "max_depth": 0}, Invalid),
        (chain.ops, {"tickets_read": ["logs.read"], "max_depth": 6}, Invalid),
    ):
        with pytest.raises(kind):
            chain.allow(made, RESOURCE, TICKETS, **carries)
    made = chain.allow(chain.ops, RESOURCE, TICKETS, tickets_read=["logs.read"])
    with pytest.raises(Conflict):
        chain.allow(chain.ops, RESOURCE, TICKETS, tickets_read=["logs.read"])
    assert chain.exchange(chain.ops, chain.first().access_token, TICKETS).ok
    harness.change(delegations.remove, made.id)
    refused = chain.exchange(chain.ops, chain.first().access_token, TICKETS)
    assert refused.reason == "exchange_not_allowed"


# -- the feed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["refresh token", "client", "person"])
def test_every_server_of_the_chain_is_told(harness, open_chain, end):
    """E10, S16: the last token is dead at the server that has it, whatever ended the first one."""
    reader = FeedReader(harness, TICKETS)
    first = open_chain.first(offline_access=True)
    second = open_chain.exchange(open_chain.ops, first.access_token, TICKETS)
    assert reader.accepts(second.access_token)
    if end == "refresh token":
        harness.post("/revoke", {"client_id": harness.client_id, "token": first.refresh_token})
    elif end == "client":
        harness.change(clients.block, harness.client_id)
    else:
        harness.change(users.disable, "dev@example.com")
    reader.read_on()
    assert not reader.accepts(second.access_token)


def test_who_exchanged_is_switched_off(harness, open_chain):
    reader = FeedReader(harness, TICKETS)
    second = open_chain.exchange(open_chain.ops, open_chain.first().access_token, TICKETS)
    harness.change(clients.block, open_chain.ops.client.id)
    reader.read_on()
    assert not reader.accepts(second.access_token)
