"""What everybody sees and ends of their own at `/account` (L7)."""

import re

import pytest

from authz.admin import admins
from authz.db.models import Consent
from tests.support.console import EVIL
from tests.support.harness import SCOPES


def page(browser, **query):
    """Their own page."""
    return browser.get(f"{browser.harness.issuer}/account", **query)


def send(browser, act, **fields):
    """One of its forms."""
    return browser.post(f"{browser.harness.issuer}/account/{act}", fields)


def connected(browser, **parameters):
    """A person who allowed an application, and what it holds; they stay in this browser."""
    code = browser.authorize(**parameters).code
    harness = browser.harness
    client_id = parameters.get("client_id", harness.client_id)
    return harness.redeem(code, client_id=client_id)


def test_a_person_sees_what_is_connected_in_words(harness):
    browser = harness.browser()
    connected(browser)
    connected(harness.browser("sre@example.com"), scope="incidents.trigger")
    shown = page(browser)
    assert shown.status == 200
    assert "Test client" in shown.text
    assert "Operations" in shown.text
    assert "Read logs" in shown.text
    assert "Trigger incidents" not in shown.text
    assert "sre@example.com" not in shown.text
    assert "This browser" in shown.text
    assert shown.response.headers["cache-control"] == "no-store"


def test_who_is_not_signed_in_signs_in_and_comes_back(harness):
    browser = harness.browser()
    asked = page(browser)
    assert asked.is_login
    landed = browser.sign_in(asked)
    assert str(landed.response.url).endswith("/account")
    assert "No application has access on your behalf" in landed.text
    assert "open the console" not in landed.text


def test_an_application_is_disconnected_after_asking_and_has_to_ask_again(harness):
    browser = harness.browser()
    token, again = connected(browser), connected(browser)
    other = connected(harness.browser("sre@example.com"))
    form = {name: page(browser).field(name) for name in ("client_id", "resource_id")}
    asked = send(browser, "disconnect", **form)
    assert asked.status == 200
    assert "Read logs" in asked.text
    assert harness.refresh(token.refresh_token).ok
    done = send(browser, "disconnect", **form, sure="yes")
    assert done.status == 303
    assert "has to ask you again" in browser.get(harness.server.base + done.location).text
    assert harness.refresh(again.refresh_token).error == "invalid_grant"
    assert harness.refresh(other.refresh_token).ok
    ended = harness.events("grant.revoked")
    assert {it["detail"]["reason"] for it in ended} == {"user_disconnected"}
    assert {it["actor"] for it in ended} == {harness.users["dev"]}
    assert browser.start().is_consent
    assert send(browser, "disconnect", **form, sure="yes").status == 404


def test_what_was_allowed_for_good_is_forgotten_with_it(harness):
    browser = harness.browser()
    connected(browser)
    send(
        browser,
        "disconnect",
        client_id=harness.client_id,
        resource_id=harness.resource.id,
        sure="yes",
    )
    key = (harness.tenant_id, harness.users["dev"], harness.client_id, harness.resource.id)
    with harness.server.database.read() as tx:
        assert tx.get_one(Consent, key).revoked_at is not None


def test_nobody_ends_what_is_somebody_elses(harness):
    token = connected(harness.browser("sre@example.com"))
    sre = harness.browser("sre@example.com")
    sre.sign_in(page(sre))
    connected(sre)
    mark = re.search(r'name="mark" value="([^"]+)"', page(sre).text)[1]
    browser = harness.browser()
    browser.sign_in(page(browser))
    stolen = send(
        browser,
        "disconnect",
        client_id=harness.client_id,
        resource_id=harness.resource.id,
        sure="yes",
    )
    assert (stolen.status, stolen.reason) == (404, "not_theirs")
    assert send(browser, "sign-out", mark=mark).status == 404
    assert harness.refresh(token.refresh_token).ok
    assert mark in page(sre).text


def test_a_person_signs_out_one_browser_or_all_others(harness):
    browsers = [harness.browser() for _ in range(3)]
    for browser in browsers:
        browser.sign_in(page(browser))
    here = browsers[0]
    marks = re.findall(r'name="mark" value="([^"]+)"', page(here).text)
    assert len(marks) == 2
    assert send(here, "sign-out", mark=marks[0]).status == 303
    assert send(here, "sign-out", mark=marks[0]).status == 404
    assert send(here, "sign-out-elsewhere").status == 303
    assert [page(it).is_login for it in browsers] == [False, True, True]


def test_requests_for_applications_are_told(harness):
    harness.set_trust("allow_list")
    url = harness.serve_document()
    browser = harness.browser()
    asked = browser.sign_in(browser.start(client_id=url))
    browser.post(f"{harness.issuer}/clients/request", {"request_id": asked.field("request_id")})
    shown = page(browser)
    assert url in shown.text
    assert "waits for an administrator" in shown.text
    other = harness.browser("sre@example.com")
    assert url not in other.sign_in(page(other)).text


def test_a_person_who_administers_finds_the_console(harness):
    harness.change(admins.grant, role="auditor", kind="user", holder="dev@example.com")
    browser = harness.browser()
    assert "open the console" in browser.sign_in(page(browser)).text


@pytest.mark.parametrize("act", ["disconnect", "sign-out", "sign-out-elsewhere"])
def test_a_form_of_another_site_ends_nothing(harness, act):
    """ATK-14."""
    browser = harness.browser()
    connected(browser)
    answer = browser.post(
        f"{harness.issuer}/account/{act}",
        {"client_id": harness.client_id, "resource_id": harness.resource.id, "sure": "yes"},
        **{"Sec-Fetch-Site": "cross-site"},
    )
    assert (answer.status, answer.reason) == (403, "foreign_form")
    assert "Test client" in page(browser).text


@pytest.mark.parametrize("act", ["disconnect", "sign-out", "sign-out-elsewhere"])
def test_who_is_not_signed_in_ends_nothing(harness, act):
    assert send(harness.browser(), act, sure="yes").is_login


def test_what_strangers_wrote_is_text(harness):
    client_id = harness.add_client(name=EVIL).client.id
    harness.add_resource("https://evil.example/mcp", name=EVIL, scopes=SCOPES)
    browser = harness.browser()
    connected(browser, client_id=client_id)
    shown = page(browser)
    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert" in shown.text


def test_a_page_says_what_was_done_by_its_own_words_alone(harness):
    browser = harness.browser()
    browser.sign_in(page(browser))
    assert EVIL not in page(browser, done=EVIL).text


def test_the_landing_page_and_the_way_out_lead_there(harness):
    browser = harness.browser()
    assert f'href="/t/{harness.slug}/account"' in browser.get(harness.issuer).text
    browser.sign_in(page(browser))
    out = browser.post(f"{harness.issuer}/logout", {})
    assert f'href="/t/{harness.slug}/account"' in out.text
