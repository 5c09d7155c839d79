"""From a company's SAML provider to a token, and every way in which that has to fail."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import select

from authz.admin import connections
from authz.db.models import Identity, Session, SignInAttempt, User
from authz.directory.assurance import MFA
from authz.federation.connector import DENIED, PUBLIC_SENTENCE, SESSION_OVER
from tests.support.corporate_saml import CROSS_SITE, CorporateSaml
from tests.support.harness import LOG, RESOURCE, Harness
from tests.support.saml_idp import CLASSES, STATUSES, A, How, P, key_of

ALL = "logs.read analytics.query logs.debug.write incidents.trigger"
NAMES = {"email_attribute": "mail", "name_attribute": "cn"}
REFEDS = "https://refeds.org/profile/mfa"


@pytest.fixture
def corp(harness):
    """A company whose developers are in `dev`."""
    made = CorporateSaml(harness, settings=NAMES)
    made.said["attributes"] = {
        "groups": ["dev", "all"],
        "mail": ["ada@corp.example"],
        "cn": ["Ada"],
    }
    made.map("groups", "dev", "developer")
    return made


def rows(harness, model):
    with harness.server.database.read() as tx:
        return tx.scalars(select(model).where(model.tenant_id == harness.tenant_id)).all()


def stopped(harness, page, reason, sentence=PUBLIC_SENTENCE):
    """On a page with a sentence and a support id that leads to the reason, and in the trail; nobody is signed in."""
    assert (page.status, page.reason) == (403, reason)
    assert sentence in page.text.replace("&#39;", "'")
    support = next(e["support_id"] for e in reversed(LOG.events) if "support_id" in e)
    assert support in page.text
    assert harness.events("login.refused")[-1]["detail"]["reason"] == reason
    assert rows(harness, Session) == []
    assert rows(harness, Identity) == []


# -- the way there ------------------------------------------------------------------------------------------


def test_from_the_company_to_a_token(harness, corp):
    """SUA-02, ATK-28, L1: who they are, how they signed in, and what their groups mean here."""
    corp.said["context"] = f"{CLASSES}:X509"
    corp.said["authn_instant"] = harness.clock() - timedelta(seconds=40)
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert answer.ok, (answer.json, answer.reason)
    assert answer.scopes == {"logs.read", "analytics.query"}
    claims = harness.claims(answer.access_token)
    (identity,) = rows(harness, Identity)
    assert claims["sub"] == identity.user_id
    assert json.loads(identity.subject)[3] == "ada-7"
    assert (claims["acr"], claims["connection"]) == (f"{CLASSES}:X509", "corp")
    assert claims["auth_time"] == int(harness.clock().timestamp()) - 40
    assert claims["aud"] == RESOURCE
    user = next(it for it in rows(harness, User) if it.id == identity.user_id)
    assert (user.email, user.name) == ("ada@corp.example", "Ada")


def test_a_signed_response_does_where_it_is_asked_for(harness):
    """SAML-01: by a switch of the connection."""
    corp = CorporateSaml(harness, settings={"signed": "response"})
    corp.said = {"attributes": {"groups": ["dev"]}, "signs": ("response",)}
    corp.map("groups", "dev", "developer")
    assert corp.authorize(harness.browser()).code
    browser = harness.browser()
    page = corp.sign_in(browser, browser.start(), signs=("assertion",))
    assert (page.status, page.reason) == (403, "signature_missing")


def test_somebody_is_who_they_were(harness, corp):
    """SAML-08: another address is the same person; the same name with another qualifier is not."""
    corp.authorize(harness.browser())
    corp.said["attributes"] = {"groups": ["dev"], "mail": ["married@corp.example"]}
    corp.authorize(harness.browser())
    assert len(rows(harness, Identity)) == 1
    corp.said["sp_name_qualifier"] = "https://another.example"
    corp.authorize(harness.browser())
    assert len({it.user_id for it in rows(harness, Identity)}) == 2


def test_step_up_goes_upstream(harness, corp):
    """SUA-01: what a client asks of a sign-in is asked of the provider, and judged by what comes back."""
    browser = harness.browser()
    assert corp.authorize(browser).code
    assert corp.asked[-1].get("ForceAuthn") is None
    harness.clock.advance(minutes=20)
    corp.said["context"] = REFEDS
    page = corp.authorize(browser, acr_values=MFA, max_age="600")
    assert corp.asked[-1].get("ForceAuthn") == "true"
    assert corp.asked[-1].findtext(f"{P}RequestedAuthnContext/{A}AuthnContextClassRef") == REFEDS
    claims = harness.claims(harness.redeem(page.code).access_token)
    assert (claims["acr"], claims["auth_time"]) == (MFA, int(harness.clock().timestamp()))


def test_a_weaker_sign_in_is_an_answer_and_no_loop(harness, corp):
    page = corp.authorize(harness.browser(), acr_values=MFA)
    assert page.error == "unmet_authentication_requirements"
    assert len(corp.asked) == 1


def test_a_provider_that_only_pretends(harness, corp):
    """SUA-04: asked for a new sign-in it answers from its session."""
    browser = harness.browser()
    corp.authorize(browser)
    sessions = len(rows(harness, Session))
    hour_ago = harness.clock() - timedelta(hours=1)
    page = corp.sign_in(browser, browser.start(prompt="login"), authn_instant=hour_ago)
    assert (page.status, page.reason) == (403, "authentication_too_old")
    assert len(rows(harness, Session)) == sessions


def test_a_session_ends_with_the_companys(harness, corp):
    """OIDC-08 has its like in SAML: SessionNotOnOrAfter bounds our session and every token from it."""
    ends_at = harness.clock() + timedelta(seconds=300)
    corp.said["session_ends"] = ends_at
    browser = harness.browser()
    answer = harness.redeem(corp.authorize(browser).code)
    assert harness.claims(answer.access_token)["exp"] <= ends_at.timestamp()
    harness.clock.advance(seconds=301)
    assert "/login/start" in browser.start().text
    assert harness.refresh(answer.refresh_token).error == "invalid_grant"


def test_nothing_of_theirs_is_kept_or_logged(harness, corp):
    """MCP-AS-98, ATK-66: neither the response nor the relay state, in the log or the database."""
    mark = len(LOG.events)
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    fields = corp.answer(left)
    page = browser.get(corp.post(fields).location)
    answer = harness.redeem(browser.decide(browser.get(harness.server.base + page.location)).code)
    told = json.dumps([LOG.events[mark:], harness.events(), answer.json], default=str)
    models = (Session, Identity, User, SignInAttempt)
    stored = str([vars(row) for model in models for row in rows(harness, model)])
    for secret in (fields["SAMLResponse"], fields["SAMLResponse"][100:180], fields["RelayState"]):
        assert secret not in told
        assert secret not in stored


# -- one browser, one request, once -------------------------------------------------------------------------


def test_the_response_comes_without_our_cookie_and_the_ticket_needs_it(harness, corp):
    """SAML-04, ATK-17: what was verified goes to the browser that began, and to no other."""
    mine, other = harness.browser(), harness.browser()
    left = corp.leave(mine, mine.start())
    corp.leave(other, other.start())
    posted = corp.post(corp.answer(left))
    assert "set-cookie" not in posted.response.headers
    for stranger in (other, harness.browser()):
        page = stranger.get(posted.location)
        stopped(harness, page, "ticket_unknown", "began in another browser")
    # And they spent nothing of mine.
    assert mine.get(posted.location).status == 303
    again = mine.get(posted.location)
    assert (again.status, again.reason) == (403, "ticket_unknown")


def test_a_ticket_is_good_for_a_minute(harness, corp):
    browser = harness.browser()
    posted = corp.post(corp.answer(corp.leave(browser, browser.start())))
    harness.clock.advance(seconds=60)
    stopped(harness, browser.get(posted.location), "ticket_unknown", "is too old")


def test_a_response_is_posted_once(harness, corp):
    """SAML-05, ATK-33: the second finds no request that it could be the answer to."""
    browser = harness.browser()
    fields = corp.answer(corp.leave(browser, browser.start()))
    assert corp.post(fields).status == 303
    stopped(harness, corp.post(fields), "unsolicited")


def test_an_assertion_is_good_once(harness, corp):
    """SAML-05: also where a provider gives it out for a second request, under the same id."""
    browser = harness.browser()
    assert corp.sign_in(browser, browser.start(), assertion_id="_same").is_consent
    sessions = len(rows(harness, Session))
    other = harness.browser()
    page = corp.back(other, corp.leave(other, other.start()), assertion_id="_same")
    assert (page.status, page.reason) == (403, "assertion_replayed")
    assert len(rows(harness, Session)) == sessions


def test_the_same_response_at_once(harness):
    """SAML-05, HAR-06: as many as are posted in the same moment, one of them signs somebody in."""
    corp = CorporateSaml(harness, settings={"unsolicited": True})
    fields = {"SAMLResponse": corp.respond(in_response_to=None), "RelayState": ""}
    browsers = [harness.browser() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        pages = list(
            pool.map(lambda it: it.post(corp.place.acs_url, fields, **CROSS_SITE), browsers)
        )
    assert sorted(page.status for page in pages) == [303] + [403] * 7
    assert len(rows(harness, Session)) == 1


def test_rubbish_with_somebodys_state_spends_nothing_of_theirs(harness, corp):
    browser = harness.browser()
    fields = corp.answer(corp.leave(browser, browser.start()))
    stopped(harness, corp.post({**fields, "SAMLResponse": "PHgvPg=="}), "response_malformed")
    posted = corp.post(fields)
    assert browser.get(posted.location).status == 303


def test_a_connection_that_was_switched_off_meanwhile(harness, corp):
    """CVE-2026-2603 and its like: before the answer, and between the answer and the ticket."""
    browser = harness.browser()
    early = corp.answer(corp.leave(browser, browser.start()))
    late = corp.post(corp.answer(corp.leave(browser, browser.start())))
    harness.change(connections.set_status, "corp", "disabled")
    for page in (corp.post(early), browser.get(late.location)):
        assert (page.status, page.reason) == (404, "connection_unknown")
    assert rows(harness, Session) == []


# -- what is refused ----------------------------------------------------------------------------------------

DEFECTS = {
    "unsigned": ({"signs": ()}, "signature_missing"),
    "another key": ({"how": How(key=key_of("stranger"))}, "signature_wrong"),
    "another issuer": ({"issuer": "https://evil.example"}, "issuer_mismatch"),
    "another audience": ({"audiences": (("https://evil.example",),)}, "audience_mismatch"),
    "no audience": ({"audiences": ()}, "audience_missing"),
    "another recipient": ({"recipient": "https://evil.example"}, "recipient_mismatch"),
    "another destination": ({"destination": "https://evil.example"}, "destination_mismatch"),
    "another request": ({"confirmed_in_response_to": "id_x"}, "in_response_to_mismatch"),
    "too late": ({"confirmed_not_on_or_after": "2020-01-01T00:00:00Z"}, "confirmation_expired"),
    "a name for once": (
        {"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
        "name_id_transient",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_ends_on_a_page(harness, corp, name):
    """What each defect is called stands in tests/federation; that none of them makes a session, here."""
    said, reason = DEFECTS[name]
    browser = harness.browser()
    page = corp.back(browser, corp.leave(browser, browser.start()), **said)
    stopped(harness, page, reason)
    assert page.text.partition('href="')[2].partition('"')[0], "a way back to the application"


@pytest.mark.parametrize(
    ("said", "reason", "sentence"),
    [
        ({"status": (f"{STATUSES}:Responder",)}, "upstream_error", DENIED),
        ({"session_ends": "2020-01-01T00:00:00Z"}, "session_over", SESSION_OVER),
    ],
    ids=["refused", "session"],
)
def test_what_is_no_defect_says_what_to_do(harness, corp, said, reason, sentence):
    browser = harness.browser()
    page = corp.back(browser, corp.leave(browser, browser.start()), **said)
    stopped(harness, page, reason, sentence)


def test_unsolicited_responses_are_off(harness, corp):
    """SAML-06, ATK-18: Eve's own response, posted by the victim's browser, signs nobody in."""
    victim = harness.browser()
    pending = victim.start()
    sent = corp.respond(in_response_to=None)
    for state in ("", "sta_x"):
        fields = {"SAMLResponse": sent, "RelayState": state}
        stopped(harness, victim.post(corp.place.acs_url, fields, **CROSS_SITE), "unsolicited")
    assert corp.sign_in(victim, pending).is_consent


def test_unsolicited_responses_lead_nowhere_where_they_are_on(harness):
    """SAML-06: to a neutral page, never on with a request of an application, whatever RelayState says."""
    corp = CorporateSaml(harness, settings={"unsolicited": True})
    browser = harness.browser()
    left = corp.leave(browser, browser.start())
    state = corp.answer(left)["RelayState"]
    pending = corp.post({"SAMLResponse": corp.respond(in_response_to=None), "RelayState": state})
    stopped(harness, pending, "in_response_to_missing")
    for number, relay in enumerate(["", "https://evil.example/", "/authorize?client_id=x"]):
        sent = corp.respond(in_response_to=None, assertion_id=f"_u{number}")
        fields = {"SAMLResponse": sent, "RelayState": relay}
        page = browser.post(corp.place.acs_url, fields, **CROSS_SITE)
        assert page.status == 303
        assert "authorize" not in page.location
        assert "evil" not in page.location
        assert page.location.startswith("/")


@pytest.mark.parametrize(
    "body",
    [
        lambda good: f"%53AMLResponse={quote('PHgvPg==', safe='')}&{good}",
        lambda good: f"{good}&%53AMLResponse={quote('PHgvPg==', safe='')}",
        lambda good: f"{good}&SAMLResponse=",
        lambda good: f"{good}&RelayState=x",
    ],
    ids=["escaped first", "escaped last", "empty", "state"],
)
def test_a_field_is_there_once_however_it_is_spelt(harness, corp, body):
    """CVE-2026-117691: what one reader verifies and another one reads."""
    browser = harness.browser()
    good = urlencode(corp.answer(corp.leave(browser, browser.start())))
    headers = {"Content-Type": "application/x-www-form-urlencoded", **CROSS_SITE}
    answer = harness.http.post(corp.place.acs_url, content=body(good), headers=headers)
    assert answer.status_code == 400
    assert rows(harness, Session) == []
    assert harness.http.post(corp.place.acs_url, content=good, headers=headers).status_code == 303


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"]
)
def test_a_response_comes_in_a_form(harness, corp, kind):
    browser = harness.browser()
    good = urlencode(corp.answer(corp.leave(browser, browser.start())))
    headers = {"Content-Type": kind, **CROSS_SITE}
    answer = harness.http.post(corp.place.acs_url, content=good, headers=headers)
    assert answer.status_code == 400
    assert rows(harness, Session) == []


def test_a_body_is_bounded(harness, corp):
    """SAML-11, ATK-62: before it is read as a form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", **CROSS_SITE}
    body = b"SAMLResponse=" + b"A" * 1024 * 1024
    answer = harness.http.post(corp.place.acs_url, content=body, headers=headers)
    assert answer.status_code == 413
    browser = harness.browser()
    fields = corp.answer(corp.leave(browser, browser.start()))
    fields["SAMLResponse"] = "A" * (256 * 1024 + 4)
    stopped(harness, corp.post(fields), "message_too_large")


def test_the_word_of_a_provider_counts_in_its_tenant_alone(server, harness, corp):
    """N times N: what provider i says is believed at tenant i alone, although all of them sign with one key."""
    tenants = [harness, Harness(server), Harness(server)]
    companies = [corp, *(CorporateSaml(it) for it in tenants[1:])]
    for at, company in enumerate(companies):
        for of, other in enumerate(companies):
            browser = tenants[at].browser()
            fields = company.answer(company.leave(browser, browser.start()))
            request = company.asked[-1].get("ID")
            if at == of:
                assert browser.get(company.post(fields).location).status == 303
                continue
            for place, reason in (
                (other.place, "destination_mismatch"),
                (company.place, "issuer_mismatch"),
            ):
                sent = other.respond(place, in_response_to=request)
                assert company.post({**fields, "SAMLResponse": sent}).reason == reason
    for it in tenants:
        assert len(rows(it, Identity)) == 1
    for it in tenants[1:]:
        it.close()
