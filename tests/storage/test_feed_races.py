"""The feed under concurrency: nothing is missed, nothing comes twice, and what was being minted is told too (E10)."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest

from authz import entropy
from authz.admin import clients, leaving, mappings, resources, roles
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.db.models import IssuedToken, RevocationEntry
from authz.jose import read_unverified
from authz.revocations import numbering
from authz.revocations.entries import CLIENT, switch_off
from authz.revocations.hub import FeedHub, Reader
from tests.support import plain_http
from tests.support.basic import basic
from tests.support.feed import PATH, FeedReader
from tests.support.harness import RESOURCE
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.processes import ServerProcess

ROUNDS = 40


def test_no_reader_misses_an_entry_that_commits_late(harness):
    """Writers hold their transactions open for different times; two processes' worth of numberers; one reader."""
    database, tenant_id = harness.server.database, harness.tenant_id
    writers, each = 6, 12
    done = threading.Event()

    def write(number):
        seeded = random.Random(number)
        for n in range(each):
            with database.write() as tx:
                # Not `switch_off` alone: it locks the tenant, and then nobody would overtake anybody.
                tx.add(entry(tenant_id, f"{number}-{n}", harness.clock()))
                tx.flush()
                if not database.is_sqlite:
                    threading.Event().wait(seeded.random() * 0.03)

    def number_on():
        while not done.is_set():
            with database.read() as tx:
                new = numbering.unnumbered(tx, [tenant_id])
            for it in new:
                with database.write() as tx:
                    numbering.number(tx, it)
            threading.Event().wait(0.002)

    seen = []

    def read_on():
        place = 0
        while True:
            over = done.is_set()
            with database.read() as tx:
                found = numbering.read_after(tx, {tenant_id: place})
            seen.extend((it.position, it.value) for it in found)
            place = found[-1].position if found else place
            if over:
                return
            threading.Event().wait(0.001)

    with ThreadPoolExecutor(writers + 3) as pool:
        others = [pool.submit(number_on), pool.submit(number_on), pool.submit(read_on)]
        for writing in [pool.submit(write, number) for number in range(writers)]:
            writing.result(60)
        threading.Event().wait(0.2)
        done.set()
        for other in others:
            other.result(60)
    assert [position for position, _ in seen] == list(range(1, writers * each + 1))
    expected = {f"{number}-{n}" for number in range(writers) for n in range(each)}
    assert {value for _, value in seen} == expected


def entry(tenant_id, value, now):
    return RevocationEntry(
        id=entropy.new_id("rev"),
        tenant_id=tenant_id,
        position=None,
        kind="token",
        value=value,
        before_version=None,
        resource_id=None,
        subject=None,
        created_at=now,
        expires_at=now + timedelta(minutes=10),
    )


async def _read_all(hub, reader, count):
    values, after = [], 0
    while len(values) < count:
        page = await hub.read(reader, after, wait=5, limit=7)
        values += [it.value for it in page.entries]
        after = page.upto
    return values


def test_a_crowd_of_waiting_readers_is_told_everything_once(harness):
    """Two hubs, as two processes have them, with readers that take small bites."""
    database, tenant_id = harness.server.database, harness.tenant_id
    expected = [str(n) for n in range(60)]

    def write():
        for value in expected:
            with database.write() as tx:
                tx.add(entry(tenant_id, value, harness.clock()))

    async def main():
        hubs = [FeedHub(database, harness.clock) for _ in range(2)]
        reader = Reader(tenant_id, "rs", frozenset({"res"}))
        reading = [asyncio.create_task(_read_all(hub, reader, 60)) for hub in hubs * 10]
        with ExitStack() as stack:
            for hub in hubs:
                for _ in range(10):
                    stack.enter_context(hub.place(reader))
            await asyncio.to_thread(write)
            found = await asyncio.wait_for(asyncio.gather(*reading), 60)
        for hub in hubs:
            await hub.close()
        return found

    for values in asyncio.run(main()):
        assert sorted(values, key=int) == expected


def at_once(*works, offset=0.0):
    barrier = threading.Barrier(len(works))

    def run(number):
        barrier.wait()
        if number == 0 and offset:
            threading.Event().wait(offset)
        return works[number]()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, range(len(works))))


def moments():
    return [0.0012 * (n % 20) for n in range(ROUNDS)]


