"""Tokens that are exchanged while their grant ends (TX-02, TX-08, E10): refused, or dead with everything else."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from authz.admin import agents, clients, users
from tests.support.exchanges import TICKETS, Chain
from tests.support.feed import FeedReader

ROUNDS, HOPS = 4, 8


def _by_client(harness, first):
    fields = {"client_id": harness.client_id, "token": first.refresh_token}
    assert harness.post("/revoke", fields).status == 200


def _by_operator(harness, _):
    harness.change(users.disable, "dev@example.com")


def _by_blocking(harness, _):
    harness.change(clients.block, harness.client_id)


@pytest.mark.slow
@pytest.mark.parametrize("end", [_by_client, _by_operator, _by_blocking])
def test_no_hop_outlives_the_grant(harness, end):
    """Whatever the order, what was answered is dead: here, and at the server that only reads the feed."""
    chain = Chain(harness)
    chain.allow_all()
    reader = FeedReader(harness, TICKETS)
    asked = {"client_id": reader.made.client.id, "client_secret": reader.made.secret}
    for _ in range(ROUNDS):
        first = chain.first(offline_access=True)
        harness.clock.advance(seconds=1)
        barrier = Barrier(HOPS + 1)

        def exchange(_, first=first, barrier=barrier):
            barrier.wait()
            return chain.exchange(chain.ops, first.access_token, TICKETS)

        with ThreadPoolExecutor(HOPS) as pool:
            waiting = pool.map(exchange, range(HOPS))
            barrier.wait()
            end(harness, first)
            answers = list(waiting)
        reader.read_on()
        for answer in answers:
            if not answer.ok:
                assert answer.error == "invalid_request"
                continue
            token = answer.access_token
            pair = {**asked, "token": token}
            assert harness.post("/introspect", pair).json == {"active": False}
            assert not reader.accepts(token)
        if end is _by_operator:
            harness.change(users.enable, "dev@example.com")
            harness.clock.advance(seconds=1)
        elif end is _by_blocking:
            harness.change(clients.unblock, harness.client_id)


@pytest.mark.slow
def test_nothing_is_granted_to_an_agent_that_was_killed(harness):
    """M13: a redemption that runs meanwhile is before, and ends with the rest, or after, and is refused."""
    made = [harness.add_client(auth_method="client_secret_post") for _ in range(ROUNDS)]
    reader = FeedReader(harness)
    for n, client in enumerate(made):
        harness.change(
            agents.add,
            slug=f"agent-{n}",
            purpose="Races",
            owner="sre@example.com",
            servers=[harness.resource.id],
            clients_=[client.client.id],
        )
        codes = [harness.code(client_id=client.client.id) for _ in range(HOPS)]
        barrier = Barrier(HOPS + 1)

        def redeem(code, client=client, barrier=barrier):
            barrier.wait()
            return harness.redeem(code, client_id=client.client.id, client_secret=client.secret)

        with ThreadPoolExecutor(HOPS) as pool:
            waiting = pool.map(redeem, codes)
            barrier.wait()
            harness.change(agents.kill, f"agent-{n}")
            answers = list(waiting)
        reader.read_on()
        for answer in answers:
            if answer.ok:
                assert not reader.accepts(answer.access_token)
            else:
                assert answer.error == "access_denied"
