"""From a company's identity provider to a call of a tool, and every way in which that has to fail."""

import json
import os

import pytest
from sqlalchemy import select

from authz.admin import connections, mappings
from authz.db.models import Identity, Session, SignInAttempt, User
from authz.directory.assurance import MFA
from authz.federation.connector import PUBLIC_SENTENCE, UNREACHABLE
from tests.support.corporate import Corporate
from tests.support.fake_idp import DISCOVERY, GROUPS, SECRET, sign, signing_key, unsigned
from tests.support.harness import LOG, RESOURCE, Harness
from tests.support.oidc_scene import DIRECTORY, OBJECT
from tests.support.web import Reply

ALL = "logs.read analytics.query logs.debug.write incidents.trigger"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)


@pytest.fixture
def corp(harness):
    """A company whose developers are in `dev` and whose engineers on call are in `oncall`."""
    made = Corporate(harness)
    made.idp.person["groups"] = ["dev", "everybody"]
    made.map("groups", "dev", "developer")
    made.map("groups", "oncall", "sre")
    return made


def rows(harness, model):
    with harness.server.database.read() as tx:
        return tx.scalars(select(model).where(model.tenant_id == harness.tenant_id)).all()


def user_of(harness, subject="person-1"):
    return next(it.user_id for it in rows(harness, Identity) if it.subject == subject)


# -- the way there ------------------------------------------------------------------------------------------


def test_from_the_company_to_a_token(harness, corp):
    """SUA-02, ATK-28, L1: who they are, how they signed in, and what their groups mean here."""
    proved_at = int(harness.clock().timestamp()) - 40
    corp.idp.claims |= {"acr": "phr", "amr": ["hwk", "mfa"], "auth_time": proved_at}
    page = corp.authorize(harness.browser(), scope=ALL)
    answer = harness.redeem(page.code)
    assert answer.ok, (answer.json, answer.reason)
    assert answer.scopes == {"logs.read", "analytics.query"}
    claims = harness.claims(answer.access_token)
    assert claims["sub"] == user_of(harness)
    assert (claims["acr"], claims["amr"]) == ("phr", ["hwk", "mfa"])
    assert (claims["auth_time"], claims["connection"]) == (proved_at, "corp")
    assert claims["aud"] == RESOURCE
    again = harness.claims(harness.refresh(answer.refresh_token).access_token)
    assert (again["auth_time"], again["acr"], again["connection"]) == (proved_at, "phr", "corp")


def test_consent_is_asked_whatever_the_company_says(harness, corp):
    """ATK-15, MCP-AS-95: a session at the provider is no leave for a client nobody has met."""
    browser = harness.browser()
    landed = corp.sign_in(browser, browser.start())
    assert landed.is_consent
    other = harness.add_client(name="Stranger").client.id
    assert browser.start(client_id=other).is_consent
    assert len(corp.idp.asked) == 1


def test_nothing_is_stored_before_the_button(harness, corp):
    """MCP-AS-96."""
    browser = harness.browser()
    page = browser.start()
    assert rows(harness, SignInAttempt) == []
    left = corp.leave(browser, page)
    assert len(rows(harness, SignInAttempt)) == 1
    # Nothing of the client goes to the provider, and nothing of ours but the address to come back to.
    for word in (harness.client_id, RESOURCE, "logs.read"):
        assert word not in left.location
    corp.back(browser, left)
    assert rows(harness, SignInAttempt) == []


def test_groups_count_anew_at_each_sign_in(harness, corp):
    corp.idp.person["groups"] = ["oncall"]
    first = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert "incidents.trigger" in first.scopes
    corp.idp.person["groups"] = ["Oncall", "dev ", "*", "oncall\x00"]
    refused = corp.authorize(harness.browser(), scope=ALL)
    assert refused.error == "access_denied"
    assert harness.refresh(first.refresh_token).error in ("access_denied", "invalid_grant")


