"""`prompt`, `max_age` and `login_hint`: how much of the person a client may ask for."""

import pytest

from tests.support.harness import REDIRECT, challenge


def test_a_session_and_a_remembered_consent_answer_without_a_page(harness):
    """MCP-AS-58: the same request again needs nobody."""
    browser = harness.browser()
    first = browser.authorize()
    harness.clock.advance(seconds=1)
    again = browser.start()
    assert again.code
    assert again.code != first.code
    assert [e["detail"]["by"] for e in harness.events("code.issued")] == ["consent", "remembered"]


def test_prompt_none_says_what_is_missing(harness):
    """Error codes of OpenID Connect Core 3.1.2.6, with iss (MCP-AS-60); ATK-23."""
    browser = harness.browser()
    page = browser.start(prompt="none")
    assert (page.error, page.reason) == ("login_required", "login_required")
    assert page.sent["iss"] == harness.issuer
    browser.sign_in()
    page = browser.start(prompt="none")
    assert (page.error, page.reason) == ("consent_required", "consent_required")
    assert browser.authorize().code
    assert browser.start(prompt="none").code
    page = browser.start(prompt="none", scope="logs.read analytics.query")
    assert page.error == "consent_required"
    harness.clock.advance(hours=13)
    assert browser.start(prompt="none").error == "login_required"


@pytest.mark.parametrize(
    "prompt", ["login", "select_account", "login select_account", "login consent"]
)
def test_prompt_login_asks_for_the_password_again_once(harness, prompt):
    """Whoever sits there proves themselves; the wish is granted once, the rest of the request stays."""
    browser = harness.browser()
    before = browser.authorize()
    assert before.code
    page = browser.start(prompt=prompt, state="again")
    assert page.is_login
    page = browser.sign_in(page)
    if "consent" in prompt:
        assert page.is_consent
        page = browser.decide(page)
    assert (page.sent["state"], bool(page.code)) == ("again", True)


def test_prompt_consent_shows_the_page_again(harness):
    """Needed by clients that add it for offline_access (mcp.md 8.1)."""
    browser = harness.browser()
    browser.authorize()
    page = browser.start(prompt="consent", scope="logs.read offline_access")
    assert page.is_consent
    assert browser.decide(page).code
    assert browser.start().code


@pytest.mark.parametrize(
    ("max_age", "since", "asks"),
    [
        ("0", 31, True),
        ("0", 29, False),
        ("60", 59, False),
        ("60", 61, True),
        ("999999999", 60, False),
    ],
)
def test_max_age_asks_for_a_fresh_sign_in(harness, max_age, since, asks):
    """A sign-in of the last 30 seconds satisfies any value, or `0` could never be met."""
    browser = harness.browser()
    browser.authorize()
    harness.clock.advance(seconds=since)
    page = browser.start(max_age=max_age)
    assert page.is_login is asks
    silent = browser.start(max_age=max_age, prompt="none")
    assert silent.error == ("login_required" if asks else None)
    if asks:
        assert browser.sign_in(page).code


def test_a_login_hint_fills_the_field_and_decides_nothing(harness):
    """ATK-11, ATK-65: also for somebody who does not exist, and cut to what a login may be."""
    page = harness.browser().start(login_hint="sre@example.com")
    assert 'value="sre@example.com"' in page.text
    known = harness.browser().start(login_hint="x" * 400)
    assert f'value="{"x" * 254}"' in known.text
    browser = harness.browser("dev@example.com")
    page = browser.sign_in(browser.start(login_hint="sre@example.com"))
    assert "dev@example.com" in page.text


def test_a_post_to_the_authorization_endpoint_is_not_possible(harness):
    """O21-05: one way in, without a form that another site could send."""
    answer = harness.http.post(f"{harness.issuer}/authorize", data=harness.request)
    assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, False)


def test_a_code_is_bound_to_the_request_that_made_it(harness):
    """MCP-AS-57, ATK-04, O21-02."""
    other = harness.add_client(redirect_uris=(REDIRECT,)).client.id
    code = harness.browser().authorize().code
    assert harness.redeem(code, client_id=other).reason == "code_of_other_client"
    assert harness.redeem(code, code_verifier="x" * 43).reason == "pkce_mismatch"
    assert harness.redeem(code, redirect_uri=REDIRECT + "/").reason == "redirect_uri_mismatch"
    assert harness.redeem(code, code_verifier=challenge()).reason == "pkce_mismatch"
    assert harness.redeem(code, code_verifier=None).reason == "code_verifier_missing"
    assert harness.redeem(code).ok
