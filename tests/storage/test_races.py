"""Many at once: one code, one refresh token, one server or two, and one that is killed (O21-09, O21-18, item 8)."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import httpx2
import pytest
from sqlalchemy import select

from authz.admin import workload_trust
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.db.models import AuditEvent, IssuedToken, TokenFamily
from tests.support import devices, plain_http
from tests.support.harness import LOG
from tests.support.id_jags import JWT_BEARER
from tests.support.plain_http import NO_TLS
from tests.support.processes import ISSUER, RESOURCE, ServerProcess
from tests.support.workloads import RULE, Platform

MANY = 50


def all_at_once(requests):
    """Send every (url, fields) at the same moment from a thread of its own; answers the responses."""
    barrier = threading.Barrier(len(requests))

    def send(request):
        url, fields = request
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            barrier.wait()
            return http.post(url, data=fields)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def families(database, tenant_id):
    with database.read() as tx:
        return list(tx.scalars(select(TokenFamily).where(TokenFamily.tenant_id == tenant_id)))


def issued_jtis(database, tenant_id):
    with database.read() as tx:
        bodies = tx.scalars(
            select(AuditEvent.body).where(
                AuditEvent.tenant_id == tenant_id, AuditEvent.kind == "token.issued"
            )
        )
        return Counter(json.loads(body)["detail"]["jti"] for body in bodies)


def jti_of(response):
    import base64

    payload = response.json()["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]


# -- threads against one server ---------------------------------------------------------------------------


def test_one_code_redeemed_fifty_times_by_threads(harness):
    """O21-09, ATK-06: one success; the replays, which are all valid otherwise, end what it made (O21-08)."""
    fields = {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": harness.code(),
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    mark = len(LOG.events)
    answers = all_at_once([(f"{harness.issuer}/token", fields)] * MANY)
    assert Counter(a.status_code for a in answers) == {200: 1, 400: MANY - 1}
    reasons = Counter(
        e.get("reason") for e in LOG.events[mark:] if e["event"] == "back_channel.refused"
    )
    assert reasons == {"code_spent": MANY - 1}
    [family] = families(harness.server.database, harness.tenant_id)
    assert family.revoked_because == "code_replayed"
    assert len(harness.events("grant.revoked")) == 1


def test_one_code_with_wrong_verifiers_beside_the_right_one(harness):
    """O21-08: forty-nine thieves without the verifier cannot disturb the owner."""
    fields = {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": harness.code(),
    }
    wrong = {**fields, "code_verifier": "w" * 43}
    right = {**fields, "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}
    url = f"{harness.issuer}/token"
    answers = all_at_once([(url, wrong)] * 25 + [(url, right)] + [(url, wrong)] * 24)
    assert [a.status_code for a in answers].count(200) == 1
    assert harness.refresh(answers[25].json()["refresh_token"]).ok


def test_one_refresh_token_used_fifty_times_by_threads(harness):
    """O21-18, MCP-AS-79, item 8: everybody gets the same successor, and there was one rotation."""
    token = harness.redeem(harness.code()).refresh_token
    fields = {
        "grant_type": "refresh_token",
        "client_id": harness.client_id,
        "refresh_token": token,
    }
    answers = all_at_once([(f"{harness.issuer}/token", fields)] * MANY)
    assert {a.status_code for a in answers} == {200}
    [successor] = {a.json()["refresh_token"] for a in answers}
    assert len({a.json()["access_token"] for a in answers}) == MANY
    [family] = families(harness.server.database, harness.tenant_id)
    assert (family.generation, family.revoked_at) == (2, None)
    assert harness.refresh(successor).ok


def test_one_device_code_polled_fifty_times_by_threads(harness):
    """DEV-04: one success; the replays, which are all valid otherwise, end what it made."""
    device = devices.ask(harness)
    devices.allow(device)
    mark = len(LOG.events)
    answers = all_at_once([(f"{harness.issuer}/token", device.polling)] * MANY)
    assert Counter(a.status_code for a in answers) == {200: 1, 400: MANY - 1}
    reasons = Counter(
        e.get("reason") for e in LOG.events[mark:] if e["event"] == "back_channel.refused"
    )
    assert reasons == {"device_code_spent": MANY - 1}
    [family] = families(harness.server.database, harness.tenant_id)
    assert family.revoked_because == "device_code_replayed"


def test_a_device_is_allowed_and_refused_at_once(harness):
    """DEV-01: one answer counts, the others are told that it came too late, and the trail has the one."""
    client_id = devices.add_device_client(harness)
    browsers = [harness.browser(f"{who}@example.com") for who in ("dev", "sre")] * 2
    for round_ in range(4):
        device = devices.ask(harness, client_id)
        pages = [devices.type_code(browser, device.user_code) for browser in browsers]
        barrier = threading.Barrier(len(pages))

        def answer(n, pages=pages, barrier=barrier, round_=round_):
            barrier.wait()
            return devices.answer(browsers[n], pages[n], allow=(n + round_) % 2 == 0)

        with ThreadPoolExecutor(len(pages)) as pool:
            answers = list(pool.map(answer, range(len(pages))))
        assert Counter(page.status for page in answers) == {200: 1, 400: len(pages) - 1}
        [told] = [page.text for page in answers if page.status == 200]
        allowed = "The device is allowed" in told
        polled = device.poll()
        assert polled.ok if allowed else polled.error == "access_denied"
        recorded = harness.events("device.approved") + harness.events("device.denied")
        assert len(recorded) == round_ + 1


def test_a_device_polls_while_the_person_answers(harness):
    """DEV-01: not yet, then the tokens; never an error between them that would make the device give up."""
    client_id = devices.add_device_client(harness)
    browser = harness.browser()
    for _ in range(5):
        device = devices.ask(harness, client_id)
        page = devices.type_code(browser, device.user_code)
        heard = []

        def poll(device=device, heard=heard):
            with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
                for _ in range(200):
                    answer = http.post(f"{device.harness.issuer}/token", data=device.polling)
                    heard.append(answer.json().get("error", "issued"))
                    if heard[-1] not in ("authorization_pending", "slow_down"):
                        return

        thread = threading.Thread(target=poll)
        thread.start()
        assert devices.answer(browser, page).status == 200
        thread.join(60)
        assert heard[-1] == "issued", heard


# -- two processes on one database ------------------------------------------------------------------------


@pytest.fixture
def two(installed):
    """Two processes; on SQLite too, where the file's lock is all they share."""
    with ExitStack() as stack:
        processes = [ServerProcess(installed.config) for _ in range(2)]
        for process in processes:
            stack.callback(process.stop)
        yield [f"{process.base}/token" for process in processes]