def test_a_mapping_that_is_taken_back_takes_the_role(harness, corp):
    mapping = corp.map("groups", "everybody", "sre")
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert "incidents.trigger" in answer.scopes
    harness.change(mappings.remove, mapping.id)
    assert harness.refresh(answer.refresh_token).scopes == {"logs.read", "analytics.query"}


@pytest.mark.parametrize("how", ["in the token", "at userinfo"])
def test_a_token_stays_small_for_somebody_with_five_thousand_groups(harness, corp, how):
    """Item 15: below 2 KB."""
    groups = [f"0b1ec700-0000-4000-8000-{n:012x}" for n in range(5000)] + ["dev"]
    corp.idp.person["groups"] = None if how == "at userinfo" else groups
    corp.idp.userinfo["groups"] = groups
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert len(answer.access_token) < 2048


def test_a_token_stays_small_where_entra_only_points_at_the_groups(harness):
    corp = Corporate(
        harness,
        "entra",
        preset="entra",
        path=f"/{DIRECTORY}/v2.0",
        settings={"graph_url": f"{harness.web.url(f'entra.{harness.host}')}{DIRECTORY}/v2.0/v1.0"},
    )
    corp.idp.person |= {"tid": DIRECTORY, "oid": OBJECT}
    corp.idp.claims |= {"_claim_names": {"groups": "src1"}, "amr": ["pwd", "mfa"]}
    ids = [f"0b1ec700-0000-4000-8000-{n:012x}" for n in range(5000)]
    corp.idp.group_pages = [ids[n : n + 999] for n in range(0, 5000, 999)]
    corp.map("groups", ids[4321], "developer")
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert len(answer.access_token) < 2048
    assert corp.idp.count(f"/v1.0{GROUPS}") == 6
    assert harness.claims(answer.access_token)["acr"] == MFA
    assert rows(harness, Identity)[0].subject == f"{DIRECTORY}:{OBJECT}"


def test_nothing_of_theirs_is_kept_or_logged(harness, corp):
    """MCP-AS-98, ATK-66: neither token, nor code, nor verifier, nor secret, in the log, the database or our tokens."""
    mark = len(LOG.events)
    seen = []
    corp.idp.forge = lambda header, claims: (
        seen.append(sign(corp.idp.key, header, claims)) or seen[-1]
    )
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    kept = rows(harness, SignInAttempt)[0].kept
    params = corp.idp.authorize(left.location)
    landed = browser.get(corp.callback(params))
    page = browser.decide(browser.get(harness.server.base + landed.location))
    answer = harness.redeem(page.code)
    told = json.dumps([LOG.events[mark:], harness.events(), answer.json], default=str)
    stored = [
        vars(row)
        for model in (Session, Identity, User, SignInAttempt)
        for row in rows(harness, model)
    ]
    secrets = [
        corp.idp.access_token,
        seen[0],
        params["code"],
        kept["verifier"],
        kept["nonce"],
        SECRET,
    ]
    for secret in secrets:
        assert secret
        assert secret not in told
        assert secret not in str(stored)
    assert SECRET not in str(corp.details)


# -- the ways that have to fail -----------------------------------------------------------------------------


def stopped(harness, page, reason, sentence=PUBLIC_SENTENCE):
    """On a page with what to do and a support id that leads to the reason, and in the trail; nobody is signed in."""
    assert (page.status, page.reason) == (403, reason)
    assert sentence in page.text.replace("&#39;", "'")
    support = next(e["support_id"] for e in reversed(LOG.events) if "support_id" in e)
    assert support in page.text
    event = harness.events("login.refused")[-1]
    assert event["detail"]["reason"] == reason
    assert rows(harness, Session) == []
    assert rows(harness, Identity) == []


