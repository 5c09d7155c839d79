"""Asking for more: a better sign-in (RFC 9470, SUA-01 to SUA-04) and more scopes (MCP-AS-72)."""

import pytest
from sqlalchemy import update

from authz.db.models import Consent, Session
from tests.support.harness import REDIRECT

PASSWORD = "urn:authz:acr:password"
STRONGER = "urn:example:acr:hardware-key"


@pytest.fixture
def known(harness):
    """A browser whose person is signed in and has allowed the client once."""
    browser = harness.browser()
    assert browser.authorize().code
    return browser


def set_acr(harness, acr):
    """As if every session of the tenant had come from another way to sign in."""
    with harness.server.database.write() as tx:
        tx.execute(update(Session).where(Session.tenant_id == harness.tenant_id).values(acr=acr))


# -- acr_values -------------------------------------------------------------------------------------------


def test_how_the_person_signed_in_goes_all_the_way_to_the_server(harness):
    """SUA-02: access token, introspection and every refresh say it, of the sign-in and not of the moment."""
    made = harness.add_client(auth_method="client_secret_post")
    client = {"client_id": made.client.id, "client_secret": made.secret}
    began = int(harness.clock().timestamp())
    page = harness.browser().authorize(client_id=made.client.id)
    harness.clock.advance(seconds=20)
    answer = harness.redeem(page.code, **client)
    first = harness.claims(answer.access_token)
    assert (first["acr"], first["amr"]) == (PASSWORD, ["pwd"])
    assert began <= first["auth_time"] <= began + 3
    harness.clock.advance(minutes=5)
    again = harness.claims(harness.refresh(answer.refresh_token, **client).access_token)
    assert (again["acr"], again["auth_time"]) == (PASSWORD, first["auth_time"])
    told = harness.http.post(
        f"{harness.issuer}/introspect", data={"token": answer.access_token, **client}
    ).json()
    assert (told["acr"], told["auth_time"]) == (PASSWORD, first["auth_time"])


@pytest.mark.parametrize("asked", [PASSWORD, f"{STRONGER} {PASSWORD}", f"{PASSWORD} {STRONGER}"])
def test_a_session_that_does_is_not_asked_again(harness, known, asked):
    """SUA-01: any of the values will do."""
    assert known.start(acr_values=asked).code
    assert known.start(acr_values=asked, prompt="none").code