@pytest.mark.slow
def test_two_processes_never_both_win(installed, two):
    """O21-09, O21-18, ATK-06, ATK-54, item 8, L12: codes and refresh tokens, and what the trail says after it all."""
    database, tenant_id = installed.services.database, installed.tenant_id
    answered = []
    for _ in range(3):
        fields = installed.redemption(installed.code())
        answers = all_at_once([(two[n % 2], fields) for n in range(MANY)])
        assert Counter(a.status_code for a in answers) == {200: 1, 400: MANY - 1}
        assert {a.json()["error"] for a in answers if a.status_code == 400} == {"invalid_grant"}
        answered += [a for a in answers if a.status_code == 200]
    for family in families(database, tenant_id):
        assert family.revoked_because == "code_replayed"

    first = plain_http.post(two[0], data=installed.redemption(installed.code()))
    answered.append(first)
    token = first.json()["refresh_token"]
    for generation in (2, 3, 4):
        fields = installed.refreshing(token)
        answers = all_at_once([(two[n % 2], fields) for n in range(MANY)])
        assert {a.status_code for a in answers} == {200}
        [token] = {a.json()["refresh_token"] for a in answers}
        [family] = [f for f in families(database, tenant_id) if f.revoked_at is None]
        assert family.generation == generation
        answered += answers

    events = issued_jtis(database, tenant_id)
    assert set(events.values()) == {1}
    assert set(events) == {jti_of(a) for a in answered}
    verified = installed.verify()
    assert verified.fault is None
    # `main`, and those of two processes: one for each worker that had something to do, of which there are two.
    assert 3 <= verified.strands <= 5


@pytest.mark.slow
def test_one_token_of_a_workload_at_two_processes(installed, two):
    """WIF-03, ATK-54: fifty presentations, one access token, round after round; and until it expires, fifty."""
    services, here = installed.services, SimpleNamespace(clock=system_clock, issuer=ISSUER)
    platforms = {
        "deny": Platform("https://one.example"),
        "until_exp": Platform("https://two.example"),
    }
    with services.database.write() as tx:
        for reuse, platform in platforms.items():
            workload_trust.add(
                tx,
                Operator.local("test", system_clock(), services.envelope),
                installed.tenant_id,
                slug=platform.issuer[8:11],
                issuer=platform.issuer,
                settings={"jwks": platform.key.jwks, "rules": [RULE], "assertion_reuse": reuse},
            )
    for reuse, platform in platforms.items():
        for _ in range(3):
            assertion = platform.assertion(here)
            fields = {"grant_type": JWT_BEARER, "assertion": assertion, "resource": RESOURCE}
            answers = all_at_once([(two[n % 2], fields) for n in range(MANY)])
            wanted = {200: 1, 400: MANY - 1} if reuse == "deny" else {200: MANY}
            assert Counter(a.status_code for a in answers) == wanted
            refused = {a.json()["error"] for a in answers if a.status_code == 400}
            assert refused <= {"invalid_grant"}
    events = issued_jtis(services.database, installed.tenant_id)
    assert len(events) == 3 + 3 * MANY
    assert set(events.values()) == {1}
    assert installed.verify().fault is None