DEFECTS = {
    "another issuer": ({"iss": "https://evil.example"}, "id_token_iss"),
    "another audience": ({"aud": "another"}, "id_token_aud"),
    "another nonce": ({"nonce": "another"}, "id_token_nonce"),
    "too old": ({"exp": 1}, "id_token_expired"),
    "nobody": ({"sub": None}, "id_token_sub"),
    "a session that is over": ({"session_expiry": 1}, "upstream_session_over"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_ends_on_a_page(harness, corp, name):
    """What each defect is called stands in tests/federation; that none of them makes a session, here."""
    claims, reason = DEFECTS[name]
    corp.idp.claims |= claims
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start())
    sentence = (
        "session at your identity provider has ended" if "session" in name else PUBLIC_SENTENCE
    )
    stopped(harness, page, reason, sentence)
    again = page.text.partition('href="')[2].partition('"')[0]
    assert again, "the page leads back to the application's request"


def _signed_by(kid):
    """A token of a key that the provider does not publish, under the name of its own or under another."""
    stranger = signing_key("RS256", "k2")
    return {"forge": lambda header, claims: sign(stranger, {**header, "kid": kid}, claims)}


BROKEN = {
    "another key": (_signed_by("k1"), "id_token_signature", PUBLIC_SENTENCE),
    "a key nobody knows": (_signed_by("k2"), "id_token_key_unknown", PUBLIC_SENTENCE),
    "no algorithm": (
        {"forge": lambda header, claims: unsigned({**header, "alg": "none"}, claims)},
        "id_token_alg",
        PUBLIC_SENTENCE,
    ),
    "the secret as a key": (
        {"forge": lambda header, claims: unsigned({**header, "alg": "HS256"}, claims, "AAAA")},
        "id_token_alg",
        PUBLIC_SENTENCE,
    ),
    "an answer of another": (
        {"answer": {"iss": "https://evil.example"}},
        "answer_iss",
        PUBLIC_SENTENCE,
    ),
    "huge": (
        {"replies": {"/token": Reply(200, b" " * 5_000_000, JSON)}},
        "token_too_large",
        PUBLIC_SENTENCE,
    ),
    "unreachable": (
        {"metadata": {"token_endpoint": "https://127.0.0.1:9/token"}},
        "token_connect",
        UNREACHABLE,
    ),
    "slow": (
        {"replies": {"/token": Reply(200, b"{" * 100, JSON, drip=0.2)}},
        "token_timeout",
        UNREACHABLE,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(it, marks=pytest.mark.slow) if it == "slow" else it for it in BROKEN]
)
def test_a_broken_provider_ends_on_a_page(harness, corp, name):
    told, reason, sentence = BROKEN[name]
    for member, value in told.items():
        setattr(corp.idp, member, value)
    browser = harness.browser()
    stopped(harness, corp.sign_in(browser, browser.start()), reason, sentence)


def test_rotated_keys_keep_nobody_out(harness, corp):
    """A new key is fetched when the first token of it comes, and the old one is forgotten with the set it was in."""
    corp.authorize(harness.browser())
    corp.idp.key = signing_key("RS256", "k2")
    harness.clock.advance(seconds=31)  # nobody makes us ask more often
    assert corp.authorize(harness.browser()).code
    corp.idp.forge = lambda header, claims: sign(signing_key(), {**header, "kid": "k1"}, claims)
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start())
    assert (page.status, page.reason) == (403, "id_token_key_unknown")


def test_an_answer_of_theirs_is_no_text_of_ours(harness, corp):
    corp.idp.answer |= {
        "code": None,
        "error": "access_denied",
        "error_description": "<b>Call 0900</b>",
    }
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start())
    stopped(harness, page, "upstream_access_denied", "did not let you in")
    assert "0900" not in page.text


@pytest.mark.parametrize(
    ("path", "reason"),
    [(DISCOVERY, "discovery_status"), ("/jwks", "keys_status"), ("/token", "token_status")],
)
def test_a_provider_that_is_down(harness, corp, path, reason):
    corp.idp.replies[path] = Reply(503, headers=JSON)
    browser = harness.browser()
    page = browser.start()
    left = corp.leave(browser, page)
    if left.status == 303:
        left = corp.back(browser, left)
    stopped(harness, left, reason, UNREACHABLE)