@pytest.mark.parametrize("asked", [STRONGER, f"{STRONGER} urn:example:other", "password", "0"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_what_nobody_can_do_here_is_said_at_once(harness, known, asked, signed_in):
    """SUA-01, RFC 9470 section 5: before anybody types a password for nothing."""
    browser = known if signed_in else harness.browser()
    page = browser.start(acr_values=asked)
    assert (page.error, page.reason) == ("unmet_authentication_requirements", "acr_unsupported")
    assert page.sent["iss"] == harness.issuer


def test_too_many_values_are_refused(harness, known):
    page = known.start(acr_values=" ".join(f"a{n}" for n in range(21)))
    assert (page.error, page.reason) == ("invalid_request", "acr_values")


@pytest.mark.parametrize("before", [None, STRONGER])
def test_a_session_that_does_not_do_signs_in_again(harness, known, before):
    """SUA-01: on either way through /authorize, and without a page it says so."""
    set_acr(harness, before)
    assert known.start().code
    assert known.start(acr_values=PASSWORD, prompt="none").error == "login_required"
    page = known.start(acr_values=PASSWORD, state="up")
    assert page.is_login
    page = known.sign_in(page)
    assert page.sent["state"] == "up"
    assert harness.claims(harness.redeem(page.code).access_token)["acr"] == PASSWORD


def test_a_sign_in_that_still_does_not_do_is_an_answer_and_not_a_loop(harness, known):
    """SUA-01, SUA-04: the person did what they could."""
    set_acr(harness, None)
    page = known.start(acr_values=PASSWORD)
    fields = {"login": "dev@example.com", "password": PASSWORD_TEXT, "continue": ""}
    fields["continue"] = page.field("continue")
    posted = known.post(f"{harness.issuer}/login", fields)
    set_acr(harness, STRONGER)
    page = known.get(harness.server.base + posted.location)
    assert (page.error, page.reason) == ("unmet_authentication_requirements", "acr_unmet")
    refused = harness.events("authorization.refused")[-1]
    assert refused["detail"]["reason"] == "acr_unmet"
    # Started anew by the client, it is a new question.
    assert known.start(acr_values=PASSWORD).is_login


PASSWORD_TEXT = "correct horse battery staple"


@pytest.mark.parametrize("mark", ["", "0" * 16, "x", "dev@example.com"])
def test_no_client_can_claim_that_the_person_has_just_signed_in(harness, known, mark):
    """SUA-04: a mark that is not of this session counts for nothing."""
    set_acr(harness, None)
    page = known.start(acr_values=PASSWORD, signed_in_by=mark)
    assert page.is_login
    assert known.sign_in(page).code


def test_max_age_and_acr_values_both_have_to_be_met(harness, known):
    """SUA-01: `max_age` is hard."""
    harness.clock.advance(minutes=5)
    assert known.start(acr_values=PASSWORD).code
    page = known.start(acr_values=PASSWORD, max_age="60")
    assert page.is_login
    assert known.sign_in(page).code


def test_the_metadata_lists_what_can_be_asked_for(harness):
    """SUA-03."""
    found = harness.http.get(
        f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    ).json()
    assert found["acr_values_supported"] == [PASSWORD]


# -- more scopes ------------------------------------------------------------------------------------------


def test_only_what_is_new_is_asked_and_the_token_holds_all(harness, known):
    """MCP-AS-72, SEP-2350: the earlier scopes are listed, not asked, and cannot be unticked by accident."""
    page = known.start(scope="logs.read analytics.query")
    assert page.offered == ["analytics.query"]
    assert "Read logs" in page.text
    answer = harness.redeem(known.decide(page).code)
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert known.start(scope="logs.read analytics.query").code


def test_a_no_to_what_is_new_leaves_what_was(harness, known):
    """MCP-AS-72: refused or unticked, the earlier grant stays."""
    page = known.start(scope="logs.read analytics.query")
    assert known.decide(page, allow=False).error == "access_denied"
    assert known.start(scope="logs.read").code
    page = known.start(scope="logs.read analytics.query")
    answer = harness.redeem(known.decide(page, scopes=[]).code)
    assert answer.scopes == {"logs.read"}
    assert known.start(scope="logs.read analytics.query").is_consent


def test_prompt_consent_asks_everything_and_can_take_back(harness, known):
    """O21-25: what is shown with a tick and unticked is taken back."""
    page = known.start(scope="logs.read analytics.query", prompt="consent")
    assert page.offered == ["analytics.query", "logs.read"]
    assert "Allowed before" in page.text
    answer = harness.redeem(known.decide(page, scopes=["analytics.query"]).code)
    assert answer.scopes == {"analytics.query"}
    assert known.start(scope="logs.read").is_consent


def test_a_client_that_any_program_could_be_is_asked_everything(harness):
    """ATK-13, CIMD-25: an earlier yes was for whoever listened then."""
    local = {"redirect_uri": "http://127.0.0.1:4242/callback"}
    local["client_id"] = harness.serve_document(redirect_uris=["http://127.0.0.1/callback"])
    browser = harness.browser()
    assert browser.authorize(**local).code
    page = browser.start(**local, scope="logs.read analytics.query")
    assert page.offered == ["analytics.query", "logs.read"]


def test_what_was_revoked_while_the_person_read_is_not_granted_unasked(harness, known):
    """MCP-AS-72, ATK-14: the page did not ask for it, so it has to stand at the moment of the answer."""
    page = known.start(scope="logs.read analytics.query")
    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(revoked_at=harness.clock())
        )
    answer = harness.redeem(known.decide(page).code)
    assert answer.scopes == {"analytics.query"}


def test_a_yes_in_another_tab_is_not_a_yes_here(harness, known):
    """MCP-AS-72: what this page showed with a tick, it decides."""
    page = known.start(scope="logs.read analytics.query")
    other = known.start(scope="logs.read analytics.query")
    assert known.decide(other).code
    answer = harness.redeem(known.decide(page, scopes=[]).code, redirect_uri=REDIRECT)
    assert answer.scopes == {"logs.read"}
