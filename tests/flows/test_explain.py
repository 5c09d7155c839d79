"""Why a token holds what it holds, told from its record (item 4)."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from authz.admin import clients, explain, roles, users
from authz.db.models import IssuedToken
from authz.errors import NotFound
from authz.oauth.subjects import load_subject
from authz.policy import Ceiling, Reason, decide
from tests.support.harness import RESOURCE, SCOPES, Harness
from tests.support.signed_in import signed_in

EVERYTHING = [s.name for s in SCOPES]


def explained(harness, access_token):
    with harness.server.database.read() as tx:
        jti = harness.claims(access_token)["jti"]
        return explain.explain(tx, harness.tenant_id, jti, harness.clock())


def test_every_scope_has_its_reason(harness):
    """L4: granted by which role, removed why, in words."""
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
    code = harness.code(requested=[*EVERYTHING, "no.such"], scopes=EVERYTHING)
    it = explained(harness, harness.redeem(code).access_token)
    assert it.granted == {"logs.read": "role developer"}
    assert it.removed == {
        "analytics.query": "this client is not allowed to have it",
        "incidents.trigger": "no role of this person holds it",
        "logs.debug.write": "no role of this person holds it",
        "no.such": "the MCP server does not declare this scope",
    }
    assert (it.login, it.client_name, it.resource) == ("dev@example.com", "Test client", RESOURCE)
    assert (it.valid, it.state) == (True, "valid")
    assert it.recorded.grant_type == "authorization_code"


def test_no_scope_asked_is_told_as_such(harness):
    it = explained(harness, harness.redeem(harness.code(requested=None)).access_token)
    assert it.requested is None
    assert it.granted == {"logs.read": "role developer"}


def test_what_ended_a_token_is_told(harness):
    """ATK-59: a token that is not stored can still be explained."""
    first = harness.redeem(harness.code())
    harness.clock.advance(minutes=10)
    assert explained(harness, first.access_token).state.startswith("expired at ")
    second = harness.redeem(harness.code())
    harness.change(users.disable, "dev@example.com")
    it = explained(harness, second.access_token)
    assert not it.valid
    assert "(user_disabled)" in it.state


def test_another_tenant_cannot_ask(harness, server):
    """M1, ATK-68."""
    other = Harness(server)
    jti = harness.claims(harness.redeem(harness.code()).access_token)["jti"]
    with server.database.read() as tx, pytest.raises(NotFound):
        explain.explain(tx, other.tenant_id, jti, harness.clock())
    other.close()


def test_explain_equals_the_token_whatever_happened(harness):
    """Item 4: what is told equals what is in the token, for every token of a changing life."""
    until = harness.clock() + timedelta(minutes=5)
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com", until=until)
    answers = [harness.redeem(harness.code(requested=EVERYTHING, scopes=EVERYTHING))]
    answers.append(harness.refresh(answers[-1].refresh_token, scope="logs.read incidents.trigger"))
    harness.change(clients.set_ceiling, harness.client_id, frozenset(EVERYTHING[:2]))
    answers.append(harness.refresh(answers[-1].refresh_token))
    harness.clock.advance(minutes=6)
    harness.change(clients.set_ceiling, harness.client_id, None)
    answers.append(harness.refresh(answers[-1].refresh_token))
    assert len({frozenset(a.scopes) for a in answers}) > 2
    for answer in answers:
        it = explained(harness, answer.access_token)
        claims = harness.claims(answer.access_token)
        assert set(it.granted) == set(claims["scope"].split()) == answer.scopes
        assert it.granted.keys().isdisjoint(it.removed)
        assert (it.subject, it.client, it.resource, it.grant_id) == (
            claims["sub"],
            claims["client_id"],
            claims["aud"],
            claims["grant_id"],
        )


def test_a_stored_decision_replays_to_itself(harness):
    """Item 4, L9: the same function over the same policy says the same again."""
    answer = harness.redeem(harness.code("sre", requested=EVERYTHING, scopes=EVERYTHING[:3]))
    harness.refresh(answer.refresh_token)
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
        tokens = list(
            tx.scalars(select(IssuedToken).where(IssuedToken.tenant_id == harness.tenant_id))
        )
        session = signed_in("", harness.users["sre"], harness.clock())
        subject = load_subject(tx, session.user_id, authentication=session.authentication)
    assert len(tokens) == 2
    for token in tokens:
        stored = json.loads(token.decision)
        assert stored["policy_version"] == configuration.policy.version
        withheld = frozenset(s for s, why in stored["removed"].items() if why == "consent_withheld")
        asked = frozenset(stored["requested"])
        replayed = decide(
            configuration.policy,
            subject,
            configuration.policy.resources[token.resource_id],
            client=stored["client"],
            requested=asked,
            ceilings=[Ceiling(Reason.CONSENT_WITHHELD, asked - withheld)],
            now=token.issued_at,
        )
        assert replayed.as_json() == stored
        assert token.scopes == frozenset(stored["granted"])
