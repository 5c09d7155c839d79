"""One new access token (pure): what it stands on is in its row, its event, its answer and its claims."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.jose import read_unverified
from authz.keys import ID_TOKEN, KeyRing
from authz.oauth import issuing, openid
from authz.oauth.authorization import FreshNames, IdTokenRequest, TokenRequest
from authz.oauth.delegations import Delegation, Delegations
from authz.oauth.facts import Changes, StatusPlace, Token
from authz.oauth.issuing import Grounds, mint
from authz.oauth.params import Params
from authz.oauth.status_slots import StatusSlots
from authz.policy import Subject, decide
from authz.policy.agents import Agent, Agents
from authz.policy.snapshot import Connection, HeldRole, Scope
from authz.settings import Tokens
from authz.tenants import REVIEWED
from tests.support.configured import CLIENT, NOW, RESOURCE, TENANT_ID, configuration, policy

CONFIGURATION = configuration()
GROUNDS = Grounds(grant_id="grt_1", client_id=CLIENT.id, subject="usr_1", resource_id=RESOURCE.id)
AGENT = Agent("agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}), None, None)
HELPED = replace(CONFIGURATION, agents=Agents({CLIENT.id: AGENT}))
NESTED = {"sub": "cli_2", "act": {"sub": "agt_1"}}
DETAIL = {"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "rotate"}
READING = RESOURCE.scopes["logs.read"]


def serving(resource, **changes):
    """The tenant with this MCP server in place of the other."""
    return replace(CONFIGURATION, policy=policy(resources=[resource]), **changes)


def minted(grounds=GROUNDS, *, configuration=CONFIGURATION, slots=None, **values):
    request = TokenRequest(
        configuration=configuration,
        client=CLIENT,
        params=Params([]),
        lifetimes=Tokens(),
        confirmation=None,
        fresh=FreshNames(jti="at_new", family_id="grt_new", salt="salt"),
        slots=slots or StatusSlots(),
    )
    resource = configuration.policy.resources[grounds.resource_id]
    person = Subject("usr_1", roles=(HeldRole("rol_dev"),))
    decision = decide(
        configuration.policy,
        person,
        resource,
        client=CLIENT.id,
        requested=None,
        ceilings=(),
        now=NOW,
    )
    return mint(request, grounds, decision, grant_type="x", now=NOW, **values)


def claims(outcome, configuration=CONFIGURATION):
    return issuing.claims(outcome.answer, configuration)


def test_a_token_stands_on_its_grounds_alone():
    outcome = minted()
    [token], [event] = outcome.changes.tokens, outcome.events
    assert outcome.changes == Changes(tokens=(token,))
    assert token == Token(
        jti="at_new",
        tenant_id=TENANT_ID,
        family_id="grt_1",
        client_id=CLIENT.id,
        subject="usr_1",
        resource_id=RESOURCE.id,
        scopes=frozenset({"logs.read"}),
        decision=token.decision,
        issued_at=NOW,
        expires_at=NOW + Tokens().access_token,
    )
    assert (event.retry, event.parent, event.actors, event.agent) == (False, None, [], None)
    answer = outcome.answer
    assert answer.status is answer.tools is answer.may_act is None
    assert (answer.actors, answer.is_exchanged) == ((), False)
    assert not {"act", "may_act", "status", "mcp_tools"} & claims(outcome).keys()


@pytest.mark.parametrize(
    ("grounds", "configuration", "actors", "act"),
    [
        ({}, HELPED, ("agt_1",), {"sub": "agt_1"}),
        ({"actors": ("cli_2", "agt_1")}, HELPED, ("cli_2", "agt_1"), NESTED),
        ({"actors": ()}, HELPED, (), None),
        ({"actors": ("cli_2",)}, CONFIGURATION, ("cli_2",), {"sub": "cli_2"}),
    ],
    ids=["agent", "chain", "nobody", "no agent"],
)
def test_who_acts_is_the_agent_or_the_chain_of_the_exchange(grounds, configuration, actors, act):
    """TX-05: an exchange says all of the chain; whatever else leads to a token has its agent at most."""
    outcome = minted(replace(GROUNDS, **grounds), configuration=configuration)
    assert outcome.answer.actors == actors
    assert outcome.events[0].actors == list(actors)
    assert claims(outcome).get("act") == act


def test_where_they_signed_in_is_told_by_its_name():
    """ATJ-05: `slug` is the operator's word; the id of a row says nothing to a server."""
    there = replace(CONFIGURATION, policy=policy(connections=[Connection("con_1", "okta", True)]))
    outcome = minted(replace(GROUNDS, connection_id="con_1"), configuration=there)
    assert outcome.answer.connection == claims(outcome, there)["connection"] == "okta"
    assert minted(configuration=there).answer.connection is None


def test_an_exchanged_token_names_its_parent_in_the_trail():
    outcome = minted(replace(GROUNDS, parent="at_1", actors=("cli_2",)), retry=True)
    assert outcome.events[0].parent == "at_1"
    assert outcome.events[0].retry
    assert outcome.answer.is_exchanged


