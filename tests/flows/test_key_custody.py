"""Signing keys that are elsewhere: the same token tests pass, nothing private is here, and an outage spends nothing
(V8, ATK-69)."""

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from authz.admin import keys, resources, roles
from authz.db.models import AuthorizationCode, SigningKey
from authz.keys import BACKENDS, Custody
from authz.keys.backends import Surroundings
from tests.flows.test_id_jag_issuing import (
    bridge,  # noqa: F401 -- a fixture of the test below it
    test_an_id_token_becomes_an_assertion_for_another_server,  # noqa: F401
)
from tests.flows.test_introspection import (
    rs,  # noqa: F401 -- a fixture of the tests
    test_a_signed_answer,  # noqa: F401
)
from tests.flows.test_refresh_rotation import (
    first,  # noqa: F401 -- a fixture of the tests
    test_every_refresh_rotates,  # noqa: F401
)
from tests.flows.test_token_code import (
    test_a_code_from_the_browser_is_redeemed_once,  # noqa: F401
    test_a_redemption_leaves_exactly_its_rows,  # noqa: F401
    test_a_valid_replay_ends_what_the_code_made,  # noqa: F401
)
from tests.flows.test_upstream_credentials import (
    chain,  # noqa: F401 -- a fixture of the test
    test_a_server_gets_its_own_credential,  # noqa: F401
)
from tests.support import key_stores
from tests.support.databases import migrated_url
from tests.support.devices import allow, ask
from tests.support.harness import RESOURCE, Harness, running

KINDS = tuple((p, a) for p, algorithms in keys.PURPOSES.items() for a in algorithms if a == "ES256")


@pytest.fixture(scope="module")
def stores():
    with key_stores.HttpStores().running() as made:
        yield made


