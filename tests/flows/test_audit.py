"""Every outcome of the token endpoint is an event with a stable reason (L12, M8, S1, S9, D4)."""

import json

import pytest

from authz.admin import audit as trail
from authz.admin import clients, resources, roles, users
from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import RESOURCE

COMMON = {
    "v",
    "tenant",
    "strand",
    "position",
    "at",
    "kind",
    "subject",
    "client",
    "agent",
    "actor",
    "detail",
}


def unbind(h):
    h.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")


def spent(h):
    code = h.code()
    h.redeem(code)
    return h.redeem(code)


def reused(h):
    first = h.redeem(h.code()).refresh_token
    h.refresh(first)
    h.clock.advance(minutes=2)
    return h.refresh(first)


def redeemed_after(change):
    def act(h):
        code = h.code()
        change(h)
        return h.redeem(code)

    return act


def redeemed_by_somebody_disabled(h):
    """Disabling ends the codes there are; this one was being made at that moment."""
    h.change(users.disable, "dev@example.com")
    return h.redeem(h.code())


def refreshed_after(change, **fields):
    def act(h):
        token = h.redeem(h.code()).refresh_token
        change(h)
        return h.refresh(token, **fields)

    return act


def nothing(h):
    pass


CATALOGUE = {
    "code_unknown": lambda h: h.redeem("azc_x"),
    "code_of_other_client": lambda h: h.redeem(
        h.code(), client_id=h.add_client(name="Other").client.id
    ),
    "pkce_mismatch": lambda h: h.redeem(h.code(), code_verifier="x" * 43),
    "redirect_uri_mismatch": lambda h: h.redeem(h.code(), redirect_uri="https://x.example/"),
    "code_spent": spent,
    "code_expired": redeemed_after(lambda h: h.clock.advance(seconds=61)),
    "subject_disabled": redeemed_by_somebody_disabled,
    "resource_gone": redeemed_after(lambda h: h.change(resources.set_status, RESOURCE, "disabled")),
    "resource_not_authorized": lambda h: h.redeem(h.code(), resource="https://x.example/"),
    "nothing_granted": redeemed_after(unbind),
    "refresh_unknown": lambda h: h.refresh("azr_x.1.y"),
    "refresh_forged": lambda h: h.refresh(h.redeem(h.code()).refresh_token + "A"),
    "refresh_reused": reused,
    "refresh_expired": refreshed_after(lambda h: h.clock.advance(days=15)),
    "family_revoked:user_disabled": refreshed_after(
        lambda h: h.change(users.disable, "dev@example.com")
    ),
    "scope_widened": refreshed_after(nothing, scope="incidents.trigger"),
    "scope_malformed": refreshed_after(nothing, scope='"'),
}


@pytest.mark.parametrize("reason", sorted(CATALOGUE))
def test_each_refusal_appears_once_with_its_reason(harness, reason):
    """M8: the same slug in the log, in the trail, and once."""
    answer = CATALOGUE[reason](harness)
    assert answer.reason == reason
    refused = [e for e in harness.events("token.refused") if e["detail"]["reason"] == reason]
    assert len(refused) == 1
    assert refused[0]["detail"]["error"] == answer.error
    is_of_refreshing = reason.startswith(("refresh_", "family_", "scope_"))
    grant_type = "refresh_token" if is_of_refreshing else "authorization_code"
    assert refused[0]["detail"]["grant_type"] == grant_type
    assert refused[0]["client"]
    assert {"subject", "client", "agent", "actor"} <= refused[0].keys()


def test_a_no_says_who_gave_it_and_to_whom(harness):
    browser = harness.browser()
    page = browser.sign_in(browser.start(scope="logs.read"))
    assert browser.decide(page, allow=False).error == "access_denied"
    [refused] = harness.events("consent.refused")
    assert (refused["subject"], refused["client"]) == (harness.users["dev"], harness.client_id)
    assert refused["detail"]["resource"] == RESOURCE


@pytest.mark.parametrize(
    "act",
    [
        lambda h: h.redeem(h.code(), client_id="nobody"),
        lambda h: h.redeem(h.code(), code_verifier="short"),
        lambda h: h.token({"grant_type": "password", "client_id": h.client_id}),
        lambda h: h.refresh("nonsense"),
    ],
    ids=["unknown-client", "malformed", "unknown-grant", "no-token-of-ours"],
)
def test_what_a_stranger_can_cause_fills_no_table(harness, act):
    """D4, ATK-61: metrics and logs have it, the trail does not."""
    before = len(harness.events())
    assert not act(harness).ok
    assert len(harness.events()) == before