def test_an_assertion_is_redeemed_while_its_person_leaves(harness):
    """IDJAG-65, ATK-29: the token stands on no session and no code, so its person's row is what both wait for."""
    idp = AssertingIdp()
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    agent = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    reader = FeedReader(harness)

    def assertion():
        return idp.assertion(harness, agent.client.id, groups=["dev"])

    first = present(harness, agent, assertion())
    user_id = harness.claims(first.access_token)["sub"]
    issued = 0
    for offset in moments():
        harness.clock.advance(seconds=1)
        made = assertion()
        harness.clock.advance(seconds=1)
        _, answer = at_once(
            lambda: harness.change(leaving.end_access, user_id),
            lambda made=made: present(harness, agent, made),
            offset=offset,
        )
        if not answer.ok:
            assert answer.reason == "subject_disabled"
            continue
        issued += 1
        reader.read_on()
        told = harness.post(
            "/introspect", {"token": answer.access_token}, Authorization=reader.authorization
        )
        assert told.json == {"active": False}
        assert not reader.accepts(answer.access_token)
    assert issued


def test_a_client_is_blocked_while_it_gets_tokens(harness):
    """No lock is shared: the version under which a token was decided tells whether the batch had seen the change."""
    reader = FeedReader(harness)
    issued = 0
    for offset in moments():
        made = harness.add_client(
            auth_method="client_secret_basic", grant_types=("client_credentials",), redirect_uris=()
        )
        harness.change(roles.bind, role="developer", kind="client", holder=made.client.id)
        fields = {"grant_type": "client_credentials", "resource": RESOURCE}
        header = basic(made)
        ask = [
            lambda header=header, fields=fields: harness.token(fields, **header) for _ in range(3)
        ]
        _, *answers = at_once(
            lambda id_=made.client.id: harness.change(clients.block, id_), *ask, offset=4 * offset
        )
        reader.read_on()
        for answer in answers:
            if answer.ok:
                issued += 1
                assert not reader.accepts(answer.access_token)
    assert issued


# -- two processes ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_what_ends_at_one_node_is_read_at_the_other(installed):
    """Clients give tokens back at both nodes; a reader of each is told of every one of them."""
    services, tenant_id = installed.services, installed.tenant_id
    operator = Operator.local("test", system_clock(), services.envelope)
    registration = Registration(
        name="MCP",
        redirect_uris=(),
        grant_types=("client_credentials",),
        auth_method="client_secret_post",
    )
    with services.database.write() as tx:
        made = clients.add(tx, operator, tenant_id, registration)
        resources.set_client(tx, operator, tenant_id, installed.resource_id, made.client.id)
    with ExitStack() as stack:
        processes = [ServerProcess(installed.config) for _ in range(2)]
        for process in processes:
            stack.callback(process.kill)
        bases = [process.base for process in processes]
        tokens = []
        for n in range(24):
            answer = plain_http.post(
                f"{bases[n % 2]}/token",
                data=installed.redemption(installed.code()),
            )
            tokens.append(answer.json()["access_token"])
        expected = {read_unverified(token)[1]["jti"] for token in tokens}

        def revoke(n):
            data = {"token": tokens[n], "client_id": installed.client_id}
            return plain_http.post(f"{bases[n % 2]}/revoke", data=data).status_code

        def follow(base):
            told, after = [], "0"
            while len(told) < len(expected):
                data = {
                    "client_id": made.client.id,
                    "client_secret": made.secret,
                    "after": after,
                    "wait": "5",
                }
                answer = plain_http.post(f"{base}{PATH}", data=data, timeout=20)
                claims = read_unverified(answer.text)[1]
                told += [(it["n"], it["jti"]) for it in claims["entries"]]
                after = str(claims["upto"])
            return told

        with ThreadPoolExecutor(10) as pool:
            following = [pool.submit(follow, base) for base in bases * 2]
            assert set(pool.map(revoke, range(len(tokens)))) == {200}
            for it in following:
                told = it.result(60)
                assert {jti for _, jti in told} == expected
                assert [n for n, _ in told] == list(range(1, len(expected) + 1))


@pytest.mark.only("postgresql")
def test_a_switch_keeps_no_token_waiting(harness):
    """It locks the tenant's row, which the token lane only reads."""
    with harness.server.database.write() as tx:
        none = IssuedToken.jti == ""
        switch_off(tx, harness.tenant_id, CLIENT, ["somebody"], none, harness.clock())
        assert harness.redeem(harness.code()).ok
