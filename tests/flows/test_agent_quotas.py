"""Quotas of agents: how many per owner, how many live grants, how many tokens a minute (M13)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event

import pytest
from sqlalchemy import select, update

from authz.admin import agents, mappings
from authz.db.models import AgentClient, TokenFamily
from authz.errors import Conflict
from authz.oauth.devices import DEVICE_GRANT
from authz.oauth.facts import FactKeys
from authz.oauth.rows import grants
from authz.oauth.rows.wanted import Wanted
from tests.support import admin_api, devices
from tests.support.databases import migrated_url
from tests.support.harness import ONE_ADDRESS, RESOURCE, Harness, running
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present

GRANTS, TOKENS, AGENTS = 3, 12, 2
LIMITS = {
    **ONE_ADDRESS,
    "grants_per_agent": GRANTS,
    "tokens_per_agent": TOKENS,
    "agents_per_owner": AGENTS,
}
OWNER, OTHER = "sre@example.com", "dev@example.com"


@pytest.fixture(scope="module")
def strict(engine, worker, tmp_path_factory):
    """A server that sets all three."""
    folder = tmp_path_factory.mktemp("quotas")
    with (
        migrated_url(engine, folder, f"authz_quotas_{worker}") as url,
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


def test_an_agent_has_so_many_grants(harness, pair):
    """Through all its clients, in one batch as well; the refused code is spent. One that ends makes room."""
    codes = [(pair[n % 2], code_of(harness, pair[n % 2])) for n in range(GRANTS + 3)]
    with ThreadPoolExecutor(len(codes)) as pool:
        answers = list(pool.map(lambda it: redeem(harness, *it), codes))
    granted = [it for it in answers if it.ok]
    assert len(granted) == GRANTS
    assert {it.error for it in answers if not it.ok} == {"access_denied"}
    client, code = next(it for it, answer in zip(codes, answers, strict=True) if not answer.ok)
    event = harness.events("token.refused")[-1]
    assert event["detail"]["reason"] == "agent_grants_full"
    assert event["subject"] == harness.users["dev"]
    assert redeem(harness, client, code).error == "invalid_grant"
    holder, first = next(
        (it[0], answer) for it, answer in zip(codes, answers, strict=True) if answer.ok
    )
    own = {"client_id": holder.client.id, "client_secret": holder.secret}
    again = harness.refresh(first.refresh_token, **own)
    assert again.ok
    assert harness.post("/revoke", {**own, "token": again.refresh_token}).status == 200
    assert redeem(harness, client, code_of(harness, client)).ok
    full = redeem(harness, client, code_of(harness, client))
    assert (full.status, full.error, full.reason) == (400, "access_denied", "agent_grants_full")
    assert all(harness.redeem(harness.code()).ok for _ in range(GRANTS + 1))


def test_what_is_asserted_counts_and_is_not_spent_by_a_refusal(harness):
    """Each redemption is a grant until its token ends; the assertion that came too early is good afterwards."""
    idp = AssertingIdp()
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    client = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    add(harness, "asserted", clients_=[client.client.id])

    def asserted(number):
        said = idp.assertion(harness, client.client.id, groups=["dev"], jti=f"jag-{number}")
        return said, present(harness, client, said)

    assert all(asserted(number)[1].ok for number in range(GRANTS))
    early, refused = asserted(GRANTS)
    assert (refused.error, refused.reason) == ("access_denied", "agent_grants_full")
    [event] = harness.events("token.refused")
    assert event["detail"]["assertion"]["jti"] == f"jag-{GRANTS}"
    with harness.server.database.write() as tx:
        own = TokenFamily.client_id == client.client.id
        tx.execute(update(TokenFamily).where(own).values(revoked_at=harness.clock()))
    assert present(harness, client, early).ok
    assert present(harness, client, early).reason == "id_jag_replayed"


def test_a_device_counts_and_its_code_is_spent_by_a_refusal(harness):
    """The person allowed it, and the agent had no room: it is told once, and the code is good for nothing."""
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=(DEVICE_GRANT,), redirect_uris=()
    )
    client, secret = made.client.id, {"client_secret": made.secret}
    add(harness, "shown", clients_=[client])

    def device():
        asked = devices.ask(harness, client, **secret)
        devices.allow(asked)
        return asked

    assert all(device().poll(**secret).ok for _ in range(GRANTS))
    late = device()
    refused = late.poll(**secret)
    assert (refused.error, refused.reason) == ("access_denied", "agent_grants_full")
    with harness.server.database.write() as tx:
        own = TokenFamily.client_id == client
        tx.execute(update(TokenFamily).where(own).values(revoked_at=harness.clock()))
    harness.clock.advance(seconds=30)
    assert late.poll(**secret).error == "invalid_grant"
    assert device().poll(**secret).ok


def test_another_process_that_counts_is_waited_for(harness, pair):
    """Whoever counts first has the lock; the other sees what it granted."""
    client = pair[0]
    for _ in range(GRANTS):
        assert redeem(harness, client, code_of(harness, client)).ok
    own = TokenFamily.client_id == client.client.id
    with harness.server.database.write() as tx:
        tx.execute(update(TokenFamily).where(own).values(revoked_at=harness.clock()))
    code, asked = code_of(harness, client), Event()

    def ask():
        asked.set()
        return redeem(harness, client, code)

    with ThreadPoolExecutor(1) as pool:
        with harness.server.database.write() as tx:
            held = AgentClient.tenant_id == harness.tenant_id
            tx.execute(select(AgentClient).where(held).with_for_update(key_share=True))
            waiting = pool.submit(ask)
            asked.wait()
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            tx.execute(update(TokenFamily).where(own).values(revoked_at=None))
        assert waiting.result(timeout=20).reason == "agent_grants_full"


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


def test_nobody_else_pays_a_statement():
    assert grants.reads(Wanted.of([("ten_1", FactKeys(codes=frozenset({"c"})))])) == []
