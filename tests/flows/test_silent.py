"""The quick way through /authorize answers what the long way answers, and nothing else."""

import threading

import pytest

from authz.admin import clients, resources, roles, users
from tests.support.harness import RESOURCE


@pytest.fixture
def known(harness):
    """A browser whose person has allowed a confidential client once."""
    made = harness.add_client(auth_method="client_secret_basic")
    browser = harness.browser()
    browser.client_id = made.client.id
    page = browser.authorize(client_id=made.client.id)
    assert page.code
    return browser


def again(browser, **changes):
    return browser.start(**{"client_id": browser.client_id, **changes})


def by(harness):
    return sorted(event["detail"]["by"] for event in harness.events("code.issued"))


def test_a_remembered_consent_is_answered_at_once(harness, known):
    """MCP-AS-58: state, iss and a code that works, and one event."""
    page = again(known, state="other")
    assert page.status == 303
    assert (page.sent["state"], page.sent["iss"]) == ("other", harness.issuer)
    assert by(harness) == ["consent", "remembered"]
    [event] = [e for e in harness.events("code.issued") if e["detail"]["by"] == "remembered"]
    assert event["subject"] == harness.users["dev"]
    assert event["client"] == known.client_id


def test_the_strand_is_the_lanes_own(harness, known):
    """A code that the lane made is in the trail of the lane, and the whole trail verifies."""
    from authz.admin import audit

    again(known)
    with harness.server.database.read() as tx:
        report = audit.verify(tx, harness.server.operator(), harness.tenant_id)
    assert report.fault is None


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "analytics.query"},
        {"prompt": "consent"},
        {"redirect_uri": "https://client.example/other"},
    ],
    ids=["more", "asked to", "another way back"],
)
def test_what_is_new_is_asked(harness, known, changes):
    """MCP-AS-58, MCP-AS-72."""
    if "redirect_uri" in changes:
        with harness.server.database.write() as tx:
            row = clients.load(tx, harness.tenant_id, known.client_id)
            uris = [*row.metadata_["redirect_uris"], changes["redirect_uri"]]
            row.metadata_ = {**row.metadata_, "redirect_uris": uris}
            harness.server.operator().changed(tx, harness.tenant_id, "client.test", row.id)
    page = again(known, **changes)
    assert page.is_consent
    assert by(harness) == ["consent"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resource": "https://unknown.example/"}, "invalid_target"),
        ({"scope": "no.such.scope"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_a_wrong_request_is_refused_in_words(harness, known, changes, error):
    """The quick way never refuses: the long way says what is wrong."""
    assert again(known, **changes).error == error
    assert by(harness) == ["consent"]


def test_a_sign_in_that_is_too_old_is_asked_for_again(harness, known):
    """SUA-01."""
    harness.clock.advance(minutes=10)
    assert again(known, max_age="60").is_login
    assert again(known, max_age="3600").code


def test_prompt_none_is_answered_like_any_other(harness, known):
    """OIDC-02."""
    assert again(known, prompt="none").code
    assert again(known, prompt="none", scope="analytics.query").error == "consent_required"


def test_signed_out_disabled_and_expired(harness, known):
    harness.change(users.disable, "dev@example.com")
    assert again(known).is_login


def test_an_expired_session_signs_in(harness, known):
    harness.clock.advance(hours=13)
    assert again(known).is_login


def test_a_session_of_another_tenant_is_none(harness, known):
    """M1: the cookie of one tenant opens nothing at another, even by its own name."""
    from tests.support.harness import Harness

    other = Harness(harness.server)
    try:
        cookies = list(known.http.cookies.jar)
        stranger = other.browser()
        for cookie in cookies:
            stranger.http.cookies.set(f"authz-session-{other.slug}", cookie.value)
        assert stranger.start().is_login
    finally:
        other.close()


def test_a_role_that_ended(harness, known):
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    assert again(known).error == "access_denied"


def test_a_blocked_client_and_a_disabled_server(harness, known):
    harness.change(resources.set_status, RESOURCE, "disabled")
    assert again(known).error == "invalid_target"
    harness.change(clients.block, known.client_id)
    page = again(known)
    assert (page.status, page.reason) == (400, "client_blocked")


def test_a_revoked_consent_asks_again(harness, known):
    from sqlalchemy import update

    from authz.db.models import Consent

    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(revoked_at=harness.clock())
        )
    assert again(known).is_consent


def test_a_client_nobody_can_prove_is_always_asked(harness):
    """CIMD-25, O21-21: a public client on loopback."""
    made = harness.add_client(redirect_uris=("http://127.0.0.1/callback",))
    browser = harness.browser()
    request = {"client_id": made.client.id, "redirect_uri": "http://127.0.0.1:4711/callback"}
    assert browser.authorize(**request).code
    assert browser.start(**request).is_consent


def test_many_at_once(harness, known):
    """Each gets a code of its own."""
    pages = []

    def visit():
        pages.append(again(known).code)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pages)) == 8
