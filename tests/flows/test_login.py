"""Signing in and out: what a stranger can learn, guess, fix in advance or keep."""

import json

import pytest

from authz.admin import users
from authz.db.models import Session
from authz.passwords import hash_password
from tests.support.harness import LOG, PASSWORD

WRONG = "That name and password do not match."


def post(harness, browser=None, **fields):
    browser = browser or harness.browser()
    return browser.post(f"{harness.issuer}/login", fields)


def test_unknown_wrong_and_disabled_look_the_same(harness):
    """ATK-64, ATK-65: same status, same headers, same bytes but for the name that was typed."""
    harness.add_user("gone@example.com")
    harness.change(users.disable, "gone@example.com")
    tries = {
        "unknown": ("who@example.com", "x"),
        "wrong": ("dev@example.com", "x"),
        "disabled": ("gone@example.com", PASSWORD),
        "disabled and wrong": ("gone@example.com", "x"),
        "empty": ("dev@example.com", ""),
        "too long": ("dev@example.com", "x" * 5000),
        "NUL-free control": ("dev@example.com", "\x01\x7f"),
    }
    bodies = {}
    for name, (login, password) in tries.items():
        page = post(harness, login=login, password=password)
        assert page.status == 400
        assert WRONG in page.text
        assert "set-cookie" not in page.response.headers
        bodies[name] = page.text.replace(login, "LOGIN")
    assert len(set(bodies.values())) == 1
    reasons = sorted(e["detail"]["reason"] for e in harness.events("login.failed"))
    assert reasons == ["account_disabled"] + ["password_wrong"] * 5
    assert harness.count(Session) == 0


def test_the_same_work_is_done_for_a_name_nobody_has(harness):
    """ATK-64: one hash is verified either way, so the work is of one size."""
    from time import process_time

    def least(login):
        took = []
        for _ in range(5):
            began = process_time()
            post(harness, browser, login=login, password="wrong")
            took.append(process_time() - began)
        return min(took)

    browser = harness.browser()
    harness.add_user("known@example.com", hash_password(PASSWORD))
    known, unknown = least("known@example.com"), least("nobody@example.com")
    assert 0.4 < known / unknown < 2.5


def test_guessing_a_password_runs_into_a_limit(harness):
    """O21-14, ATK-65: 429 with Retry-After, for names that exist and for others, and it ends by itself."""
    for login in ("dev@example.com", "nobody@example.com"):
        for _ in range(10):
            assert post(harness, login=login, password="wrong").status == 400
        page = post(harness, login=login, password=PASSWORD)
        assert page.status == 429
        assert int(page.response.headers["retry-after"]) == 30
        assert "Too many attempts" in page.text
        assert page.is_login
        harness.clock.advance(minutes=3)
    assert post(harness, login="dev@example.com", password=PASSWORD).status == 303


@pytest.mark.parametrize("spelling", ["DEV@Example.com", "  dev@example.com ", "Dev@EXAMPLE.COM"])
def test_one_account_has_one_budget_however_it_is_spelled(harness, spelling):
    """O21-14: and one password."""
    for _ in range(10):
        post(harness, login="dev@example.com", password="wrong")
    assert post(harness, login=spelling, password=PASSWORD).status == 429
    harness.clock.advance(minutes=10)
    assert post(harness, login=spelling, password=PASSWORD).status == 303


def test_a_login_is_found_in_either_unicode_form(harness):
    """ATK-65: composed and decomposed letters are one name, as they were when the account was made."""
    harness.add_user("jürgen@example.com")
    assert post(harness, login="ju\u0308rgen@example.com", password=PASSWORD).status == 303


def test_one_address_cannot_try_many_names(harness):
    """O21-14: the budget of the address, whatever X-Forwarded-For says (ATK-70)."""
    statuses = []
    for n in range(60):
        browser = harness.browser()
        page = browser.post(
            f"{harness.issuer}/login",
            {"login": f"u{n}@example.com", "password": "x"},
            **{"X-Forwarded-For": f"203.0.113.{n}", "Forwarded": f"for=203.0.113.{n}"},
        )
        statuses.append(page.status)
    harness.clock.advance(minutes=10)
    assert 429 in statuses
    assert statuses.index(429) <= 50


def test_signing_in_makes_a_new_session_whatever_the_browser_brought(harness):
    """ATK-16, ATK-18: a cookie set before is never adopted."""
    name = f"authz-session-{harness.slug}"
    browser = harness.browser()
    browser.http.cookies.set(name, "ses_planted", domain="127.0.0.1", path="/")
    assert browser.start().is_login
    page = post(harness, browser, login="dev@example.com", password=PASSWORD)
    value = page.response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert value.startswith("ses_")
    assert value != "ses_planted"
    again = post(harness, browser, login="dev@example.com", password=PASSWORD)
    assert value not in again.response.headers["set-cookie"]
    planted = harness.browser()
    planted.http.cookies.set(name, "ses_planted", domain="127.0.0.1", path="/")
    assert planted.start().is_login