@pytest.fixture(scope="module")
def sections(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    library = key_stores.make_token(folder)
    with key_stores.aws() as aws_url:
        yield key_stores.sections(folder, library, aws_url, stores)


@pytest.fixture(scope="module")
def server(engine, sections, worker, tmp_path_factory):
    """One server that knows every key store; the tenants of the tests keep their keys in one each."""

    folder = tmp_path_factory.mktemp("server")
    with (
        migrated_url(engine, folder, f"authz_custody_{worker}") as url,
        running(folder, url, sections=sections) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def custodies(server):
    """By backend: what makes keys there."""
    services = server.services
    made = {}
    for name in BACKENDS:
        kept = services.settings.keys.model_copy(update={"backend": name})
        settings = services.settings.model_copy(update={"keys": kept})
        made[name] = Custody(Surroundings(settings, services.secrets.resolve))
    yield made
    for custody in made.values():
        custody.close()


def new_keys(custody):
    return [keys.generate_one(purpose, algorithm, custody) for purpose, algorithm in KINDS]


def on(name):
    """What a store answers does not depend on the database; one of them is tried on both."""
    marks = () if name == "vault-transit" else pytest.mark.only("sqlite")
    return pytest.param(name, marks=marks)


@pytest.fixture(params=[on(name) for name in sorted(BACKENDS)])
def backend(request):
    return request.param


@pytest.fixture
def harness(server, custodies, backend):
    """A tenant all of whose keys are elsewhere."""
    made = Harness(server, new_keys=new_keys(custodies[backend]))
    yield made
    made.close()


@pytest.fixture
def http_harness(server, custodies):
    """One whose key store does what the test wants."""
    made = Harness(server, new_keys=new_keys(custodies["vault-transit"]))
    yield made
    made.close()


def rows(harness):
    with harness.server.database.read() as tx:
        return list(tx.scalars(select(SigningKey).where(SigningKey.tenant_id == harness.tenant_id)))


def ring(harness):
    with harness.server.database.read() as tx:
        return harness.server.services.configurations.find(tx, harness.slug).keys


def rotate(harness, custody, **values):
    new = keys.generate_one("access_token", "ES256", custody)
    ahead = values.pop("ahead", timedelta(0))
    longest = timedelta(minutes=10)
    return harness.change(keys.rotate, new, publish_ahead=ahead, longest_token=longest, **values)


def test_nothing_private_is_in_the_database_or_in_a_key_object(harness, backend):
    """V8: neither a dump nor the ring of the process could sign."""
    assert harness.redeem(harness.code(openid=frozenset({"openid"}))).ok
    for row in rows(harness):
        assert (row.private_key, row.backend) == (None, backend)
        assert row.key_reference
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & row.public_jwk.keys()
    assert ring(harness).is_remote(("access_token",), harness.clock())
    for key in ring(harness).keys:
        assert not key.key.is_private
        assert not key.remote.public.is_private


def test_an_outage_spends_nothing(http_harness, stores, monkeypatch):
    """V8: 503 with Retry-After and one reason; afterwards the same code, and the same refresh token, are good."""
    harness = http_harness
    before = harness.redeem(harness.code())
    code = harness.code()
    monkeypatch.setattr(stores, "failing", 500)
    for again in (
        lambda: harness.redeem(code),
        lambda: harness.refresh(before.refresh_token),
    ):
        refused = again()
        assert (refused.status, refused.error) == (503, "temporarily_unavailable")
        assert refused.response.headers["retry-after"] == "5"
        assert refused.reason == "signer_unavailable"
        assert "key" not in refused.response.text
    told = [it["detail"] for it in harness.events("token.refused")]
    assert [it["reason"] for it in told] == ["signer_unavailable"] * 2
    # S14: a refusal belongs to the trace of its request like every other event.
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    harness.http.headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"
    assert harness.redeem(code).status == 503
    assert harness.events("token.refused")[-1]["trace"].startswith(trace)
    with harness.server.database.read() as tx:
        spent = tx.scalars(
            select(AuthorizationCode.spent_at).where(
                AuthorizationCode.tenant_id == harness.tenant_id,
                AuthorizationCode.spent_at.is_(None),
            )
        ).all()
    assert len(spent) == 1
    monkeypatch.undo()
    again = harness.redeem(code)
    assert again.ok, again.reason
    assert harness.claims(again.access_token)["sub"] == harness.users["dev"]
    successor = harness.refresh(before.refresh_token)
    assert successor.ok, successor.reason
    assert harness.redeem(code).reason == "code_spent"


def test_a_store_that_hangs_keeps_nobody_else_waiting(http_harness, server, stores):
    """V8: signing has a deadline of its own, off the event loop; a tenant with keys here is served meanwhile."""
    harness, other = http_harness, Harness(server)
    code, answers = harness.code(), []
    stores.hanging.clear()
    try:
        waiting = threading.Thread(target=lambda: answers.append(harness.redeem(code)))
        waiting.start()
        assert other.redeem(other.code()).ok
        assert other.http.get(f"{harness.issuer}/jwks").status_code == 200
        assert not answers
        waiting.join(10)
    finally:
        stores.hanging.set()
        other.close()
    assert (answers[0].status, answers[0].reason) == (503, "signer_unavailable")
    assert harness.redeem(code).ok


def test_what_changes_while_the_store_signs_counts(http_harness, stores):
    """ATK-59: a role that ends between the trial and the commit is in no token that leaves."""
    harness = http_harness
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com")
    code = harness.code(
        scopes=["analytics.query", "logs.read"], requested=["analytics.query", "logs.read"]
    )
    begun = stores.signed
    stores.meanwhile = lambda: harness.change(
        roles.unbind, role="developer", kind="user", holder="dev@example.com"
    )
    answer = harness.redeem(code)
    assert answer.ok, answer.reason
    assert harness.claims(answer.access_token)["scope"] == "logs.read"
    assert stores.signed - begun == 2
    assert len(harness.events("token.issued")) == 1


def test_what_the_trial_refused_is_not_signed_after_the_commit(http_harness, server, monkeypatch):
    """V8, D5: a device that is allowed between the trial and its turn is signed for ahead like any other."""
    harness, submit = http_harness, server.edge.channel.submit
    device, trials = ask(harness), []

    async def allowed_meanwhile(job):
        result = await submit(job)
        if job.is_trial and not trials:
            trials.append(result[0].answer.reason)
            await asyncio.to_thread(allow, device)
        return result

    monkeypatch.setattr(server.edge.channel, "submit", allowed_meanwhile)
    answer = device.poll()
    assert trials == ["device_pending"]
    assert answer.ok, answer.reason
    assert harness.claims(answer.access_token)["sub"] == harness.users["dev"]
    assert len(harness.events("token.issued")) == 1


def test_only_the_keys_of_what_is_signed_count(server, custodies, stores, monkeypatch):
    """V8: `keys.local_purposes` keeps what is busy here, whatever happens to the store of the others."""
    there = new_keys(custodies["vault-transit"])
    local = keys.generate_one("introspection", "ES256")
    harness = Harness(
        server, new_keys=[*(it for it in there if it.purpose != "introspection"), local]
    )
    now = server.clock()
    kept = ring(harness)
    assert kept.is_remote(("access_token",), now)
    assert not kept.is_remote(("introspection",), now)
    assert asyncio.run(kept.aside(("introspection",), now, threading.get_ident)) == (
        threading.get_ident()
    )
    # A successor that is to sign in half a minute counts by now; the one it replaces does while it may sign still.
    planned = rotate(harness, None, ahead=timedelta(seconds=30))
    assert ring(harness).is_remote(("access_token",), planned.activate_at)
    assert not ring(harness).is_remote(
        ("access_token",), planned.activate_at + timedelta(minutes=2)
    )
    harness.close()


def test_a_status_list_is_signed_within_the_bounds_of_every_signature(
    http_harness, stores, monkeypatch
):
    """V8, TSL-01: anybody may ask for one, so an outage is asked about once in a while, and waited for no longer."""
    harness = http_harness
    harness.change(resources.set_status_list, RESOURCE, wanted=True)
    token = harness.redeem(harness.code()).access_token
    uri = harness.claims(token)["status"]["status_list"]["uri"]
    custody, threads = harness.server.services.custody, []
    sign = custody.sign

    def watched(*given):
        threads.append(threading.current_thread().name)
        return sign(*given)

    monkeypatch.setattr(custody, "sign", watched)
    monkeypatch.setattr(stores, "failing", 500)
    assert [harness.http.get(uri).status_code for _ in range(3)] == [503] * 3
    assert [it.partition("_")[0] for it in threads] == ["signing"]
    monkeypatch.setattr(stores, "failing", None)
    harness.clock.advance(seconds=5)
    assert harness.http.get(uri).status_code == 200


def test_a_key_that_is_thrown_out_while_the_store_signs_signs_nothing(
    http_harness, custodies, stores
):
    """ATK-69: what the old key signed ahead is not what is sent."""
    harness = http_harness
    code = harness.code()
    old = {row.id for row in rows(harness)}
    stores.meanwhile = lambda: rotate(harness, custodies["pkcs11"], emergency=True)
    answer = harness.redeem(code)
    assert answer.ok, answer.reason
    assert kid_of(answer.access_token) not in old
    assert harness.claims(answer.access_token)


def kid_of(token):
    from authz.jose import read_unverified

    return read_unverified(token)[0]["kid"]


def test_from_local_keys_to_a_store_and_back(server, custodies):
    """V5, V8: a rotation like any other; tokens of both keys verify."""
    harness = Harness(server)
    tokens = [harness.redeem(harness.code()).access_token]
    for custody in (custodies["aws-kms"], custodies["pkcs11"], None):
        rotate(harness, custody)
        tokens.append(harness.redeem(harness.code()).access_token)
        harness.clock.advance(seconds=2)
    assert len({kid_of(token) for token in tokens}) == 4
    assert len({harness.claims(token)["jti"] for token in tokens}) == 4
    harness.clock.advance(minutes=11)
    wiped = harness.change(keys.wipe_gone)
    assert set(wiped) == {kid_of(token) for token in tokens[:-1]}
    # Whoever destroys the key in its store finds the reference in the trail.
    told = [it["detail"] for it in harness.events("admin.changed")]
    references = [it["values"].get("reference") for it in told if it["what"] == "key.wipe"]
    assert len([it for it in references if it]) == 2
    assert not ring(harness).is_remote(keys.PURPOSES, harness.clock())
    harness.close()