def test_a_server_that_reads_status_lists_finds_each_token_there():
    """TSL-01: the place in the token is the one that is stored."""
    listed = serving(replace(RESOURCE, status_list=True))
    slots = StatusSlots()
    outcome = minted(configuration=listed, slots=slots)
    slot = outcome.answer.status
    assert slots.draw(RESOURCE.id, NOW).list_id == slot.list_id
    assert slots.draw("res_2", NOW).list_id != slot.list_id, "each server has lists of its own"
    [token] = outcome.changes.tokens
    assert outcome.changes.status_places == (
        StatusPlace("at_new", TENANT_ID, slot.list_id, slot.place, token.expires_at),
    )
    assert claims(outcome, listed)["status"] == {
        "status_list": {
            "idx": slot.place,
            "uri": f"https://as.example/t/acme/status/{slot.list_id}",
        }
    }


def test_where_scopes_are_reviewed_a_token_lists_its_tools():
    """S12: those of its scopes, and no others."""
    tools = {
        "logs.read": replace(READING, tools=("read", "find")),
        "logs.write": Scope("logs.write", tools=("rotate",)),
    }
    resource = replace(RESOURCE, scopes=tools)
    tenant = replace(CONFIGURATION.tenant, scope_changes=REVIEWED)
    reviewing = serving(resource, tenant=tenant)
    outcome = minted(configuration=reviewing)
    assert outcome.answer.scopes == {"logs.read"}
    assert outcome.answer.tools == claims(outcome, reviewing)["mcp_tools"] == ["find", "read"]
    assert minted(configuration=serving(resource)).answer.tools is None


def test_the_one_client_that_may_exchange_a_token_is_in_it():
    """TX-06: who that is has a table beside `TenantConfiguration.may_act`."""
    rule = Delegation("dlg_1", "cli_2", RESOURCE.id, "res_2", {})
    delegating = replace(CONFIGURATION, delegations=Delegations.of([rule]))
    outcome = minted(configuration=delegating)
    assert outcome.answer.may_act == "cli_2"
    assert claims(outcome)["may_act"] == {"sub": "cli_2"}


@pytest.mark.parametrize(
    ("grounds", "told"),
    [
        ({}, {}),
        ({"tells_resource": True}, {"resource": RESOURCE.identifier}),
        (
            {"parent": "at_1"},
            {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        ),
        ({"refresh_token": "azr_1"}, {"refresh_token": "azr_1"}),
        ({"authorization_details": [DETAIL]}, {"authorization_details": [DETAIL]}),
    ],
)
def test_the_response_says_what_the_grant_has_to_tell(grounds, told):
    """RFC 6749 §5.1, TX-04, RAR-03, IDJAG-62."""
    answer = minted(replace(GROUNDS, **grounds)).answer
    body = issuing.response(answer, CONFIGURATION, algorithm="ES256")
    _, signed = read_unverified(body["access_token"])
    assert signed == issuing.claims(answer, CONFIGURATION)
    always = {"access_token", "token_type", "expires_in", "scope"}
    assert {name: value for name, value in body.items() if name not in always} == told
    assert always <= body.keys()


def test_an_id_token_is_signed_with_a_key_of_its_own():
    """OIDC-02: for the client, in the algorithm it registered, and no access token."""
    [known] = CONFIGURATION.keys.keys
    own = replace(known, life=replace(known.life, key_id="idt", purpose=ID_TOKEN))
    signing = replace(CONFIGURATION, keys=KeyRing((known, own)))
    asked = IdTokenRequest("ES256", "n", {"name": "Dev"})
    answer = minted(replace(GROUNDS, id_token=asked, auth_time=NOW)).answer
    body = issuing.response(answer, signing, algorithm="ES256")
    header, told = read_unverified(body["id_token"])
    assert header == {"alg": "ES256", "kid": "idt", "typ": openid.ID_TOKEN_TYP}
    assert told == openid.id_token_claims(answer, asked, issuer=signing.tenant.issuer)
    assert (told["iss"], told["aud"], told["nonce"]) == (signing.tenant.issuer, CLIENT.id, "n")


def test_a_token_ends_with_what_it_stands_on():
    """M6, O21-18."""
    lifetime = Tokens().access_token
    soon, sooner = NOW + timedelta(seconds=20), NOW + timedelta(seconds=10)
    ending = replace(CONFIGURATION, agents=Agents({CLIENT.id: replace(AGENT, expires_at=sooner)}))
    assert minted().answer.expires_at == NOW + lifetime
    assert minted(configuration=HELPED).answer.expires_at == NOW + lifetime
    bounded = replace(GROUNDS, expires_at=soon)
    assert minted(bounded).answer.expires_at == soon
    assert minted(bounded, configuration=ending).answer.expires_at == sooner
    late = replace(GROUNDS, expires_at=NOW + lifetime * 2)
    assert minted(late).answer.expires_at == NOW + lifetime