def test_the_session_cookie_is_out_of_reach(harness):
    """ATK-16, ATK-14: unreadable by script, not sent with foreign forms, gone with the browser."""
    page = post(harness, login="dev@example.com", password=PASSWORD)
    cookie = page.response.headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "path=/", "samesite=lax"}
    assert cookie.startswith(f"authz-session-{harness.slug}=ses_")
    assert page.response.headers["cache-control"] == "no-store"


def test_signing_out_ends_the_session_here_and_there(harness):
    """ATK-16: a copy of the cookie is worthless afterwards."""
    browser = harness.browser()
    browser.authorize()
    thief = harness.browser()
    thief.http.cookies.update(browser.http.cookies)
    assert thief.start().code
    page = browser.post(f"{harness.issuer}/logout", {})
    assert page.status == 200
    assert "Max-Age=0" in page.response.headers["set-cookie"]
    assert thief.start().is_login
    assert len(harness.events("session.ended")) == 1
    assert browser.post(f"{harness.issuer}/logout", {}).status == 200


def test_a_session_ends_by_the_clock_and_with_the_account(harness):
    """O21-19, O21-20, ATK-71."""
    browser = harness.browser()
    browser.authorize()
    harness.clock.advance(hours=11, minutes=59)
    assert browser.start().code
    harness.clock.advance(minutes=1)
    assert browser.start().is_login
    browser.authorize()
    harness.change(users.disable, "dev@example.com")
    assert browser.start().is_login
    harness.change(users.enable, "dev@example.com")
    assert browser.start().is_login


def test_a_new_password_signs_everybody_else_out(harness):
    """O21-19."""
    browser = harness.browser()
    browser.authorize()
    harness.change(users.set_password, "dev@example.com", users.hash_new_password("another one 1"))
    assert browser.start().is_login
    assert post(harness, login="dev@example.com", password=PASSWORD).status == 400
    assert post(harness, login="dev@example.com", password="another one 1").status == 303


def test_passwords_and_sessions_are_in_no_log_and_no_event(harness):
    """ATK-66, MCP-AS-86: canaries through every kind of sign-in, then everything is searched."""
    canary = "canary-7f3a-password"
    mark = len(LOG.events)
    post(harness, login="dev@example.com", password=canary)
    post(harness, login=canary + "@example.com", password=canary)
    post(harness, login="dev@example.com", password=canary, **{"continue": "a=%ff"})
    post(harness, login="dev@example.com", password=canary + "\x00")
    browser = harness.browser()
    page = browser.authorize()
    said = json.dumps(LOG.events[mark:], default=str) + json.dumps(harness.events())
    for secret in (canary, PASSWORD, page.code, *browser.http.cookies.values()):
        assert secret not in said


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"login": "a\x00b", "password": "x"}, "parameter_nul"),
        ({"login": "a", "password": "x\x00"}, "parameter_nul"),
        ({"login": "a", "password": "x", "continue": "state=%ff"}, "parameters_malformed"),
        ({"login": "a", "password": "x", "continue": "ü=1"}, "parameters_malformed"),
        ({"login": "a", "password": "x", "continue": "\u2028"}, "parameters_malformed"),
        ({"login": "a", "password": "x", "continue": "a=1&" * 70}, "parameters_malformed"),
        ({"login": "a", "password": "x", "continue": "a=%00"}, "parameter_nul"),
        ({"login": "a", "password": "x", "continue": "a=" + "b" * 17000}, "query_too_long"),
        ({"login": "a", "password": "x", "continue": "a=" + "b" * 9000}, "parameter_too_long"),
    ],
)
@pytest.mark.parametrize("right", [True, False])
def test_a_mangled_form_is_refused_not_an_error(shared, fields, reason, right):
    """ATK-63: with the right password as with a wrong one."""
    if right and "\x00" not in fields["login"] + fields["password"]:
        fields = {**fields, "login": "dev@example.com", "password": PASSWORD}
    page = post(shared, **fields)
    assert (page.status, page.reason) == (400, reason)
    assert "set-cookie" not in page.response.headers


@pytest.mark.parametrize(
    "client_id",
    [
        "https://[",
        "https://a@b/",
        "https://ⓔvil.example/",
        "https://x\u2100y/",
        "https://" + "a" * 3000,
    ],
)
def test_a_strange_client_name_in_the_form_is_no_error(shared, client_id):
    """ATK-63, CIMD-03: it is shown to nobody either."""
    from urllib.parse import quote

    wanted = f"client_id={quote(client_id)}"
    page = post(shared, login="who@example.com", password="x", **{"continue": wanted})
    assert page.status == 400
    assert WRONG in page.text
    assert "to continue to" not in page.text


@pytest.fixture(scope="module")
def shared(server):
    """One tenant for forms that change nothing."""
    from tests.support.harness import Harness

    made = Harness(server)
    yield made
    made.close()
    server.clock.advance(minutes=10)
