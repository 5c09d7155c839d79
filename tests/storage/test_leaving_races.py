"""Whatever is under way while somebody's access ends does not survive it (ATK-29, SSF-03, BCL-02)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import httpx2
import pytest

from authz import entropy
from authz.admin import leaving
from authz.clock import system_clock
from authz.db.models import AuthorizationCode, User
from authz.directory.leaving import Signal, end_access, end_sessions
from authz.directory.sessions import hold
from tests.support.arrange import VERIFIER
from tests.support.leaving import Grant, Provider
from tests.support.plain_http import NO_TLS
from tests.support.processes import ServerProcess

ROUNDS = 50


def at_once(*works, offset=0.0):
    """All of them from threads that start together, the first one a moment later; their results."""
    barrier = threading.Barrier(len(works))

    def run(number):
        barrier.wait()
        if number == 0 and offset:
            threading.Event().wait(offset)
        return works[number]()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, range(len(works))))


def moments():
    """So that the end falls on another step of the other request each time: before it, into it, after it."""
    return [0.0016 * (n % 25) for n in range(ROUNDS)]


def form(harness, **fields):
    """POST /token."""
    return harness.token({"client_id": harness.client_id, **fields})


@pytest.fixture
def corp(harness):
    return Provider(harness, "corp")


def test_a_code_is_redeemed_while_access_ends(harness, corp):
    ada = corp.employee("ada")
    issued = 0
    for offset in moments():
        code = ada.code(ada.sign_in("s1"))
        harness.clock.advance(seconds=1)
        _, response = at_once(
            lambda: harness.change(leaving.end_access, ada.user_id),
            lambda code=code: form(
                harness, grant_type="authorization_code", code=code, code_verifier=VERIFIER
            ),
            offset=offset,
        )
        assert response.status in (200, 400)
        harness.clock.advance(seconds=1)
        if response.ok:
            issued += 1
            assert Grant(harness, response.access_token, response.refresh_token).is_over()
        assert not harness.redeem(code).ok
    # Otherwise the two never met.
    assert issued


def test_a_token_is_refreshed_while_access_ends(harness, corp):
    ada = corp.employee("ada")
    issued = 0
    for offset in moments():
        grant = ada.grant(ada.sign_in("s1"))
        harness.clock.advance(seconds=1)
        _, response = at_once(
            lambda: harness.change(leaving.end_access, ada.user_id),
            lambda token=grant.refresh_token: form(
                harness, grant_type="refresh_token", refresh_token=token
            ),
            offset=offset,
        )
        assert response.status in (200, 400)
        if response.ok:
            issued += 1
            assert Grant(harness, response.access_token, response.refresh_token).is_over()
        assert grant.is_over()
        harness.clock.advance(seconds=1)
    assert issued


def allowed_once(harness, ada):
    """A session of somebody who allowed the client before, and is asked nothing any more."""
    session = ada.sign_in("s0")
    browser = ada.browser(session)
    page = browser.decide(browser.start())
    assert page.code
    return session


def test_a_code_is_made_while_its_session_ends(harness, corp):
    """Without a page: the token lane makes it, and the provider ends the session at the same moment."""
    ada = corp.employee("ada")
    allowed_once(harness, ada)
    made = 0
    for number, offset in enumerate(moments()):
        session = ada.sign_in(f"s{number + 1}")
        browser = ada.browser(session)
        # `prompt=none` ends as an answer to the client either way.
        answer, page = at_once(
            lambda number=number: corp.log_out(sid=f"s{number + 1}"),
            lambda browser=browser: browser.start(prompt="none"),
            offset=offset,
        )
        assert answer.status == 200
        assert page.status == 303, page.text
        if "code" in page.sent:
            made += 1
            assert not harness.redeem(page.code).ok, number
        else:
            assert page.error == "login_required"
    assert made


def test_a_person_answers_while_the_session_ends(harness, corp):
    """With a page: the consent form is posted at the same moment."""
    ada = corp.employee("ada")
    for number, offset in enumerate(moments()):
        session = ada.sign_in(f"s{number}")
        browser = ada.browser(session)
        shown = browser.start(prompt="consent")
        answer, page = at_once(
            lambda number=number: corp.log_out(sid=f"s{number}"),
            lambda browser=browser, shown=shown: browser.decide(shown),
            offset=offset,
        )
        assert answer.status == 200
        if page.status == 303 and "code" in page.sent:
            assert not harness.redeem(page.code).ok, number


def test_everything_at_once_ends_without_an_error(harness, corp):
    """No deadlock that anybody sees: sessions end one by one and as a whole while their tokens are in use."""
    people = [corp.employee(f"p{number}") for number in range(4)]
    for round_ in range(6):
        sessions = [(it, it.sign_in(f"{it.subject}-{round_}")) for it in people]
        grants = [it.grant(session) for it, session in sessions for _ in range(2)]
        harness.clock.advance(seconds=1)
        works = [
            *(
                lambda token=grant.refresh_token: (
                    form(harness, grant_type="refresh_token", refresh_token=token).status
                )
                for grant in grants
            ),
            *(
                lambda name=f"{it.subject}-{round_}": corp.log_out(sid=name).status
                for it, _ in sessions
            ),
            *(lambda it=it: corp.log_out(sub=it.subject).status for it in people),
        ]
        assert set(at_once(*works)) <= {200, 400}
        assert all(grant.is_over() for grant in grants)
        harness.clock.advance(seconds=1)


# -- one step at a time -----------------------------------------------------------------------------------


def signal(now):
    return Signal(source="logout_token", because="upstream_logout", received_at=now)


def test_an_end_waits_for_what_is_being_made_on_the_session(harness, corp):
    """Whoever makes a code holds its session, so the end sees the code."""
    ada = corp.employee("ada")
    session = ada.sign_in("s1")
    code = ada.code(session)
    now = harness.clock() + timedelta(seconds=1)
    database = harness.server.database

    def end():
        with database.write() as tx:
            user = tx.get_one(User, ada.user_id)
            return end_sessions(tx, user, [session.digest], signal(now), now)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            assert hold(tx, session.digest)
            made = tx.get_one(AuthorizationCode, entropy.digest(code))
            tx.delete(made)
            tx.flush()
            ending = pool.submit(end)
            threading.Event().wait(0.3)
            assert not ending.done()
            again = {c.name: getattr(made, c.name) for c in AuthorizationCode.__table__.c}
            tx.add(AuthorizationCode(**again))
        assert ending.result(30).codes == 1
    with database.read() as tx:
        assert tx.get_one(AuthorizationCode, entropy.digest(code)).spent_at == now


@pytest.mark.parametrize("silent", [True, False], ids=["in the token lane", "in the plain lane"])
def test_what_is_made_on_a_session_waits_for_its_end(harness, corp, silent):
    """Whoever comes second sees that the session is over, however live it was when the request was read."""
    ada = corp.employee("ada")
    allowed_once(harness, ada)
    session = ada.sign_in("s1")
    # A pushed request, and one for more scopes, go the long way.
    parameters = {} if silent else {"scope": "logs.read analytics.query"}
    now = harness.clock()
    database = harness.server.database
    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            end_sessions(tx, tx.get_one(User, ada.user_id), [session.digest], signal(now), now)
            starting = pool.submit(ada.browser(session).start, prompt="none", **parameters)
            threading.Event().wait(0.3)
            assert not starting.done()
        page = starting.result(30)
    assert page.error == "login_required"


def test_two_ends_at_once_are_one(harness, corp):
    """The second finds nothing left, and takes nothing back."""
    ada = corp.employee("ada")
    grants = [ada.grant(ada.sign_in("s1")) for _ in range(3)]
    harness.clock.advance(seconds=1)
    done = at_once(*[lambda: harness.change(leaving.end_access, ada.user_id)] * 8)
    assert sum(it.grants for it in done) == 3
    assert sum(it.tokens for it in done) == 3
    assert all(grant.is_over() for grant in grants)


# -- two processes ----------------------------------------------------------------------------------------


@pytest.fixture
def two(installed):
    """Two processes that serve one database; this one, which ends access, is the third."""
    with ExitStack() as stack:
        processes = [ServerProcess(installed.config) for _ in range(2)]
        for process in processes:
            stack.callback(process.stop)
        yield [f"{process.base}/token" for process in processes]


@pytest.mark.slow
def test_access_ends_in_another_process(installed, two):
    """Real clocks, and no memory in common."""
    database = installed.services.database

    def end():
        with database.write() as tx:
            user = tx.get_one(User, installed.user_id)
            now = system_clock()
            return end_access(tx, user, Signal("operator", "access_ended", now), now)

    # Without certificates to read: the requests of a round are to meet.
    http = httpx2.Client(trust_env=False, timeout=60, verify=NO_TLS)

    def post(url, fields):
        return http.post(url, data=fields)

    survived, issued = [], 0
    for number, offset in enumerate(moments()):
        first = post(two[0], installed.redemption(installed.code())).json()
        code = installed.code()
        _, redeemed, refreshed = at_once(
            end,
            lambda code=code: post(two[0], installed.redemption(code)),
            lambda token=first["refresh_token"]: post(two[1], installed.refreshing(token)),
            offset=offset,
        )
        for response in (redeemed, refreshed):
            assert response.status_code in (200, 400), response.text
            if response.status_code == 200:
                issued += 1
                token = response.json()["refresh_token"]
                survived += [
                    number for url in two if post(url, installed.refreshing(token)).is_success
                ]
        survived += [number for url in two if post(url, installed.redemption(code)).is_success]
    assert not survived
    assert issued
    assert installed.verify().fault is None
    http.close()