def test_a_secret_that_is_gone(harness, corp, monkeypatch):
    monkeypatch.delitem(os.environ, "IDP_SECRET")
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start())
    stopped(harness, page, "client_secret_missing", "not set up properly")


def test_a_callback_works_once(harness, corp):
    """ATK-17, MCP-AS-96: also while the first answer still would do."""
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    url = corp.callback(corp.idp.authorize(left.location))
    assert browser.get(url).status == 303
    sessions = len(rows(harness, Session))
    again = browser.get(url)
    assert (again.status, again.reason) == (403, "attempt_unknown")
    assert len(rows(harness, Session)) == sessions
    assert corp.idp.count("/token") == 1


@pytest.mark.parametrize("has_cookie", [True, False], ids=["another attempt", "no cookie"])
def test_another_browser_cannot_finish(harness, corp, has_cookie):
    """BCPU-02, ATK-17: neither the victim's answer in the attacker's browser, nor the other way round."""
    mine, other = harness.browser(), harness.browser()
    left = corp.leave(mine, mine.start())
    if has_cookie:
        corp.leave(other, other.start())
    url = corp.callback(corp.idp.authorize(left.location))
    page = other.get(url)
    stopped(harness, page, "attempt_unknown", "began in another browser")
    # And it spent nothing of mine.
    assert mine.get(url).status == 303


def test_an_attempt_is_good_for_ten_minutes(harness, corp):
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    params = corp.idp.authorize(left.location)
    harness.clock.advance(minutes=10)
    stopped(harness, browser.get(corp.callback(params)), "attempt_unknown", "is too old")


def test_an_answer_for_one_connection_is_none_for_another(harness, corp):
    """ATK-02, BCPU-01: two connections of one tenant, one browser, every mixture of their answers."""
    other = Corporate(harness, "other")
    browser = harness.browser()
    left = {it.slug: it.leave(browser, browser.start()) for it in (corp, other)}
    params = {it.slug: it.idp.authorize(left[it.slug].location) for it in (corp, other)}
    swapped = browser.get(corp.callback(params["other"]))
    stopped(harness, swapped, "attempt_unknown", "no longer good")
    mixed = browser.get(corp.callback({**params["other"], "state": params["corp"]["state"]}))
    stopped(harness, mixed, "answer_iss")
    mixed = browser.get(
        other.callback(
            {**params["corp"], "state": params["other"]["state"], "iss": other.idp.issuer}
        )
    )
    stopped(harness, mixed, "token_invalid_grant")
    assert [corp.idp.count("/token"), other.idp.count("/token")] == [0, 1]


def test_a_connection_that_was_switched_off_meanwhile(harness, corp):
    """The class of CVE-2026-1486."""
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    params = corp.idp.authorize(left.location)
    harness.change(connections.set_status, "corp", "disabled")
    page = browser.get(corp.callback(params))
    assert (page.status, page.reason) == (404, "connection_unknown")
    assert rows(harness, Session) == []


def test_the_word_of_a_provider_counts_in_its_tenant_alone(server, harness, corp):
    """N times N: what provider i says is believed at tenant i, whatever is put together with what."""
    tenants = [harness, Harness(server), Harness(server)]
    companies = [corp, *(Corporate(it) for it in tenants[1:])]
    browsers = [it.browser() for it in tenants]
    for at, company in enumerate(companies):
        for of, other in enumerate(companies):
            browser = browsers[at]
            browser.http.cookies.clear()
            left = company.leave(browser, browser.start())
            theirs = other.leave(browsers[of], browsers[of].start()) if of != at else left
            params = other.idp.authorize(theirs.location)
            state = company.idp.authorize(left.location)["state"]
            page = browser.get(company.callback({**params, "state": state}))
            assert (page.status == 303) == (at == of), (at, of, page.reason)
            if at != of:
                assert page.reason == "answer_iss"
    for it in tenants:
        assert len(rows(it, Identity)) == 1
    for it in tenants[1:]:
        it.close()


