"""Who may still use a password: home-realm discovery without enumeration, mandatory domains, break-glass (M2)."""

import os

import pytest

from authz.admin import connections, users
from authz.db.models import Session, SignInAttempt
from tests.support.connections import connection, domain
from tests.support.corporate import Corporate
from tests.support.fake_idp import SECRET
from tests.support.harness import LOG, PASSWORD

WRONG = "That name and password do not match."


@pytest.fixture
def corp(harness):
    """example.com, where the harness's people are, belongs to a connection and has to use it."""
    return add(harness, mandatory=True)


def add(harness, *, mandatory=False, verified=True):
    now = harness.clock()
    row = connection(harness.tenant_id, "okta", now)
    with harness.server.database.write() as tx:
        tx.add(row)
        tx.flush()
        tx.add(domain(row, "example.com", now, verified=verified, mandatory=mandatory))
    return row


def password(harness, login="dev@example.com", word=PASSWORD):
    return harness.browser().post(
        f"{harness.issuer}/login", {"login": login, "password": word, "continue": ""}
    )


def test_without_a_connection_the_page_is_the_password_form(harness):
    page = harness.browser().start()
    assert page.is_login
    assert "/login/start" not in page.text


def test_with_one_there_is_a_button_and_a_field(harness):
    add(harness)
    page = harness.browser().start()
    assert "Continue with <bdi>Okta</bdi>" in page.text
    assert 'name="password"' not in page.text
    assert harness.count(SignInAttempt) == 0  # nothing is stored for who only looks (MCP-AS-96)


@pytest.mark.parametrize("login", ["dev@example.org", "nobody@example.org", "dev", "a@b@c", ""])
def test_an_address_of_no_domain_gets_the_password_form(harness, login):
    """OIDC-10: the answer depends on the domain alone."""
    add(harness)
    browser = harness.browser()
    page = browser.start()
    fields = {"continue": page.field("continue"), "then": "authorize", "login": login}
    asked = browser.post(f"{harness.issuer}/login/start", fields)
    assert (asked.status, asked.is_login) == (200, True)
    assert asked.field("continue") == page.field("continue")


def test_each_domain_leads_to_its_own_connection(harness, monkeypatch):
    """M2: whole, never by its ending; and what is typed there goes along to the provider."""
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)
    of = {"corp.example": Corporate(harness, "one"), "sub.corp.example": Corporate(harness, "two")}
    with harness.server.database.write() as tx:
        for name, company in of.items():
            row = connections.load(tx, harness.tenant_id, company.slug)
            tx.add(domain(row, name, harness.clock(), verified=True, mandatory=True))
    browser = harness.browser()
    page = browser.start()
    fields = {"continue": page.field("continue"), "then": "authorize"}
    for name, company in of.items():
        left = browser.post(f"{harness.issuer}/login/start", {**fields, "login": f"A@{name}"})
        assert left.status == 303
        company.idp.authorize(left.location)
        assert company.idp.asked[-1]["login_hint"] == f"A@{name}"
    unknown = browser.post(f"{harness.issuer}/login/start", {**fields, "login": "a@b.corp.example"})
    assert unknown.is_login


def test_nobody_comes_in_by_a_weaker_door(harness, monkeypatch):
    """M2, S8: an address of a domain that has to use one connection is refused where another one asserts it."""
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)
    strong, weak = Corporate(harness, "strong"), Corporate(harness, "weak")
    with harness.server.database.write() as tx:
        row = connections.load(tx, harness.tenant_id, "strong")
        tx.add(domain(row, "corp.example", harness.clock(), verified=True, mandatory=True))
    browser = harness.browser()
    page = weak.sign_in(browser, browser.start())
    assert (page.status, page.reason) == (403, "domain_of_other_connection")
    assert harness.count(Session) == 0
    assert harness.events("login.refused")[-1]["detail"]["reason"] == page.reason
    browser = harness.browser()
    assert strong.back(browser, strong.leave(browser, browser.start())).status == 303


