"""Whatever ends somebody's access ends all of it, at once, and nothing of anybody else (L8, ATK-29, item 7)."""

import pytest

from authz.admin import leaving, users
from authz.db.models import TokenFamily
from tests.support import devices
from tests.support.arrange import VERIFIER
from tests.support.leaving import Provider


@pytest.fixture
def corp(harness):
    return Provider(harness, "corp")


def test_everything_of_one_person_ends_and_nothing_of_others(harness, corp):
    ada, bob = corp.employee("ada"), corp.employee("bob")
    sessions = [ada.sign_in("s1"), ada.sign_in("s2"), ada.sign_in(locally=True)]
    grants = [ada.grant(session) for session in sessions]
    code = ada.code(sessions[0])
    others = bob.sign_in("s3")
    kept = bob.grant(others)
    waiting = bob.code(others)
    harness.clock.advance(seconds=1)
    done = harness.change(leaving.end_access, ada.email)
    assert (done.sessions, done.grants, done.codes, done.tokens) == (3, 3, 1, 3)
    assert all(grant.is_over() for grant in grants)
    assert harness.redeem(code).reason == "code_spent"
    assert not any(ada.is_signed_in(session) for session in sessions)
    assert kept.is_whole()
    assert harness.redeem(waiting).ok
    assert bob.is_signed_in(others)
    # They were signed out, not locked out.
    assert ada.row().status == "active"
    harness.clock.advance(seconds=1)
    assert ada.grant(ada.sign_in("s4")).is_whole()


def test_a_device_that_was_allowed_gets_nothing_any_more(harness, corp):
    ada = corp.employee("ada")
    device = devices.ask(harness)
    session = ada.sign_in("s1")
    browser = ada.browser(session)
    page = devices.type_code(browser, device.user_code)
    assert devices.answer(browser, page).status == 200
    harness.clock.advance(seconds=10)
    done = harness.change(leaving.end_access, ada.email)
    assert done.codes == 1
    assert device.poll().error == "invalid_grant"


def test_the_trail_says_what_ended_and_how_long_it_took(harness, corp):
    ada = corp.employee("ada")
    ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=1)
    harness.change(leaving.end_access, ada.email, disable=True)
    [ended] = harness.events("access.ended")
    assert ended["subject"] == ada.user_id
    assert ended["actor"] == "test"
    detail = ended["detail"]
    assert (detail["source"], detail["reason"]) == ("operator", "user_disabled")
    assert [detail[name] for name in ("sessions", "grants", "codes", "tokens")] == [1, 1, 0, 1]
    [revoked] = harness.events("grant.revoked")
    assert revoked["detail"]["reason"] == "user_disabled"
    assert ada.row().status == "disabled"
    [departure] = ada.departures()
    assert (departure.source, departure.because) == ("operator", "user_disabled")
    assert (departure.sessions, departure.families, departure.tokens) == (1, 1, 1)


def test_disabling_ends_codes_and_access_tokens_too(harness, corp):
    ada = corp.employee("ada")
    session = ada.sign_in("s1")
    grant, code = ada.grant(session), ada.code(session)
    harness.clock.advance(seconds=1)
    harness.change(users.disable, ada.email)
    assert grant.is_over()
    assert not harness.redeem(code).ok
    harness.change(users.enable, ada.email)
    assert grant.is_over()
    assert not harness.redeem(code).ok


def test_a_grant_that_ended_before_is_not_ended_again(harness, corp):
    ada = corp.employee("ada")
    ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=1)
    harness.change(leaving.end_access, ada.email)
    harness.clock.advance(seconds=1)
    done = harness.change(leaving.end_access, ada.email)
    assert (done.sessions, done.grants, done.codes, done.tokens) == (0, 0, 0, 0)
    with harness.server.database.read() as tx:
        [family] = [f for f in tx.query(TokenFamily) if f.user_id == ada.user_id]
    assert family.revoked_because == "access_ended"


def test_what_was_signed_in_before_is_over_even_if_it_is_written_after(harness, corp):
    """ATK-29: a code that another transaction was just making."""
    ada = corp.employee("ada")
    session = ada.sign_in("s1")
    at = harness.clock()
    harness.clock.advance(seconds=1)
    harness.change(leaving.end_access, ada.email)
    code = harness.code(user_id=ada.user_id, session_digest=session.digest)
    with harness.server.database.write() as tx:
        from authz import entropy
        from authz.db.models import AuthorizationCode

        tx.get_one(AuthorizationCode, entropy.digest(code)).signed_in_at = at
    answer = harness.redeem(code, code_verifier=VERIFIER)
    assert (answer.ok, answer.reason) == (False, "subject_disabled")