# -- whose account it is ------------------------------------------------------------------------------------


def test_somebody_is_who_they_were(harness, corp):
    """OIDC-07: another address, another name, the same person; the same address, another subject, another person."""
    corp.authorize(harness.browser())
    first = user_of(harness)
    corp.idp.person |= {"email": "married@corp.example", "name": "New Name"}
    corp.authorize(harness.browser())
    assert user_of(harness) == first
    corp.idp.person |= {"sub": "person-2"}
    corp.authorize(harness.browser())
    assert user_of(harness, "person-2") != first


@pytest.mark.parametrize("verified", [True, False, "true", None])
def test_nobody_takes_over_an_account_by_its_address(harness, verified):
    """ATK-26 (nOAuth): a provider that owns no verified domain here says any address, verified or not."""
    corp = Corporate(harness, links_by_email=True)
    corp.idp.person |= {"email": "sre@example.com", "email_verified": verified}
    corp.authorize(harness.browser(), scope=ALL)
    assert user_of(harness) != harness.users["sre"]


def test_who_has_no_account_gets_none_where_nobody_makes_them(harness):
    corp = Corporate(harness, provisions=False)
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start())
    stopped(harness, page, "not_provisioned", "You have no access here")


# -- how strongly, how recently, how long -------------------------------------------------------------------


def test_step_up_goes_upstream(harness):
    """SUA-01: what a client asks of a sign-in is asked of the provider in its words, and judged by what comes back."""
    corp = Corporate(harness, preset="okta")
    corp.idp.person["groups"] = ["dev"]
    corp.map("groups", "dev", "developer")
    browser = harness.browser()
    assert corp.authorize(browser).code
    corp.idp.claims["acr"] = "urn:okta:loa:2fa:any"
    harness.clock.advance(minutes=20)
    page = corp.authorize(browser, acr_values=MFA, max_age="600")
    assert corp.idp.asked[-1]["acr_values"] == "urn:okta:loa:2fa:any"
    assert corp.idp.asked[-1]["max_age"] == "600"
    claims = harness.claims(harness.redeem(page.code).access_token)
    assert (claims["acr"], claims["auth_time"]) == (MFA, int(harness.clock().timestamp()))


@pytest.mark.parametrize("acr", [None, "1", "urn:authz:acr:password"])
def test_a_weaker_sign_in_is_an_answer_and_no_loop(harness, corp, acr):
    corp.idp.claims |= {"acr": acr, "amr": ["pwd"]}
    page = corp.authorize(harness.browser(), acr_values=MFA)
    assert page.error == "unmet_authentication_requirements"
    assert len(corp.idp.asked) == 1


def test_a_provider_that_only_pretends(harness, corp):
    """SUA-04: asked for a new sign-in it returns the old one."""
    browser = harness.browser()
    corp.authorize(browser)
    corp.idp.claims["auth_time"] = harness.clock().timestamp() - 3600
    sessions = len(rows(harness, Session))
    page = corp.sign_in(browser, browser.start(prompt="login"))
    assert corp.idp.asked[-1]["prompt"] == "login"
    assert (page.status, page.reason) == (403, "auth_time_stale")
    assert len(rows(harness, Session)) == sessions


def test_a_session_ends_with_the_companys(harness, corp):
    """OIDC-08: so do the tokens that came from it; and nothing of it can be refreshed into longer life."""
    ends_at = harness.clock().timestamp() + 300
    corp.idp.claims["session_expiry"] = ends_at
    browser = harness.browser()
    answer = harness.redeem(corp.authorize(browser).code)
    assert harness.claims(answer.access_token)["exp"] <= ends_at
    harness.clock.advance(seconds=200)
    again = harness.refresh(answer.refresh_token)
    assert harness.claims(again.access_token)["exp"] <= ends_at
    harness.clock.advance(seconds=101)
    assert harness.refresh(again.refresh_token).error == "invalid_grant"
    assert "/login/start" in browser.start().text
