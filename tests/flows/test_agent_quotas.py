"""Quotas of agents: how many per owner, and how many tokens a minute (M13)."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from authz.admin import agents
from authz.errors import Conflict
from tests.support import admin_api
from tests.support.harness import ONE_ADDRESS, RESOURCE, Harness, running
from tests.support.postgres import URL_VARIABLE, scratch_database

TOKENS, AGENTS = 12, 2
LIMITS = {
    **ONE_ADDRESS,
    "tokens_per_agent": TOKENS,
    "agents_per_owner": AGENTS,
}
OWNER, OTHER = "sre@example.com", "dev@example.com"


@pytest.fixture(scope="module")
def strict(engine, worker, tmp_path_factory):
    """A server that sets both."""
    folder = tmp_path_factory.mktemp("quotas")
    if engine == "sqlite":
        with running(folder, f"sqlite:///{folder / 'authz.db'}", limits=LIMITS) as made:
            yield made
        return
    with (
        scratch_database(os.environ[URL_VARIABLE], f"authz_quotas_{worker}") as url,
        running(folder, url, limits=LIMITS) as made,
    ):
        yield made


@pytest.fixture
def harness(strict):
    made = Harness(strict)
    yield made
    made.close()


@pytest.fixture
def pair(harness):
    """Two clients of one agent."""
    made = [harness.add_client(auth_method="client_secret_post") for _ in range(2)]
    add(harness, "triage", clients_=[it.client.id for it in made])
    return made


def add(harness, slug, owner=OWNER, **values):
    """By somebody whom the quota holds."""
    with harness.server.database.write() as tx:
        operator = replace(harness.server.operator(), agents_per_owner=AGENTS)
        return agents.add(
            tx,
            operator,
            harness.tenant_id,
            slug=slug,
            purpose="Sorts incidents",
            owner=owner,
            servers=[RESOURCE],
            **values,
        )


def redeem(harness, client, code, **fields):
    own = {"client_id": client.client.id, "client_secret": client.secret}
    return harness.redeem(code, **own, **fields)


def code_of(harness, client):
    return harness.code(client_id=client.client.id, offline_access=True)


def test_somebody_answers_for_so_many_agents(harness):
    """Also whoever takes one over. One that was killed makes room."""
    add(harness, "one")
    add(harness, "two")
    add(harness, "three", owner=OTHER)
    with pytest.raises(Conflict, match=f"answers for {AGENTS} agents"):
        add(harness, "four")
    operator = replace(harness.server.operator(), agents_per_owner=AGENTS)
    with harness.server.database.write() as tx:
        with pytest.raises(Conflict, match="agents_per_owner"):
            agents.change(tx, operator, harness.tenant_id, "three", owner=OWNER)
        agents.change(tx, operator, harness.tenant_id, "two", owner=OWNER, purpose="As before")
    assert harness.ask(agents.show, "three", harness.clock()).owner == OTHER
    harness.change(agents.kill, "one")
    assert add(harness, "four").owner == OWNER


def test_two_at_once_are_not_both_the_last(harness):
    add(harness, "one")
    barrier = Barrier(4)

    def try_to(n):
        barrier.wait()
        try:
            return add(harness, f"more-{n}").slug
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        added = [it for it in pool.map(try_to, range(4)) if it is not None]
    assert len(added) == AGENTS - 1


def test_the_settings_hold_whoever_comes_through_the_door(harness):
    owner = admin_api.client(harness, "owner")
    sent = {"purpose": "Sorts incidents", "owner": OWNER, "servers": [RESOURCE]}
    answers = [owner.post("/agents", {**sent, "slug": f"agent-{n}"}) for n in range(AGENTS + 1)]
    assert [it.status for it in answers] == [201] * AGENTS + [409]


def test_an_agent_asks_for_so_many_tokens(harness, pair):
    """All its clients together; what is left of one agent is not taken by another, nor by its people."""
    wrong = [redeem(harness, pair[n % 2], "azc_unknown") for n in range(TOKENS + 1)]
    assert [it.status for it in wrong] == [400] * TOKENS + [429]
    assert (wrong[-1].error, wrong[-1].reason) == ("temporarily_unavailable", "tokens_per_agent")
    assert int(wrong[-1].response.headers["retry-after"]) > 0
    other = harness.add_client(auth_method="client_secret_post")
    add(harness, "other", clients_=[other.client.id])
    assert redeem(harness, other, code_of(harness, other)).ok
    forged = harness.redeem("azc_x", client_id=other.client.id, client_secret="wrong")
    assert forged.error == "invalid_client"
    harness.clock.advance(minutes=1)
    assert redeem(harness, pair[0], code_of(harness, pair[0])).ok