@pytest.mark.slow
def test_reuse_at_one_process_is_known_at_the_other(installed, two):
    """ATK-54: nothing is remembered in a process."""
    first = plain_http.post(two[0], data=installed.redemption(installed.code())).json()
    token = first["refresh_token"]
    for n in range(1, 4):
        answer = plain_http.post(two[n % 2], data=installed.refreshing(token))
        token = answer.json()["refresh_token"]
    reuse = plain_http.post(two[1], data=installed.refreshing(first["refresh_token"]))
    assert reuse.json()["error"] == "invalid_grant"
    after = plain_http.post(two[0], data=installed.refreshing(token))
    assert after.json()["error"] == "invalid_grant"


@pytest.mark.slow
def test_a_change_is_seen_by_both_at_once(installed, two):
    """L6: no message bus, and no request is decided on stale policy."""
    from authz.admin import clients
    from authz.admin.operator import Operator
    from authz.clock import system_clock

    answer = plain_http.post(two[0], data=installed.redemption(installed.code()))
    token = answer.json()["refresh_token"]
    for n, scopes in enumerate([{"logs.read"}, {"analytics.query"}, {"logs.read"}]):
        with installed.services.database.write() as tx:
            operator = Operator.local("test", system_clock(), installed.services.envelope)
            clients.set_ceiling(
                tx, operator, installed.tenant_id, installed.client_id, frozenset(scopes)
            )
        for url in (two[n % 2], two[(n + 1) % 2]):
            answer = plain_http.post(url, data=installed.refreshing(token))
            assert answer.status_code == 200, answer.text
            assert set(answer.json()["scope"].split()) == scopes
            token = answer.json()["refresh_token"]


# -- kill -9 ----------------------------------------------------------------------------------------------


class Client:
    """A client that refreshes without pause and keeps the last token it was given."""

    def __init__(self, installed, token):
        self.installed, self.token = installed, token
        self.jtis = []
        self.refusals = []
        self.stop = threading.Event()

    def run(self, url):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=30) as http:
            while not self.stop.is_set():
                try:
                    answer = http.post(url, data=self.installed.refreshing(self.token))
                except httpx2.TransportError:
                    return
                self.take(answer)

    def take(self, answer):
        if answer.status_code == 200:
            self.jtis.append(jti_of(answer))
            self.token = answer.json()["refresh_token"]
        elif answer.status_code != 503:
            self.refusals.append(answer.text)


@pytest.mark.slow
def test_kill_dash_nine_never_costs_a_session(installed):
    """Item 8, L12: whatever the moment, the client goes on with the token it last had."""
    rounds, count = 8, 8
    clients = []
    server = ServerProcess(installed.config)
    try:
        for _ in range(count):
            answer = plain_http.post(
                f"{server.base}/token",
                data=installed.redemption(installed.code()),
            )
            client = Client(installed, answer.json()["refresh_token"])
            client.take(answer)
            clients.append(client)
        for round_ in range(rounds):
            url = f"{server.base}/token"
            threads = [threading.Thread(target=c.run, args=(url,)) for c in clients]
            for thread in threads:
                thread.start()
            # Another moment each time, so that the blow falls on another step of a batch.
            threading.Event().wait(0.15 + 0.013 * round_)
            server.kill()
            for thread in threads:
                thread.join(30)
            server = ServerProcess(installed.config)
            for client in clients:
                client.take(
                    plain_http.post(
                        f"{server.base}/token",
                        data=installed.refreshing(client.token),
                    )
                )
                assert not client.refusals, (round_, client.refusals)
    finally:
        server.kill()
    database, tenant_id = installed.services.database, installed.tenant_id
    assert all(family.revoked_at is None for family in families(database, tenant_id))
    events = issued_jtis(database, tenant_id)
    assert set(events.values()) == {1}
    seen = [jti for client in clients for jti in client.jtis]
    assert len(seen) > rounds * count
    assert set(seen) <= set(events)
    with database.read() as tx:
        assert set(tx.scalars(select(IssuedToken.jti))) == set(events)
    assert installed.verify().fault is None


@pytest.mark.slow
def test_sigterm_answers_what_is_under_way(installed):
    """Graceful: nobody who was heard goes without an answer."""
    server = ServerProcess(installed.config)
    answer = plain_http.post(f"{server.base}/token", data=installed.redemption(installed.code()))
    client = Client(installed, answer.json()["refresh_token"])
    thread = threading.Thread(target=client.run, args=(f"{server.base}/token",))
    thread.start()
    threading.Event().wait(0.3)
    assert server.stop() in (0, -15)
    thread.join(30)
    assert client.jtis
    assert not client.refusals
    assert installed.verify().fault is None