def test_a_blocked_client_reaches_no_table(harness):
    harness.change(clients.block, harness.client_id)
    before = len(harness.events())
    assert harness.redeem(harness.code()).reason == "client_blocked"
    assert len(harness.events()) == before


def test_every_event_has_the_same_outer_fields(harness):
    """S1, S9: human, application and agent are separate, and an absent agent is an explicit null."""
    reused(harness)
    harness.tokens("sre@example.com")
    for event in harness.events():
        assert set(event) == COMMON
        assert event["v"] == 1
        assert event["agent"] is None
        assert event["tenant"] == harness.tenant_id


def test_an_issued_token_is_told_in_full(harness):
    """L2, L12, M5, S9."""
    answer = harness.redeem(harness.code(), resource=RESOURCE)
    claims = harness.claims(answer.access_token)
    [event] = harness.events("token.issued")
    assert (event["subject"], event["client"]) == (claims["sub"], claims["client_id"])
    assert event["detail"] == {
        "grant_type": "authorization_code",
        "jti": claims["jti"],
        "grant_id": claims["grant_id"],
        "resource": RESOURCE,
        "scopes": sorted(answer.scopes),
        "removed": {},
        "policy_version": harness.tenant().config_version,
        "refresh_token": True,
        "retry": False,
        "bound": None,
        "workload": None,
        "assertion": None,
        "actors": [],
        "parent": None,
    }


def test_each_jti_has_one_event(harness):
    """L12, item 11."""
    answers = [harness.redeem(harness.code())]
    for _ in range(5):
        answers.append(harness.refresh(answers[-1].refresh_token))
    answers.append(harness.refresh(answers[-2].refresh_token))
    told = [e["detail"]["jti"] for e in harness.events("token.issued")]
    assert sorted(told) == sorted(harness.claims(a.access_token)["jti"] for a in answers)


def test_the_whole_story_can_be_told_in_order(harness):
    """S5, as far as this server sees it: sign-in, consent, code, token."""
    code = harness.browser().authorize().code
    harness.clock.advance(seconds=1)
    harness.redeem(code)
    kinds = [e["kind"] for e in harness.events()]
    order = ["login.succeeded", "consent.granted", "code.issued", "token.issued"]
    assert [k for k in kinds if k in order] == order


@pytest.mark.parametrize("hostile", ["a\nb", 'a"b', "a\u2028b", "a\x1b[2Jb"])
def test_hostile_input_cannot_forge_an_event(harness, hostile):
    """ATK-67: what a client sends is in no event unless it was checked, and then it is escaped."""
    before = len(harness.events())
    harness.redeem(hostile)
    harness.refresh(f"azr_{hostile}.1.x")
    added = harness.events()[before:]
    assert all(hostile not in json.dumps(e, ensure_ascii=False) for e in added)
    with harness.server.database.read() as tx:
        assert trail.verify(tx, harness.server.operator(), harness.tenant_id).fault is None


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def redeem_in(harness, traceparent, **fields):
    """Redeem a code in a request that names a trace."""
    form = {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": harness.code(),
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT,
        **fields,
    }
    return harness.token(form, traceparent=traceparent)


def test_the_trace_of_a_request_is_in_its_events(harness):
    """S5, S14: of what it issued, and of what it was refused."""
    assert redeem_in(harness, TRACEPARENT).ok
    assert redeem_in(harness, TRACEPARENT, code_verifier="x" * 43).reason == "pkce_mismatch"
    [issued], [refused] = harness.events("token.issued"), harness.events("token.refused")
    assert issued["trace"] == refused["trace"] == f"{TRACE}-{SPAN}"
    assert set(issued) == {*COMMON, "trace"}
    with harness.server.database.read() as tx:
        assert trail.verify(tx, harness.server.operator(), harness.tenant_id).fault is None


@pytest.mark.parametrize("sent", [TRACEPARENT.upper(), f"{TRACEPARENT}-x", "x" * 4000])
def test_a_trace_that_cannot_be_read_harms_nobody(harness, sent):
    """S14: it is a hint of the caller's, and no reason to refuse."""
    assert redeem_in(harness, sent).ok
    [issued] = harness.events("token.issued")
    assert "trace" not in issued