def test_a_password_can_be_asked_for(harness, corp):
    browser = harness.browser()
    page = browser.start()
    fields = {"continue": page.field("continue"), "then": "authorize", "login": "dev@example.com"}
    asked = browser.post(f"{harness.issuer}/login/start", {**fields, "with": "password"})
    assert asked.is_login
    assert asked.field("login") == "dev@example.com"


def test_people_of_a_mandatory_domain_have_no_password_here(harness, corp):
    """The same page as a wrong one: it tells nobody that the password was right."""
    right, wrong = password(harness), password(harness, word="wrong")
    assert (right.status, right.text) == (wrong.status, wrong.text) == (400, right.text)
    assert WRONG in right.text
    reasons = [e["detail"]["reason"] for e in harness.events("login.failed")]
    assert reasons == ["connection_mandatory", "password_wrong"]
    assert harness.count(Session) == 0


@pytest.mark.parametrize("given", [{"mandatory": False}, {"mandatory": True, "verified": False}])
def test_where_it_is_not_mandatory_or_not_proved_they_do(harness, given):
    add(harness, **given)
    assert password(harness).status == 303


def test_an_address_counts_as_a_login_does(harness, corp):
    """A login of another form is no way round the domain."""
    user_id = harness.add_user("plain")
    with harness.server.database.write() as tx:
        users.users.load(tx, harness.tenant_id, user_id).email = "plain@example.com"
    assert WRONG in password(harness, "plain").text


def test_the_emergency_door_is_told_loudly(harness, corp):
    harness.change(users.set_break_glass, "dev@example.com", allowed=True)
    mark = len(LOG.events)
    assert password(harness).status == 303
    (event,) = harness.events("login.break_glass")
    assert event["detail"] == {"domain": "example.com"}
    warned = [it for it in LOG.events[mark:] if it["event"] == "login.break_glass"]
    assert [it["domain"] for it in warned] == ["example.com"]
    harness.change(users.set_break_glass, "dev@example.com", allowed=False)
    assert WRONG in password(harness).text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"connection": "entra"}, 403),
        ({"connection": ""}, 403),
        ({"connection": "okta", "continue": "a=\x00"}, 400),
        ({"connection": "okta", "then": "elsewhere"}, 400),
        ({"connection": "okta", "continue": "x" * 20_000}, 400),
    ],
    ids=["unknown", "empty", "nul", "elsewhere", "long"],
)
def test_a_form_that_is_not_ours_stores_nothing(harness, corp, fields, status):
    page = harness.browser().post(f"{harness.issuer}/login/start", {"continue": "", **fields})
    assert page.status == status
    assert harness.count(SignInAttempt) == 0


def test_a_form_of_another_site_starts_nothing(harness, corp):
    """ATK-18."""
    page = harness.browser().post(
        f"{harness.issuer}/login/start",
        {"connection": "okta", "continue": ""},
        **{"Sec-Fetch-Site": "cross-site"},
    )
    assert (page.status, page.reason) == (403, "foreign_form")


@pytest.mark.parametrize("path", ["callback?state=sta_x&code=c", "finish?ticket=tkt_x"])
def test_an_answer_nobody_waits_for_is_refused(harness, corp, path):
    """ATK-17, ATK-18: whoever is sent here by somebody else ends on a page."""
    page = harness.browser().get(f"{harness.issuer}/federation/okta/{path}")
    assert (page.status, page.reason) == (
        403,
        "attempt_unknown" if "state" in path else "ticket_unknown",
    )
    assert harness.count(Session) == 0


@pytest.mark.parametrize("path", ["callback", "finish"])
def test_a_connection_that_is_not_there_has_no_address(harness, path):
    page = harness.browser().get(f"{harness.issuer}/federation/okta/{path}?state=x")
    assert (page.status, page.reason) == (404, "connection_unknown")
